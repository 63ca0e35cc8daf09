//! State of the stand-in: the journal, the links, the tokens and the faults.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::mem;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::MockConfig;
use super::fault::{Effect, Endpoint, Fault};
use super::pairs::{Links, Message, is_identifier};
use crate::serval::Code;

/// A request that arrived.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    /// Number of the request, from 1.
    pub number: u64,
    /// Time at which the body was read.
    pub at: Timestamp,
    /// The method, such as `POST`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The part of the API.
    pub endpoint: Endpoint,
    /// The Serval ticket in the path.
    pub ticket_id: Option<String>,
    /// True if its token was valid, or its credentials for a request of a token.
    pub authorised: bool,
    /// The raw body; not kept for the token endpoint.
    #[serde(serialize_with = "text")]
    pub body: Bytes,
}

/// A connect call and its result. Unauthorised calls are kept only as requests.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedConnect {
    /// Time of the answer, or of the end of the call without one.
    pub at: Timestamp,
    /// The Serval ticket.
    pub ticket_id: String,
    /// `externalTicketId`; empty when it could not be read.
    pub external_id: String,
    /// `externalTicketSubtype`.
    pub subtype: Option<String>,
    /// `channelTarget`.
    pub target: Value,
    /// `accountedForMessageIds`.
    pub accounted_for_message_ids: Vec<String>,
    /// `externalTicketData` as its raw text.
    pub object: Option<String>,
    /// The raw body.
    #[serde(serialize_with = "text")]
    pub body: Bytes,
    /// Status of the answer; `None` without an answer.
    pub answered: Option<u16>,
    /// True if the pair is linked after the call.
    pub stored: bool,
}

fn text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// Requests and connects: the newest in full, the others as counts.
#[derive(Debug, Default)]
pub struct Journal {
    /// The newest requests, oldest first.
    pub requests: VecDeque<RecordedRequest>,
    /// The newest connects, oldest first.
    pub connects: VecDeque<RecordedConnect>,
    /// All requests since the start or the last clearing.
    pub request_count: u64,
    /// All connects, likewise.
    pub connect_count: u64,
    /// Connects that were answered with a 2xx, likewise.
    pub connected_count: u64,
    /// Token requests, likewise.
    pub token_count: u64,
    keep: usize,
}

impl Journal {
    /// Number of kept requests to a part of the API.
    pub fn requests_to(&self, endpoint: Endpoint) -> usize {
        let to_it = |request: &&RecordedRequest| request.endpoint == endpoint;
        self.requests.iter().filter(to_it).count()
    }

    pub(super) fn clear(&mut self) {
        *self = Self {
            keep: self.keep,
            ..Self::default()
        };
    }

    pub(super) fn add_request(&mut self, mut request: RecordedRequest) {
        self.request_count += 1;
        self.token_count += u64::from(request.endpoint == Endpoint::Token);
        request.number = self.request_count;
        push(&mut self.requests, request, self.keep);
    }

    pub(super) fn add_connect(&mut self, connect: RecordedConnect) {
        self.connect_count += 1;
        let connected = connect
            .answered
            .is_some_and(|status| (200..300).contains(&status));
        self.connected_count += u64::from(connected);
        push(&mut self.connects, connect, self.keep);
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, keep: usize) {
    if keep == 0 {
        return;
    }
    if queue.len() >= keep {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Tells whether the answer of a call will reach the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Lost,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) journal: Journal,
    pub(super) links: Links,
    pub(super) messages: BTreeMap<String, Vec<Message>>,
    pub(super) known_tickets: Option<BTreeSet<String>>,
    pub(super) unknown_tickets: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    /// Tokens with the ends of their lives.
    pub(super) tokens: HashMap<String, Instant>,
    dice: fastrand::Rng,
}

impl State {
    /// True if an id is one of a ticket. An identifier never is, as at Serval: a ticket is known by its id.
    pub(super) fn has_ticket(&self, id: &str) -> bool {
        !is_identifier(id)
            && !self.unknown_tickets.contains(id)
            && self
                .known_tickets
                .as_ref()
                .is_none_or(|known| known.contains(id))
    }

    /// A new token that is valid for `life`.
    pub(super) fn issue_token(&mut self, life: Duration) -> String {
        let now = Instant::now();
        self.tokens.retain(|_, ends_at| now < *ends_at);
        let token = format!("mock-{:032x}", self.dice.u128(..));
        self.tokens.insert(token.clone(), now + life);
        token
    }

    /// The sum of the latencies for a call, and the fault that decides about it. Each call uses up
    /// one of a fault's count.
    pub(super) fn strike(
        &mut self,
        endpoint: Endpoint,
        ticket: Option<&str>,
    ) -> (Duration, Option<Fault>) {
        // Latencies of all faults that fit are added. The first fault with an effect ends the search, so
        // that later ones keep their counts.
        let mut latency = Duration::ZERO;
        for index in 0..self.faults.len() {
            let fault = &mut self.faults[index];
            let missed = |rate: f64| self.dice.f64() >= rate;
            if !fault.fits(endpoint, ticket) || fault.rate.is_some_and(missed) {
                continue;
            }
            latency = latency.saturating_add(fault.latency);
            fault.count = fault.count.map(|count| count - 1);
            if fault.effect != Effect::None {
                let fault = fault.clone();
                self.faults.retain(|fault| fault.count != Some(0));
                return (latency, Some(fault));
            }
        }
        self.faults.retain(|fault| fault.count != Some(0));
        (latency, None)
    }
}

/// Shared by the handlers.
#[derive(Debug)]
pub(super) struct Shared {
    /// The configuration at the start. `State` has the parts that change.
    pub(super) config: MockConfig,
    pub(super) stop: CancellationToken,
    pub(super) accepted: Arc<AtomicU64>,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(mut config: MockConfig) -> Self {
        let state = State {
            journal: Journal {
                keep: config.keep,
                ..Journal::default()
            },
            links: Links::default(),
            messages: mem::take(&mut config.messages),
            known_tickets: config.known_tickets.take(),
            unknown_tickets: mem::take(&mut config.unknown_tickets),
            faults: mem::take(&mut config.faults),
            tokens: HashMap::new(),
            dice: config
                .seed
                .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
        };
        Self {
            config,
            stop: CancellationToken::new(),
            accepted: Arc::default(),
            state: Mutex::new(state),
            changes: watch::Sender::new(()),
        }
    }

    /// An error answer in the configured dialect.
    pub(super) fn refuse(&self, code: Code, message: &str) -> Response {
        self.config.dialect.refuse(code, message)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits for a change of the journal.
    pub(super) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Receives a signal for each change of the journal.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// True if a bearer token is valid now.
    pub(super) fn accepts(&self, token: &str) -> bool {
        let fixed = self.config.bearer_token.as_ref();
        let now = Instant::now();
        fixed.is_some_and(|fixed| fixed.expose_secret() == token)
            || self.state().tokens.get(token).is_some_and(|end| now < *end)
    }
}
