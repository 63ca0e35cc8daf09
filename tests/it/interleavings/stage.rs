//! The store and the workers around it.
use crate::support::{Database, postgres};

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serval_connect::domain::event::{Disposition, EventState, NewEvent, Rank};
use serval_connect::domain::feed::Sign;
use serval_connect::domain::ids::{ExternalTicket, ServalTicketId};
use serval_connect::domain::reason::Reason;
use serval_connect::domain::report::Report;
use serval_connect::sources::servicenow;
use serval_connect::store::{
    Claim, EventFilter, Origin, Precondition, PutMapping, Removal, SettleError, Settlement, Store,
    Webhook,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::rules::Row;
use super::{End, Step, TICKETS};
use crate::store::{open_after_others, take_over};

pub(super) const PARK_FOR_MS: i64 = 500_000;

pub(super) struct Stage {
    _folder: TempDir,
    url: String,
    store: Option<Store>,
    writer: JoinSet<()>,
    pub(super) looking: Database,
    pub(super) now: Timestamp,
    pub(super) in_hand: Vec<Claim>,
    pub(super) deliveries: u64,
    /// Ticket and rank of the last delivery.
    last: (u8, i64),
    pub(super) mapped: BTreeMap<u8, u8>,
    /// Tickets that Serval has, as told by the ends of calls.
    pub(super) linked: BTreeSet<(u8, u8)>,
    /// Pairs that Serval refused for good since a person last had a hand in it.
    pub(super) refused: BTreeSet<(u8, u8)>,
    pub(super) before: BTreeMap<i64, Row>,
    /// Events that a person (a mapping or a replay) may have moved in this step.
    pub(super) is_moved_by_hand: bool,
}

pub(super) fn ticket(n: u8) -> ExternalTicket {
    ExternalTicket {
        source: "servicenow".parse().unwrap(),
        external_id: servicenow::KIND
            .parse_external_id(&format!("{n:032x}"))
            .unwrap(),
    }
}

fn target(n: u8) -> ServalTicketId {
    format!("T-{n}").parse().unwrap()
}

/// The number in a name that this file made.
pub(super) fn number(name: &str) -> u8 {
    u8::from_str_radix(name.trim_start_matches("T-"), 16).unwrap()
}

/// True for an external ticket that is a thread.
pub(super) fn sends_messages(n: u8) -> bool {
    n == 1
}

async fn open(url: &str, now: Timestamp) -> (Store, JoinSet<()>) {
    let (store, writer) = open_after_others(url, now).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run(CancellationToken::new()));
    take_over(&store).await;
    (store, tasks)
}

impl Stage {
    pub(super) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = crate::store::url(&folder);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (store, writer) = open(&url, now).await;
        Self {
            _folder: folder,
            looking: Database::open(&url).await,
            url,
            store: Some(store),
            writer,
            now,
            in_hand: Vec::new(),
            deliveries: 0,
            last: (0, 0),
            mapped: BTreeMap::new(),
            linked: BTreeSet::new(),
            refused: BTreeSet::new(),
            before: BTreeMap::new(),
            is_moved_by_hand: false,
        }
    }

    pub(super) fn store(&self) -> &Store {
        self.store
            .as_ref()
            .expect("it is open but for a moment of a crash")
    }

    pub(super) async fn play(&mut self, step: Step) {
        self.is_moved_by_hand = matches!(step, Step::Map { .. } | Step::Replay);
        match step {
            Step::Deliver {
                ticket,
                rank,
                again,
            } => {
                let is_again = again && self.deliveries > 0;
                if !is_again {
                    self.deliveries += 1;
                    self.last = (ticket, rank);
                }
                let (ticket, rank) = self.last;
                let webhook = self.webhook(ticket, rank, self.deliveries);
                let recorded = self.store().record(webhook).await.unwrap();
                assert_eq!(recorded[0].duplicate, is_again);
                self.take_handed_off();
            }
            Step::Crowd { tickets } => {
                let mut webhooks = Vec::new();
                for ticket in tickets {
                    self.deliveries += 1;
                    self.last = (ticket, 1);
                    webhooks.push(self.webhook(ticket, 1, self.deliveries));
                }
                let mut crowd = JoinSet::new();
                for webhook in webhooks {
                    let store = self.store().clone();
                    crowd.spawn(async move { store.record(webhook).await.unwrap() });
                }
                crowd.join_all().await;
                self.take_handed_off();
            }
            Step::Map { ticket, target } => self.map(ticket, target).await,
            Step::Unmap { ticket: n } => {
                let deleted = self
                    .store()
                    .delete_mapping(&ticket(n), Precondition::None, Removal::KeepLink, self.now)
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(deleted, self.mapped.remove(&n).is_some());
            }
            Step::Claim { limits, probe } => self.claim(limits, probe).await,
            Step::ClaimOrOffer { limit } => self.claim_or_offer(limit).await,
            Step::CloseHandOff => self.store().close_hand_off(),
            Step::Settle { which, end } => self.settle(which, end).await,
            Step::Crash => self.crash().await,
            Step::Pass { seconds } => {
                self.now += SignedDuration::from_secs(seconds.try_into().unwrap());
            }
            // The clock of one replica moves nobody's waits.
            Step::Jump { .. } if postgres::is_wanted() => {}
            Step::Jump { seconds } => self.jump(seconds).await,
            Step::Hasten => self.store().retry_all_now(self.now).await.unwrap(),
            Step::Replay => {
                let dead = EventFilter {
                    state: Some(EventState::Dead),
                    limit: 100,
                    ..EventFilter::default()
                };
                let reason = "replayed".to_owned();
                self.store()
                    .replay_many(dead, reason, self.now)
                    .await
                    .unwrap();
            }
            Step::Expire => {
                self.store().expire_parked(self.now).await.unwrap();
            }
        }
    }

    fn webhook(&self, n: u8, rank: i64, delivery: u64) -> Webhook {
        let body = format!(r#"{{"ticket":{n},"delivery":{delivery}}}"#);
        Webhook {
            source: ticket(n).source,
            received_at: self.now,
            park_for_ms: PARK_FOR_MS,
            keep_ignored_bodies: false,
            reconnects: false,
            sign: Sign::Alive,
            traceparent: None,
            events: vec![NewEvent {
                disposition: Disposition::Connect,
                external_id: Some(ticket(n).external_id),
                subtype: Some("incident"),
                event_type: "incident.update".to_owned(),
                // Names are used again and again; the contents differ.
                delivery_key: Some(format!("wh:{}", delivery % 2)),
                content_key: Some(format!("content:{delivery}")),
                rank: Rank(rank, 0),
                // The saves of one external ticket, the messages of another.
                report: if sends_messages(n) {
                    Report::Message
                } else {
                    Report::Save
                },
                object: 0..body.len(),
                hint: None,
                number: None,
                channel: None,
                question: None,
            }],
            body: body.into(),
        }
    }

    async fn map(&mut self, n: u8, to: u8) {
        let put = PutMapping {
            disconnects_others: false,
            ticket: ticket(n),
            ticket_id: target(to),
            accounted_for: Vec::new(),
            origin: Origin::Api,
            taught_by: None,
            unlinks_old: false,
            several_per_ticket: true,
            reconnects: false,
        };
        self.store()
            .put_mapping(put, Precondition::None, self.now)
            .await
            .unwrap()
            .unwrap();
        self.mapped.insert(n, to);
        self.refused.retain(|(ticket, _)| *ticket != n);
    }

    /// The process dies: no task of it ends in order, and its claims are void.
    async fn crash(&mut self) {
        self.writer.abort_all();
        while self.writer.join_next().await.is_some() {}
        // The lock on the file goes with the last handle.
        self.store = None;
        let (store, writer) = open(&self.url, self.now).await;
        (self.store, self.writer) = (Some(store), writer);
        let void: Vec<Claim> = self.in_hand.drain(..).collect();
        for claim in void {
            let skip = Settlement::Skip {
                reason: Reason::AlreadyConnected,
            };
            let late = self.store().settle(&claim, None, skip, self.now).await;
            assert!(
                matches!(late, Err(SettleError::LostClaim)),
                "a dead claim settles nothing"
            );
        }
    }

    async fn jump(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.store()
            .follow_clock(seconds * 1000, self.now)
            .await
            .unwrap();
        for claim in &mut self.in_hand {
            claim.expires_at += SignedDuration::from_secs(seconds);
        }
    }

    /// Serval is well, everything is mapped: all must arrive.
    pub(super) async fn finish(mut self) {
        for n in 0..TICKETS {
            let to = self.mapped.get(&n).copied().unwrap_or(9);
            self.is_moved_by_hand = true;
            self.map(n, to).await;
        }
        self.play(Step::Replay).await;
        self.check().await;
        self.is_moved_by_hand = false;
        for _ in 0..200 {
            if self
                .before
                .values()
                .all(|row| row.state != EventState::Queued)
            {
                break;
            }
            self.now += SignedDuration::from_secs(130);
            self.claim((2, 2), false).await;
            while !self.in_hand.is_empty() {
                self.settle(0, End::Connected).await;
            }
            self.check().await;
        }
        for n in 0..TICKETS {
            let has_events = self
                .before
                .values()
                .any(|row| number(&row.external_id) == n);
            let to = self.mapped[&n];
            assert!(
                !has_events || self.linked.contains(&(n, to)),
                "{n} never arrived at {to}"
            );
        }
        let queued = self
            .before
            .values()
            .filter(|row| row.state == EventState::Queued);
        assert_eq!(queued.count(), 0, "{:?}", self.before);
        self.looking.close().await;
    }
}
