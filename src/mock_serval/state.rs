//! What the stand-in knows: what arrived, the links made, the tokens given, the faults in force.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::{Effect, Endpoint, Fault};
use super::links::{Links, Message};
use super::reply::Dialect;
use super::{MockConfig, Repeat};

/// A request that arrived.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    /// Its number, from 1.
    pub number: u64,
    /// When its body was read.
    pub at: Timestamp,
    /// `POST` and so on.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The part of the API.
    pub endpoint: Endpoint,
    /// The Serval ticket of the path.
    pub ticket_id: Option<String>,
    /// Whether it had a good token (or, for a token, good credentials).
    pub authorised: bool,
    /// The raw body; not kept for the token endpoint.
    #[serde(serialize_with = "text")]
    pub body: Bytes,
}

/// A connect call that arrived, with what became of it. Unauthorised ones are only requests.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedConnect {
    /// When it was answered, or dealt with otherwise.
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
    /// The status of the answer; `None` when there was none.
    pub answered: Option<u16>,
    /// Whether the pair was linked by it, or was already.
    pub stored: bool,
}

fn text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// What arrived: the newest in full, the rest as counts.
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
    /// How many requests to a part of the API are remembered.
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

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) journal: Journal,
    pub(super) links: Links,
    pub(super) messages: BTreeMap<String, Vec<Message>>,
    pub(super) known_tickets: Option<BTreeSet<String>>,
    pub(super) unknown_tickets: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    /// Tokens given, with their ends.
    pub(super) tokens: HashMap<String, Instant>,
    dice: fastrand::Rng,
}

impl State {
    pub(super) fn has_ticket(&self, id: &str) -> bool {
        !self.unknown_tickets.contains(id)
            && self
                .known_tickets
                .as_ref()
                .is_none_or(|known| known.contains(id))
    }

    /// A new token that is good for `life`.
    pub(super) fn issue_token(&mut self, life: Duration) -> String {
        let now = Instant::now();
        self.tokens.retain(|_, ends_at| now < *ends_at);
        let token = format!("mock-{:032x}", self.dice.u128(..));
        self.tokens.insert(token.clone(), now + life);
        token
    }

    /// What should go wrong with a call: the latencies in all, and the fault that decides. A fault
    /// with a count is used up by it.
    pub(super) fn strike(
        &mut self,
        endpoint: Endpoint,
        ticket: Option<&str>,
    ) -> (Duration, Option<Fault>) {
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

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    bearer_token: Option<SecretString>,
    pub(super) expires_in: Option<u64>,
    pub(super) dialect: Dialect,
    pub(super) repeat: Repeat,
    pub(super) stop: CancellationToken,
    pub(super) accepted: Arc<AtomicU64>,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(config: MockConfig) -> Self {
        Self {
            client_id: config.client_id,
            client_secret: config.client_secret,
            bearer_token: config.bearer_token,
            expires_in: config.expires_in,
            dialect: config.dialect,
            repeat: config.repeat,
            stop: CancellationToken::new(),
            accepted: Arc::default(),
            state: Mutex::new(State {
                journal: Journal {
                    keep: config.keep,
                    ..Journal::default()
                },
                links: Links::default(),
                messages: config.messages,
                known_tickets: config.known_tickets,
                unknown_tickets: config.unknown_tickets,
                faults: config.faults,
                tokens: HashMap::new(),
                dice: config
                    .seed
                    .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
            }),
            changes: watch::Sender::new(()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the journal has changed.
    pub(super) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Tells of changes of the journal.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether a bearer token is good now.
    pub(super) fn accepts(&self, token: &str) -> bool {
        self.bearer_token
            .as_ref()
            .is_some_and(|fixed| fixed.expose_secret() == token)
            || self
                .state()
                .tokens
                .get(token)
                .is_some_and(|ends_at| Instant::now() < *ends_at)
    }
}
