//! The store, the workers around it, and what must hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serval_connect::domain::event::{Disposition, EventState, NewEvent, Rank};
use serval_connect::domain::ids::{ExternalTicket, ServalTicketId, SourceKind};
use serval_connect::store::{
    Attempt, AttemptOutcome, Claim, ClaimScope, EventFilter, Origin, PutMapping, SettleError,
    Settlement, Store, Webhook,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{End, Step, TICKETS};

const LEASE: Duration = Duration::from_secs(90);
const PARK_FOR_MS: i64 = 500_000;

pub(super) struct Stage {
    _folder: TempDir,
    url: String,
    store: Option<Store>,
    writer: JoinSet<()>,
    looking: SqliteConnection,
    now: Timestamp,
    in_hand: Vec<Claim>,
    deliveries: u64,
    mapped: BTreeMap<u8, u8>,
    /// Tickets that Serval has, as told by the ends of calls.
    linked: BTreeSet<(u8, u8)>,
    /// Pairs that Serval refused for good since a person last had a hand in it.
    refused: BTreeSet<(u8, u8)>,
    before: BTreeMap<i64, Row>,
    /// Events that a person (a mapping or a replay) may have moved in this step.
    is_moved_by_hand: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    state: EventState,
    external_id: String,
    tries: i64,
}

fn ticket(n: u8) -> ExternalTicket {
    ExternalTicket {
        source: "servicenow".parse().unwrap(),
        external_id: SourceKind::ServiceNow
            .parse_external_id(&format!("{n:032x}"))
            .unwrap(),
    }
}

fn target(n: u8) -> ServalTicketId {
    format!("T-{n}").parse().unwrap()
}

/// The number in a name that this file made.
fn number(name: &str) -> u8 {
    u8::from_str_radix(name.trim_start_matches("T-"), 16).unwrap()
}

async fn open(url: &str, now: Timestamp) -> (Store, JoinSet<()>) {
    let (store, writer) = Store::open(url, now).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run(CancellationToken::new()));
    (store, tasks)
}

impl Stage {
    pub(super) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inbox.db");
        let url = format!("sqlite://{}", file.display());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (store, writer) = open(&url, now).await;
        let looking = SqliteConnectOptions::new().filename(&file);
        Self {
            _folder: folder,
            looking: looking.connect().await.unwrap(),
            url,
            store: Some(store),
            writer,
            now,
            in_hand: Vec::new(),
            deliveries: 0,
            mapped: BTreeMap::new(),
            linked: BTreeSet::new(),
            refused: BTreeSet::new(),
            before: BTreeMap::new(),
            is_moved_by_hand: false,
        }
    }

    fn store(&self) -> &Store {
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
                self.deliveries += u64::from(!is_again);
                let webhook = self.webhook(ticket, rank, self.deliveries);
                let recorded = self.store().record(webhook).await.unwrap();
                assert_eq!(recorded[0].duplicate, is_again);
            }
            Step::Crowd { tickets } => {
                let mut webhooks = Vec::new();
                for ticket in tickets {
                    self.deliveries += 1;
                    webhooks.push(self.webhook(ticket, 1, self.deliveries));
                }
                let mut crowd = JoinSet::new();
                for webhook in webhooks {
                    let store = self.store().clone();
                    crowd.spawn(async move { store.record(webhook).await.unwrap() });
                }
                crowd.join_all().await;
            }
            Step::Map { ticket, target } => self.map(ticket, target).await,
            Step::Unmap { ticket: n } => {
                let deleted = self
                    .store()
                    .delete_mapping(&ticket(n), false, self.now)
                    .await
                    .unwrap();
                assert_eq!(deleted, self.mapped.remove(&n).is_some());
            }
            Step::Claim { limits, probe } => self.claim(limits, probe).await,
            Step::Settle { which, end } => self.settle(which, end).await,
            Step::Crash => self.crash().await,
            Step::Pass { seconds } => {
                self.now += SignedDuration::from_secs(seconds.try_into().unwrap())
            }
            Step::Jump { seconds } => self.jump(seconds).await,
            Step::Hasten => self.store().hasten(self.now).await.unwrap(),
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
            events: vec![NewEvent {
                disposition: Disposition::Connect,
                external_id: Some(ticket(n).external_id),
                subtype: Some("incident"),
                event_type: "incident.update".to_owned(),
                delivery_key: Some(format!("wh:{delivery}")),
                content_key: Some(format!("content:{delivery}")),
                rank: Rank(rank, 0),
                object: 0..body.len(),
                hint: None,
                team: None,
                channel_move: None,
            }],
            body: body.into(),
        }
    }

    async fn map(&mut self, n: u8, to: u8) {
        let put = PutMapping {
            ticket: ticket(n),
            ticket_id: target(to),
            accounted_for: Vec::new(),
            origin: Origin::Api,
            taught_by: None,
            disconnects_old: false,
            several_per_ticket: true,
        };
        self.store().put_mapping(put, self.now).await.unwrap();
        self.mapped.insert(n, to);
        self.refused.retain(|(ticket, _)| *ticket != n);
    }

    async fn claim(&mut self, (one, other): (usize, usize), probe: bool) {
        let scope = if probe {
            ClaimScope::Probe
        } else {
            ClaimScope::Due
        };
        let (one, other) = tokio::join!(
            self.store().claim(scope, one, self.now, LEASE),
            self.store().claim(scope, other, self.now, LEASE),
        );
        for claim in one.unwrap().into_iter().chain(other.unwrap()) {
            let twin = self
                .in_hand
                .iter()
                .find(|held| held.ticket == claim.ticket && held.expires_at > self.now);
            assert!(twin.is_none(), "two calls at once: {twin:?} and {claim:?}");
            let object = String::from_utf8(claim.object.clone()).unwrap();
            let n = number(claim.ticket.external_id.as_str());
            assert!(
                object.starts_with(&format!(r#"{{"ticket":{n},"#)),
                "{object}"
            );
            self.in_hand.push(claim);
        }
    }

    /// What `step` of the worker does with a claim whose call ends in a given way.
    async fn settle(&mut self, which: usize, end: End) {
        if self.in_hand.is_empty() {
            return;
        }
        let claim = self.in_hand.swap_remove(which % self.in_hand.len());
        let n = number(claim.ticket.external_id.as_str());
        let (attempt, settlement) = match &claim.mapped_to {
            None => {
                let until = self.now + SignedDuration::from_millis(PARK_FOR_MS);
                (None, Settlement::Park { until })
            }
            Some(_) if claim.is_connected => {
                let reason = "already_connected";
                (None, Settlement::Skip { reason })
            }
            Some(to) => {
                let (outcome, settlement) = self.end(to.clone(), &claim, end);
                (Some(self.attempt(to.clone(), outcome)), settlement)
            }
        };
        let is_linked = matches!(settlement, Settlement::Connected { .. });
        let is_refused = matches!(settlement, Settlement::Dead { .. });
        let is_held = claim.expires_at > self.now;
        match self
            .store()
            .settle(&claim, attempt, settlement, self.now)
            .await
        {
            Ok(()) if is_linked || is_refused => {
                let to = claim.mapped_to.as_ref().expect("it was called");
                let pair = (n, number(to.as_str()));
                if is_linked {
                    self.linked.insert(pair);
                } else {
                    self.refused.insert(pair);
                }
            }
            Ok(()) => {}
            Err(SettleError::LostClaim) => assert!(!is_held, "a claim was lost before its time"),
            Err(SettleError::Store(error)) => panic!("{error}"),
        }
    }

    fn end(
        &self,
        ticket_id: ServalTicketId,
        claim: &Claim,
        end: End,
    ) -> (AttemptOutcome, Settlement) {
        let error = "a fault was asked for".to_owned();
        match end {
            End::Connected | End::AlreadyLinked => {
                let reason = matches!(end, End::AlreadyLinked).then_some("already_linked");
                (
                    AttemptOutcome::Connected,
                    Settlement::Connected {
                        ticket_id,
                        reason,
                        reconnects: false,
                    },
                )
            }
            End::Retry {
                seconds,
                asked,
                counts,
            } => {
                let settlement = Settlement::Retry {
                    at: self.now + SignedDuration::from_secs(seconds),
                    asked,
                    counts,
                    in_doubt: claim.in_doubt,
                    error,
                };
                (AttemptOutcome::Retry, settlement)
            }
            End::Held => {
                let error = Some(error);
                let in_doubt = claim.in_doubt;
                (
                    AttemptOutcome::Held,
                    Settlement::Release { in_doubt, error },
                )
            }
            End::Dead => {
                let reason = "not_found";
                (AttemptOutcome::Dead, Settlement::Dead { reason, error })
            }
        }
    }

    fn attempt(&self, ticket_id: ServalTicketId, outcome: AttemptOutcome) -> Attempt {
        Attempt {
            started_at: self.now,
            duration_ms: 1,
            ticket_id,
            outcome,
            status: None,
            code: None,
            answer: None,
            request_id: None,
            retry_after_ms: None,
            is_probe: false,
        }
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
                reason: "already_connected",
            };
            let late = self.store().settle(&claim, None, skip, self.now).await;
            assert!(
                matches!(late, Err(SettleError::LostClaim)),
                "a dead claim settles nothing"
            );
        }
    }

    async fn jump(&mut self, seconds: i64) {
        let was = self.now;
        self.now += SignedDuration::from_secs(seconds);
        self.store()
            .follow_clock(seconds * 1000, was)
            .await
            .unwrap();
        for claim in &mut self.in_hand {
            claim.expires_at += SignedDuration::from_secs(seconds);
        }
    }

    async fn rows(&mut self) -> BTreeMap<i64, Row> {
        let rows: Vec<(i64, String, String, i64)> =
            sqlx::query_as("SELECT id, state, external_id, tries FROM events ORDER BY id")
                .fetch_all(&mut self.looking)
                .await
                .unwrap();
        let row = |(id, state, external_id, tries): (i64, String, String, i64)| {
            let state = EventState::parse(&state).unwrap();
            (
                id,
                Row {
                    state,
                    external_id,
                    tries,
                },
            )
        };
        rows.into_iter().map(row).collect()
    }

    async fn number_of(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.looking)
            .await
            .unwrap()
    }

    /// What must hold after every step.
    pub(super) async fn check(&mut self) {
        let rows = self.rows().await;
        assert_eq!(
            rows.len() as u64,
            self.deliveries,
            "every event is there, once"
        );
        for (id, row) in &rows {
            let Some(before) = self.before.get(id) else {
                continue;
            };
            let left = before.state.is_terminal() && before.state != row.state;
            assert!(
                !left || self.is_moved_by_hand,
                "{id}: {before:?} became {row:?} by itself"
            );
        }
        self.check_counts(&rows).await;
        for n in 0..TICKETS {
            self.check_ticket(n, &rows);
        }
        self.before = rows;
    }

    async fn check_counts(&mut self, rows: &BTreeMap<i64, Row>) {
        let counts: Vec<(String, i64)> =
            sqlx::query_as("SELECT state, n FROM counts WHERE n <> 0 ORDER BY state")
                .fetch_all(&mut self.looking)
                .await
                .unwrap();
        let mut real: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows.values() {
            *real.entry(row.state.as_str().to_owned()).or_default() += 1;
        }
        assert_eq!(counts.into_iter().collect::<BTreeMap<_, _>>(), real);
        let orphans = "SELECT COUNT(*) FROM claims AS c \
            JOIN events AS e ON e.id = c.event_id WHERE e.state <> 'queued'";
        assert_eq!(
            self.number_of(orphans).await,
            0,
            "a claim on what is not queued"
        );
        let claims = "SELECT COUNT(*) - COUNT(DISTINCT external_id) FROM claims";
        assert_eq!(self.number_of(claims).await, 0, "two claims on one ticket");
    }

    fn check_ticket(&self, n: u8, rows: &BTreeMap<i64, Row>) {
        let of = |state| {
            let name = ticket(n).external_id;
            let its = rows
                .values()
                .filter(move |row| row.external_id == name.as_str());
            its.filter(move |row| row.state == state).count()
        };
        assert!(of(EventState::Parked) <= 1, "one is parked for a ticket");
        let all: usize = EventState::ALL.into_iter().map(of).sum();
        let Some(to) = self.mapped.get(&n) else {
            return;
        };
        assert_eq!(
            of(EventState::Parked),
            0,
            "a mapping releases what is parked: {n}"
        );
        let is_moving = of(EventState::Queued) > 0;
        let is_done = self.linked.contains(&(n, *to));
        let is_dead = of(EventState::Dead) > 0 && self.refused.contains(&(n, *to));
        assert!(
            all == 0 || is_moving || is_done || is_dead,
            "lost: {n} {rows:?}"
        );
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
        drop(self.looking.close().await);
    }
}
