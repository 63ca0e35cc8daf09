//! Two processes on one Postgres database, as their stores see it: what one does to the claims of the other. Runs
//! whatever engine the other tests use.

use std::path::Path;
use std::time::Duration;

use serval_connect::domain::event::{ChannelNews, Disposition, EventState, Rank};
use serval_connect::domain::ids::ExternalTicket;
use serval_connect::domain::report::Report;
use serval_connect::sources::slack;
use serval_connect::store::{
    Claim, ImportRow, Origin, Precondition, PutMapping, Removal, SettleError, Settlement, Webhook,
};

use crate::store::{Bench, at, connected, message, take_over, ticket, webhook};
use crate::store_imports::row;
use crate::support::postgres::{self, needs_a_server};
use crate::support::{Database, database, eventually};

const LONG: Duration = Duration::from_mins(1);
const CHANNEL: &str = "G9DDYQ1B4";

/// What another process does while the first one has a claim and is about to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It stores and maps another ticket.
    Other,
    NewerSave,
    Deletion,
    Edit,
    MapsAgain,
    Imports,
    Unmaps,
    Unlinks,
    /// By its clock, which is ahead, the claim ran out.
    FindsExpired,
    /// The same, and somebody erases the ticket.
    Erases,
    TellsKind,
    DeletesChannel,
}

const ALL: [Change; 12] = [
    Change::Other,
    Change::NewerSave,
    Change::Deletion,
    Change::Edit,
    Change::MapsAgain,
    Change::Imports,
    Change::Unmaps,
    Change::Unlinks,
    Change::FindsExpired,
    Change::Erases,
    Change::TellsKind,
    Change::DeletesChannel,
];

/// A thread of a channel.
fn thread(n: u32) -> ExternalTicket {
    let external_id = format!("{CHANNEL}:1779146751.{n:06}");
    ExternalTicket {
        source: "slack".parse().unwrap(),
        external_id: slack::KIND.parse_external_id(&external_id).unwrap(),
    }
}

/// A message in it. `is_direct`: what it tells about the channel.
fn written(n: u32, is_direct: bool) -> Webhook {
    let mut webhook = message(n, at(0));
    webhook.source = thread(n).source;
    webhook.events[0].external_id = Some(thread(n).external_id);
    webhook.events[0].channel = Some(ChannelNews::Written {
        channel: CHANNEL.to_owned(),
        is_direct: Some(is_direct),
        ignores_direct: None,
    });
    webhook
}

/// A report about the external ticket 1, with the object of another one.
fn report(report: Report) -> Webhook {
    let mut webhook = webhook(2, at(1));
    let event = &mut webhook.events[0];
    event.external_id = Some(ticket(1).external_id);
    event.rank = Rank(1, 0);
    event.report = report;
    if report != Report::Save {
        event.disposition = Disposition::Ignore("a report");
    }
    webhook
}

impl Change {
    /// The event that is claimed before it, and its ticket.
    fn before(self) -> (Webhook, ExternalTicket) {
        match self {
            Self::TellsKind | Self::DeletesChannel => (written(1, true), thread(1)),
            Self::Edit => (message(1, at(0)), ticket(1)),
            Self::Other
            | Self::NewerSave
            | Self::Deletion
            | Self::MapsAgain
            | Self::Imports
            | Self::Unmaps
            | Self::Unlinks
            | Self::FindsExpired
            | Self::Erases => (webhook(1, at(0)), ticket(1)),
        }
    }

    async fn make(self, bench: &Bench) {
        let store = &bench.store;
        let record = async |webhook| drop(store.record(webhook).await.unwrap());
        match self {
            Self::Other => drop(bench.queued(2).await),
            Self::NewerSave => record(report(Report::Save)).await,
            Self::Deletion => record(report(Report::Deletion)).await,
            Self::Edit => record(report(Report::MessageEdit)).await,
            Self::MapsAgain => map(bench, ticket(1), "tkt-2").await,
            Self::Imports => {
                let import = store.begin_import().await.unwrap();
                let row = ImportRow {
                    unlinks_old: false,
                    ..row(1, "tkt-2")
                };
                import.stage(&[row]).await.unwrap();
                import.apply(&[], at(1)).await.unwrap().unwrap();
            }
            Self::Unmaps | Self::Unlinks => {
                let removal = if self == Self::Unmaps {
                    Removal::KeepLink
                } else {
                    Removal::Unlink
                };
                let none = Precondition::None;
                let removed = store.delete_mapping(&ticket(1), none, removal, at(1)).await;
                assert!(removed.unwrap().unwrap());
            }
            Self::FindsExpired => assert_eq!(bench.claim(1, at(61)).await.len(), 1),
            Self::Erases => assert_eq!(store.erase(&ticket(1), at(61)).await.unwrap().left, 0),
            Self::TellsKind => record(written(2, false)).await,
            Self::DeletesChannel => {
                let mut notice = written(1, true);
                let event = &mut notice.events[0];
                event.external_id = None;
                event.disposition = Disposition::Ignore("channel_deleted");
                event.channel = Some(ChannelNews::Deleted {
                    channel: CHANNEL.to_owned(),
                });
                record(notice).await;
            }
        }
    }
}

async fn map(bench: &Bench, ticket: ExternalTicket, ticket_id: &str) {
    let put = PutMapping {
        disconnects_others: false,
        ticket,
        ticket_id: ticket_id.parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old: false,
        several_per_ticket: false,
        reconnects: false,
    };
    let put = bench.store.put_mapping(put, Precondition::None, at(0));
    put.await.unwrap().unwrap();
}

/// Two processes on a database, of which the first leads. The second one counts as dead after `dead_after`.
async fn pair(test: &str, dead_after: Duration) -> (String, [Bench; 2]) {
    let url = postgres::url(Path::new(test));
    let leader = Bench::beside(&url, LONG).await;
    let other = Bench::beside(&url, dead_after).await;
    (url, [leader, other])
}

async fn close(benches: [Bench; 2]) {
    for bench in benches {
        bench.close().await;
    }
}

async fn settle(bench: &Bench, claim: &Claim, settlement: Settlement) -> Result<(), SettleError> {
    bench.store.settle(claim, None, settlement, at(2)).await
}

#[tokio::test]
async fn what_one_process_changes_about_a_claim_the_other_one_sees_before_its_call() {
    needs_a_server!();
    for change in ALL {
        let test = format!("taken_over_{change:?}");
        let (_, [one, other]) = pair(&test, LONG).await;
        let (webhook, ticket) = change.before();
        map(&one, ticket, "tkt-1").await;
        one.store.record(webhook).await.unwrap();
        let claim = one.claim(1, at(0)).await.remove(0);
        assert!(one.store.is_current(&claim).await.unwrap(), "{change:?}");
        change.make(&other).await;
        let is_current = one.store.is_current(&claim).await.unwrap();
        assert_eq!(is_current, change == Change::Other, "{change:?}");
        close([other, one]).await;
    }
}

/// Has a process be silent for this long, as the others see it.
async fn falls_silent(url: &str, bench: &Bench, seconds: i64) {
    let id = bench.store.replica_id().unwrap();
    let silent = format!(
        "UPDATE replicas SET seen_at = seen_at - {} WHERE id = '{id}'",
        seconds * 1000
    );
    assert_eq!(database::run(url, silent).await, 1);
}

#[tokio::test]
async fn a_claim_is_void_once_its_process_was_silent_for_too_long_and_not_before() {
    needs_a_server!();
    for (silent, is_void) in [(0, false), (50, false), (61, true)] {
        let test = format!("taken_over_silent_{silent}");
        let (url, [leader, other]) = pair(&test, LONG).await;
        assert!(leader.store.leads() && !other.store.leads());
        let event = other.queued(1).await;
        let claim = other.claim(1, at(0)).await.remove(0);
        falls_silent(&url, &other, silent).await;
        take_over(&leader.store).await;
        let is_current = other.store.is_current(&claim).await.unwrap();
        assert_eq!(is_current, !is_void, "{silent} s");
        let again = leader.claim(1, at(1)).await;
        let doubts: Vec<_> = again.iter().map(|claim| claim.doubt).collect();
        assert_eq!(doubts, vec![Some(event); usize::from(is_void)]);
        // Who lost the claim cannot end it, and who has it can.
        let settled = settle(&other, &claim, connected(&claim)).await;
        assert_eq!(settled.is_ok(), !is_void, "{settled:?}");
        if let Some(again) = again.first() {
            assert!(matches!(settled, Err(SettleError::LostClaim)));
            assert_eq!(leader.state(event).await, EventState::Queued);
            assert!(leader.store.is_current(again).await.unwrap());
            settle(&leader, again, connected(again)).await.unwrap();
        }
        assert_eq!(leader.state(event).await, EventState::Connected);
        close([other, leader]).await;
    }
}

#[tokio::test]
async fn a_process_that_the_others_may_take_for_dead_makes_no_call() {
    needs_a_server!();
    for (dead_after, expected) in [(LONG, true), (Duration::ZERO, false)] {
        let test = format!("taken_over_fence_{expected}");
        let (_, [leader, other]) = pair(&test, dead_after).await;
        other.queued(1).await;
        let claim = other.claim(1, at(0)).await.remove(0);
        // Nobody took anything over.
        assert!(leader.claim(1, at(1)).await.is_empty());
        assert_eq!(other.store.is_current(&claim).await.unwrap(), expected);
        close([other, leader]).await;
    }
}

#[tokio::test]
async fn a_transaction_waits_for_that_of_another_process_before_it_reads_anything() {
    const WAITING: &str = "\
        SELECT COUNT(*) FROM pg_locks
        WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    needs_a_server!();
    let (url, [one, other]) = pair("taken_over_turn", LONG).await;
    let mut held = Database::hold(&url).await;
    let recorded = async { (one.record(1).await.id, other.record(2).await.id) };
    let released = async {
        eventually("a transaction waits", async || {
            (held.value::<i64>(WAITING).await > 0).then_some(())
        })
        .await;
        // As the other process does: the next event has another number.
        held.run("SELECT setval('events_last', 40); COMMIT").await;
        held.close().await;
    };
    let ((first, second), ()) = tokio::join!(recorded, released);
    assert_eq!((first.0, second.0), (41, 42));
    close([other, one]).await;
}

/// Brings an external ticket from its webhook to its pair: one process stores it, the other one calls.
async fn round(n: u32, stores: &Bench, calls: &Bench) {
    let event = stores.queued(n).await;
    let claim = calls.claim(1, at(1)).await.remove(0);
    assert_eq!(claim.event, event);
    stores.record(n + 1).await;
    assert!(calls.store.is_current(&claim).await.unwrap());
    settle(calls, &claim, connected(&claim)).await.unwrap();
    assert_eq!(stores.state(event).await, EventState::Connected);
    let import = stores.store.begin_import().await.unwrap();
    import.stage(&[row(n, "tkt-later")]).await.unwrap();
    import.apply(&[], at(1)).await.unwrap().unwrap();
    let mapping = calls.store.mapping(&ticket(n)).await.unwrap();
    assert_eq!(mapping.unwrap().ticket_id, "tkt-later");
    let claim = calls.claim(1, at(1)).await.remove(0);
    settle(calls, &claim, connected(&claim)).await.unwrap();
    take_over(&stores.store).await;
    take_over(&calls.store).await;
}

#[tokio::test]
async fn processes_go_on_while_a_later_version_adds_to_the_schema() {
    // What a migration may do beside them.
    const LATER: &str = "\
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (99, 'later', TRUE, '', 0);
        CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY);
        CREATE INDEX events_later ON events (external, state);
        DO $$
        DECLARE
            name TEXT;
        BEGIN
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
            LOOP
                EXECUTE format('ALTER TABLE %I ADD COLUMN later BIGINT NOT NULL DEFAULT 0', name);
            END LOOP;
        END $$";
    needs_a_server!();
    let (url, [one, other]) = pair("taken_over_later", LONG).await;
    // Before and after it, so that statements are prepared that met the old tables.
    for (n, later) in [(1, None), (11, Some(LATER)), (21, None)] {
        if let Some(later) = later {
            database::run(&url, later).await;
        }
        round(n, &one, &other).await;
        round(n + 5, &other, &one).await;
    }
    let third = Bench::beside(&url, LONG).await;
    round(31, &third, &one).await;
    third.close().await;
    close([other, one]).await;
}
