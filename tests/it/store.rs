//! The store by itself: claims, settlements, groups of writes, counts. Through the production
//! `Store::open`, on a file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serval_connect::domain::event::{Disposition, EventState, NewEvent, Rank};
use serval_connect::domain::feed::Sign;
use serval_connect::domain::ids::{EventId, ExternalTicket};
use serval_connect::domain::reason::Reason;
use serval_connect::domain::report::Report;
use serval_connect::sources::servicenow;
use serval_connect::store::{
    Attempt, AttemptOutcome, Claim, ClaimScope, Database, EventFilter, OpenError, Origin,
    Precondition, PutMapping, Recorded, Removal, Replay, SettleError, Settlement, Store,
    StoreError, Webhook, Writer,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::bodies::{incident, sys_id};
use crate::support::{database, eventually, needs_a_file, postgres};

pub(crate) const LEASE: Duration = Duration::from_mins(1);

/// A moment of the tests' own time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_773_752_744 + second).unwrap()
}

/// Opens a store. All processes that had the database before are dead.
pub(crate) async fn open_after_others(
    url: &str,
    now: Timestamp,
) -> Result<(Store, Writer), OpenError> {
    database::is_left(url).await;
    Store::open_database(&Database::at(url), now).await
}

/// Takes over from dead processes, as each daemon does when it starts. A store on a file has done so when it opened.
pub(crate) async fn take_over(store: &Store) {
    let once = CancellationToken::new();
    once.cancel();
    store.beat_as_replica(String::new, once).await;
}

/// A store with its writer.
pub(crate) struct Bench {
    pub(crate) store: Store,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn open_in(folder: TempDir) -> Self {
        Self::open_at(folder, at(0)).await
    }

    /// Opens it by a clock that shows `now`.
    pub(crate) async fn open_at(folder: TempDir, now: Timestamp) -> Self {
        // A child that another test starts at this moment may still have the lock of the last turn.
        let open = async || open_after_others(&url(&folder), now).await.ok();
        let opened = eventually("the lock of the database", open).await;
        Self::run(opened, folder).await
    }

    /// Opens a database on a server beside other processes, which take this one for dead after this time.
    pub(crate) async fn beside(url: &str, dead_after: Duration) -> Self {
        let mut database = Database::at(url);
        database.dead_after = dead_after;
        let opened = Store::open_database(&database, at(0)).await.unwrap();
        Self::run(opened, tempfile::tempdir().unwrap()).await
    }

    async fn run((store, writer): (Store, Writer), folder: TempDir) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(stop.clone()));
        take_over(&store).await;
        Self {
            store,
            stop,
            tasks,
            folder,
        }
    }

    /// Closes it in good order.
    pub(crate) async fn close(self) -> TempDir {
        self.stop.cancel();
        self.tasks.join_all().await;
        self.folder
    }

    pub(crate) async fn map(&self, n: u32, ticket_id: &str) {
        let put = PutMapping {
            disconnects_others: false,
            ticket: ticket(n),
            ticket_id: ticket_id.parse().unwrap(),
            accounted_for: Vec::new(),
            origin: Origin::Api,
            taught_by: None,
            unlinks_old: false,
            several_per_ticket: true,
            reconnects: false,
        };
        self.store
            .put_mapping(put, Precondition::None, at(0))
            .await
            .unwrap()
            .unwrap();
    }

    /// Maps the first `many` external tickets.
    pub(crate) async fn map_all(&self, many: u32) {
        for n in 1..=many {
            self.map(n, &format!("tkt-{n}")).await;
        }
    }

    pub(crate) async fn record(&self, n: u32) -> Recorded {
        let mut recorded = self.store.record(webhook(n, at(0))).await.unwrap();
        recorded.remove(0)
    }

    /// An event in the queue.
    pub(crate) async fn queued(&self, n: u32) -> EventId {
        self.map(n, &format!("tkt-{n}")).await;
        let recorded = self.record(n).await;
        assert_eq!(recorded.state, EventState::Queued);
        recorded.id
    }

    pub(crate) async fn claim(&self, limit: usize, now: Timestamp) -> Vec<Claim> {
        self.store
            .claim(ClaimScope::Due, limit, now, LEASE)
            .await
            .unwrap()
    }

    /// Claims the event and settles it.
    pub(crate) async fn settle(&self, id: EventId, settlement: Settlement, now: Timestamp) {
        let claims = self.claim(100, now).await;
        for claim in claims {
            let (outcome, end) = if claim.event == id {
                (AttemptOutcome::Retry, settlement.clone())
            } else {
                let error = None;
                (
                    AttemptOutcome::Held,
                    Settlement::Release {
                        in_doubt: false,
                        error,
                    },
                )
            };
            let attempt = (claim.event == id).then(|| attempt(outcome));
            self.store.settle(&claim, attempt, end, now).await.unwrap();
        }
    }

    /// An event that was given up.
    pub(crate) async fn dead(&self, n: u32, reason: &'static str) -> EventId {
        let id = self.queued(n).await;
        let error = format!("Serval said {reason}");
        let reason = Reason::parse(reason).unwrap();
        self.settle(
            id,
            Settlement::Dead {
                reason,
                error,
                in_doubt: false,
            },
            at(1),
        )
        .await;
        assert_eq!(self.state(id).await, EventState::Dead);
        id
    }

    pub(crate) async fn state(&self, id: EventId) -> EventState {
        self.store.event(id).await.unwrap().unwrap().row.state
    }
}

pub(crate) fn url(folder: &TempDir) -> String {
    if postgres::is_wanted() {
        return postgres::url(folder.path());
    }
    format!("sqlite://{}/inbox.db", folder.path().display())
}

pub(crate) fn ticket(n: u32) -> ExternalTicket {
    ExternalTicket {
        source: "servicenow".parse().unwrap(),
        external_id: servicenow::KIND.parse_external_id(&sys_id(n)).unwrap(),
    }
}

/// The webhook of an incident, as a source reads it.
pub(crate) fn webhook(n: u32, received_at: Timestamp) -> Webhook {
    let body = incident(n);
    Webhook {
        source: "servicenow".parse().unwrap(),
        received_at,
        park_for_ms: 60_000,
        keep_ignored_bodies: false,
        reconnects: false,
        sign: Sign::Alive,
        traceparent: None,
        events: vec![NewEvent {
            disposition: Disposition::Connect,
            external_id: Some(ticket(n).external_id),
            subtype: Some("incident"),
            event_type: "incident.update".to_owned(),
            delivery_key: None,
            content_key: None,
            rank: Rank::default(),
            report: Report::Save,
            hint: None,
            number: None,
            channel: None,
            question: None,
            object: 0..body.len(),
        }],
        body: body.into(),
    }
}

/// The same as one of the messages of a thread: a later one leaves it in the queue.
pub(crate) fn message(n: u32, received_at: Timestamp) -> Webhook {
    let mut webhook = webhook(n, received_at);
    webhook.events[0].report = Report::Message;
    webhook
}

pub(crate) fn attempt(outcome: AttemptOutcome) -> Attempt {
    Attempt {
        started_at: at(1),
        duration_ms: 12,
        ticket_id: "tkt-1".parse().unwrap(),
        outcome,
        status: None,
        code: None,
        answer: None,
        request_id: None,
        retry_after_ms: None,
        is_probe: false,
    }
}

pub(crate) fn connected(claim: &Claim) -> Settlement {
    Settlement::Connected {
        ticket_id: claim.mapped_to.clone().unwrap(),
        reason: None,
        reconnects: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_claimers_at_once_never_take_the_same_event_or_two_of_one_ticket() {
    let bench = Bench::open().await;
    // Three messages for each of 60 tickets.
    for n in 0..180 {
        bench.map(n % 60, &format!("tkt-{}", n % 60)).await;
        bench.store.record(message(n % 60, at(0))).await.unwrap();
    }
    let mut claimers = JoinSet::new();
    for _ in 0..8 {
        let store = bench.store.clone();
        claimers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let claims = store.claim(ClaimScope::Due, 3, at(1), LEASE).await.unwrap();
                if claims.is_empty() {
                    return taken;
                }
                taken.extend(claims);
            }
        });
    }
    let claims: Vec<Claim> = claimers.join_all().await.into_iter().flatten().collect();
    let events: BTreeSet<_> = claims.iter().map(|claim| claim.event).collect();
    let tickets: BTreeSet<_> = claims.iter().map(|claim| claim.ticket.clone()).collect();
    assert_eq!((claims.len(), events.len(), tickets.len()), (60, 60, 60));
    assert!(
        claims.iter().all(|claim| claim.event.0 <= 60),
        "the oldest of each ticket"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_claim_brings_all_that_the_call_needs() {
    let bench = Bench::open().await;
    let id = bench.queued(1).await;
    let [claim] = <[Claim; 1]>::try_from(bench.claim(9, at(1)).await).unwrap();
    assert_eq!(claim.event, id);
    assert_eq!(claim.ticket, ticket(1));
    assert_eq!(claim.object, incident(1).into_bytes());
    assert_eq!(claim.subtype.as_deref(), Some("incident"));
    assert_eq!(claim.mapped_to.unwrap().as_str(), "tkt-1");
    assert_eq!(
        (claim.tries, claim.doubt.is_some(), claim.is_connected),
        (0, false, false)
    );
    assert_eq!(claim.expires_at, at(61));
    assert_eq!(
        bench.store.next_due(at(0)).await.unwrap(),
        None,
        "what is in hand is not due"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_claim_that_ran_out_goes_back_in_doubt_and_cannot_settle_any_more() {
    let bench = Bench::open().await;
    let id = bench.queued(1).await;
    let lost = bench.claim(1, at(0)).await.remove(0);
    assert!(
        bench.claim(1, at(59)).await.is_empty(),
        "its time is not over"
    );
    let again = bench.claim(1, at(60)).await.remove(0);
    assert_eq!(again.event, id);
    assert!(again.doubt.is_some() && lost.doubt.is_none());
    assert_ne!(again.token, lost.token);

    let late = bench.store.settle(
        &lost,
        Some(attempt(AttemptOutcome::Connected)),
        connected(&lost),
        at(61),
    );
    assert!(matches!(late.await, Err(SettleError::LostClaim)));
    assert_eq!(bench.state(id).await, EventState::Queued);
    let detail = bench.store.event(id).await.unwrap().unwrap();
    assert_eq!(
        detail.attempts.len(),
        0,
        "nothing of a lost claim is written"
    );

    let settled = bench.store.settle(&again, None, connected(&again), at(62));
    settled.await.unwrap();
    assert_eq!(bench.state(id).await, EventState::Connected);
    let twice = bench.store.settle(&again, None, connected(&again), at(63));
    assert!(
        matches!(twice.await, Err(SettleError::LostClaim)),
        "a claim settles once"
    );
    bench.close().await;
}

#[tokio::test]
async fn claims_of_a_process_that_died_are_in_doubt_after_the_next_start() {
    let bench = Bench::open().await;
    let id = bench.queued(1).await;
    let old = bench.claim(1, at(0)).await.remove(0);
    let bench = Bench::open_in(bench.close().await).await;
    let new = bench.claim(1, at(1)).await.remove(0);
    assert_eq!(new.event, id);
    assert!(new.doubt.is_some());
    let late = bench.store.settle(&old, None, connected(&old), at(2)).await;
    assert!(matches!(late, Err(SettleError::LostClaim)));
    bench.close().await;
}

#[tokio::test]
async fn every_settlement_moves_the_event_where_it_says() {
    let bench = Bench::open().await;
    let error = || "what Serval said".to_owned();
    let retry = |asked| Settlement::Retry {
        at: at(100),
        asked,
        counts: true,
        in_doubt: true,
        error: error(),
    };
    let rows = [
        (retry(false), EventState::Queued, None, Some(100)),
        (retry(true), EventState::Queued, None, Some(100)),
        (
            Settlement::Release {
                in_doubt: false,
                error: Some(error()),
            },
            EventState::Queued,
            None,
            Some(0),
        ),
        (
            Settlement::Skip {
                reason: Reason::AlreadyLinked,
            },
            EventState::Skipped,
            Some("already_linked"),
            None,
        ),
        (
            Settlement::Dead {
                reason: Reason::NotFound,
                error: error(),
                in_doubt: false,
            },
            EventState::Dead,
            Some("not_found"),
            None,
        ),
        // Mapped, so there is nothing to park for: the next claim finds the mapping.
        (
            Settlement::Park { until: at(500) },
            EventState::Queued,
            None,
            Some(0),
        ),
    ];
    for (n, (settlement, state, reason, due)) in (1..).zip(rows) {
        let id = bench.queued(n).await;
        let claims = bench.claim(9, at(1)).await;
        let claim = claims.into_iter().find(|claim| claim.event == id).unwrap();
        let attempt = Some(attempt(AttemptOutcome::Retry));
        bench
            .store
            .settle(&claim, attempt, settlement.clone(), at(2))
            .await
            .unwrap();
        let detail = bench.store.event(id).await.unwrap().unwrap();
        assert_eq!(detail.row.state, state, "{settlement:?}");
        assert_eq!(detail.row.reason.as_deref(), reason, "{settlement:?}");
        assert_eq!(detail.attempts.len(), 1, "{settlement:?}");
        if let Some(due) = due {
            assert_eq!(detail.row.due_at, at(due), "{settlement:?}");
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn a_settlement_does_not_move_an_event_that_an_operator_moved() {
    let bench = Bench::open().await;
    let id = bench.queued(1).await;
    let claim = bench.claim(1, at(1)).await.remove(0);
    let dead = Settlement::Dead {
        reason: Reason::InvalidArgument,
        error: "no".to_owned(),
        in_doubt: false,
    };
    bench.store.settle(&claim, None, dead, at(2)).await.unwrap();
    let before = bench
        .store
        .replay(id, "replayed".to_owned(), at(3))
        .await
        .unwrap();
    assert_eq!(before, Some(Replay::Queued));
    assert_eq!(bench.state(id).await, EventState::Queued);
    let again = bench
        .store
        .replay(id, "replayed".to_owned(), at(4))
        .await
        .unwrap();
    assert_eq!(
        again,
        Some(Replay::NotReplayable(EventState::Queued)),
        "a queued event stays where it is"
    );
    let claim = bench.claim(1, at(5)).await.remove(0);
    assert_eq!(
        (claim.tries, claim.queued_at),
        (0, at(3)),
        "a replay begins anew"
    );
    bench.close().await;
}

/// No source makes an event that the database refuses, so the database is made to.
async fn refuse_events_of_type(bench: &Bench, event_type: &'static str) {
    let faulty = format!("NEW.event_type = '{event_type}'");
    database::refuse(&url(&bench.folder), "INSERT ON events", &faulty).await;
}

#[tokio::test]
async fn a_write_that_cannot_be_done_fails_alone_in_its_group() {
    let bench = Bench::open().await;
    refuse_events_of_type(&bench, "faulty").await;
    let mut faulty = webhook(0, at(0));
    faulty.events[0].event_type = "faulty".to_owned();
    let mut webhooks = JoinSet::new();
    let mut others = JoinSet::new();
    for n in 0..60 {
        let webhook = if n == 30 {
            faulty.clone()
        } else {
            webhook(n, at(0))
        };
        let store = bench.store.clone();
        webhooks.spawn(async move { (n, store.record(webhook).await) });
        let store = bench.store.clone();
        others.spawn(async move { store.set_paused(false, at(0)).await });
    }
    for (n, result) in webhooks.join_all().await {
        if n == 30 {
            assert!(
                matches!(result, Err(StoreError::Constraint(_))),
                "{result:?}"
            );
        } else {
            assert!(result.is_ok(), "{n}: {result:?}");
        }
    }
    assert!(others.join_all().await.iter().all(Result::is_ok));
    let stats = bench.store.levels(at(1)).await.unwrap();
    let total: i64 = stats.counts.iter().map(|(_, _, n)| n).sum();
    assert_eq!(total, 59, "all but the faulty one, each counted once");
    let filter = EventFilter {
        limit: 100,
        ..EventFilter::default()
    };
    assert_eq!(bench.store.events(&filter).await.unwrap().len(), 59);
    assert!(bench.record(99).await.id.0 > 59, "it goes on");
    bench.close().await;
}

#[tokio::test]
async fn what_is_asked_for_together_is_answered_each_with_its_own() {
    let bench = Bench::open().await;
    let mut writes = JoinSet::new();
    for n in 0..300 {
        let store = bench.store.clone();
        // Every delivery twice, in one group more often than not.
        let mut webhook = webhook(n % 150, at(0));
        webhook.events[0].delivery_key = Some(format!("key-{}", n % 150));
        writes.spawn(async move { (n % 150, store.record(webhook).await.unwrap().remove(0)) });
    }
    let mut by_ticket: BTreeMap<u32, Vec<Recorded>> = BTreeMap::new();
    for (n, recorded) in writes.join_all().await {
        assert_eq!(recorded.external_id, Some(ticket(n).external_id));
        by_ticket.entry(n).or_default().push(recorded);
    }
    for (n, pair) in by_ticket {
        assert_eq!(pair[0].id, pair[1].id, "{n}");
        assert_ne!(pair[0].duplicate, pair[1].duplicate, "{n}");
    }
    bench.close().await;
}

#[tokio::test]
async fn counts_are_what_a_real_count_finds_after_any_history() {
    for seed in 0..6 {
        let bench = Bench::open().await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut now = 0;
        for _ in 0..150 {
            now += dice.i64(0..20);
            random_step(&bench, &mut dice, at(now)).await;
        }
        let stats = bench.store.levels(at(now)).await.unwrap();
        let counted: BTreeMap<_, _> = stats
            .counts
            .iter()
            .map(|(source, state, n)| ((source.clone(), state.as_str()), *n))
            .collect();
        let everything = EventFilter {
            limit: 10_000,
            ..EventFilter::default()
        };
        let mut real: BTreeMap<_, i64> = BTreeMap::new();
        for row in bench.store.events(&everything).await.unwrap() {
            *real.entry((row.source, row.state.as_str())).or_default() += 1;
        }
        assert_eq!(counted, real, "seed {seed}");
        assert!(real.len() >= 4, "seed {seed} had a history: {real:?}");
        let parked = EventFilter {
            state: Some(EventState::Parked),
            ..everything
        };
        let tickets: Vec<_> = bench.store.events(&parked).await.unwrap();
        let distinct: BTreeSet<_> = tickets.iter().map(|row| &row.external_id).collect();
        assert_eq!(
            distinct.len(),
            tickets.len(),
            "one parked event for each ticket"
        );
        bench.close().await;
    }
}

async fn random_step(bench: &Bench, dice: &mut fastrand::Rng, now: Timestamp) {
    let n = dice.u32(0..12);
    match dice.u32(0..10) {
        0..=3 => {
            let mut webhook = webhook(n, now);
            webhook.events[0].disposition = match dice.u32(0..8) {
                0 => Disposition::Ignore("edited"),
                1 => Disposition::Bury(Reason::ClassConflict),
                2 => Disposition::Skip(Reason::Echo),
                _ => Disposition::Connect,
            };
            webhook.events[0].rank = Rank(dice.i64(0..4), 0);
            webhook.events[0].delivery_key = Some(format!("key-{}", dice.u32(0..100)));
            if webhook.events[0].disposition == Disposition::Connect {
                webhook.events[0].content_key = Some(format!("content-{}", dice.u32(0..100)));
            }
            bench.store.record(webhook).await.unwrap();
        }
        4 => bench.map(n, &format!("tkt-{}", dice.u32(0..3))).await,
        5 => drop(
            bench
                .store
                .delete_mapping(&ticket(n), Precondition::None, Removal::KeepLink, now)
                .await
                .unwrap()
                .unwrap(),
        ),
        6 => drop(bench.store.expire_parked(now).await.unwrap()),
        7 => {
            let filter = EventFilter {
                state: Some(EventState::Dead),
                limit: 5,
                ..EventFilter::default()
            };
            bench
                .store
                .replay_many(filter, "replayed".to_owned(), now)
                .await
                .unwrap();
        }
        _ => {
            for claim in bench
                .store
                .claim(ClaimScope::Due, 3, now, LEASE)
                .await
                .unwrap()
            {
                let settlement = match (dice.u32(0..5), &claim.mapped_to) {
                    (_, None) => Settlement::Park { until: now },
                    (0, _) => Settlement::Dead {
                        reason: Reason::InvalidArgument,
                        error: "no".to_owned(),
                        in_doubt: false,
                    },
                    (1, _) => Settlement::Skip {
                        reason: Reason::AlreadyConnected,
                    },
                    // Its claim runs out.
                    (2, _) => continue,
                    (_, Some(_)) => connected(&claim),
                };
                match bench.store.settle(&claim, None, settlement, now).await {
                    Ok(()) | Err(SettleError::LostClaim) => {}
                    Err(SettleError::Store(error)) => panic!("{error}"),
                }
            }
        }
    }
}

/// More events than a statement takes rows: in one webhook, and in one group of results.
#[tokio::test]
async fn what_takes_several_statements_is_stored_and_settled_whole() {
    let bench = Bench::open().await;
    let many = 150;
    bench.map_all(many).await;
    let events = |n: u32| {
        let mut events = webhook(n, at(1)).events;
        events[0].delivery_key = Some(format!("wh:{n}"));
        events[0].object = 0..2;
        events.remove(0)
    };
    let batch = |events: Vec<NewEvent>| Webhook {
        events,
        ..webhook(1, at(1))
    };
    let recorded = bench
        .store
        .record(batch((1..=many).map(events).collect()))
        .await
        .unwrap();
    assert!(recorded.iter().all(|event| !event.duplicate));
    // The last 75 of them again, and 75 that are new.
    let again = bench
        .store
        .record(batch((76..=225).map(events).collect()))
        .await
        .unwrap();
    let (known, new) = again.split_at(75);
    assert!(known.iter().zip(&recorded[75..]).all(|(again, first)| {
        again.duplicate && again.id == first.id && again.external_id == first.external_id
    }));
    assert!(
        new.iter()
            .all(|event| !event.duplicate && event.state == EventState::Parked)
    );
    let claims = bench.claim(1000, at(2)).await;
    assert_eq!(claims.len(), 150);
    let settle = async |claim: &Claim| {
        let connected = Settlement::Connected {
            ticket_id: claim.mapped_to.clone().unwrap(),
            reason: None,
            reconnects: false,
        };
        let attempt = attempt(AttemptOutcome::Connected);
        bench
            .store
            .settle(claim, Some(attempt), connected, at(3))
            .await
    };
    let settled = futures_util::future::join_all(claims.iter().map(settle)).await;
    assert!(settled.iter().all(Result::is_ok));
    let counts = bench.store.levels(at(4)).await.unwrap().counts;
    let connected = ("servicenow".to_owned(), EventState::Connected, 150);
    assert!(counts.contains(&connected), "{counts:?}");
    for claim in &claims {
        let event = bench.store.event(claim.event).await.unwrap().unwrap();
        assert_eq!(
            (event.attempts.len(), event.row.state),
            (1, EventState::Connected)
        );
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_delays_no_unlink() {
    needs_a_file!();
    let bench = Bench::open().await;
    let event = bench.queued(1).await;
    let connected = Settlement::Connected {
        ticket_id: "tkt-1".parse().unwrap(),
        reason: None,
        reconnects: false,
    };
    bench.settle(event, connected, at(1)).await;
    let put = PutMapping {
        disconnects_others: false,
        ticket: ticket(1),
        ticket_id: "tkt-2".parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old: true,
        several_per_ticket: true,
        reconnects: false,
    };
    let put = bench.store.put_mapping(put, Precondition::None, at(7200));
    put.await.unwrap().unwrap();
    // The clock shows an hour less than before.
    let now = at(3600);
    let next = bench.store.next_unlink(now, LEASE).await.unwrap();
    assert!(next.is_none(), "it was asked for in the future");
    let (store, jump) = (&bench.store, -3_600_000);
    store.follow_clock(jump, now).await.unwrap();
    let next = store.next_unlink(now, LEASE).await.unwrap().unwrap();
    assert_eq!((next.ticket_id.as_str(), next.queued_at), ("tkt-1", now));
    bench.close().await;
}
