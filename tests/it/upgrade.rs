//! A database file of every released schema opens, is brought up to date, and works.
//!
//! The files are in `tests/fixtures/db`, one for each version. The one of the present version is
//! made by `cargo test --test it -- --ignored writes_the_database_of_this_version`.

use std::fs;
use std::path::{Path, PathBuf};

use serval_connect::domain::event::{Disposition, EventState};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use serval_connect::store::{
    AttemptOutcome, Depth, EventFilter, Settlement, Store, Webhook, back_up,
};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::store::{Bench, at, attempt, ticket, url, webhook};
use crate::support::bodies::{incident, sys_id};
use crate::support::{Daemon, Settings, needs_a_file, run};

/// The largest that a file may be: a checkout should stay small.
const MAX_BYTES: u64 = 200 << 10;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/db");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The states of the events 1 to 7 of every file.
const STATES: [EventState; 7] = [
    EventState::Connected,
    EventState::Dead,
    EventState::Expired,
    EventState::Parked,
    EventState::Skipped,
    EventState::Ignored,
    EventState::Queued,
];

/// A webhook whose delivery has a name.
fn named(n: u32) -> Webhook {
    let mut webhook = webhook(n, at(100_000));
    webhook.events[0].delivery_key = Some(format!("wh:msg_{n}"));
    webhook
}

#[tokio::test]
#[ignore = "writes a file of the repository: run once for each released version"]
async fn writes_the_database_of_this_version() {
    needs_a_file!();
    let bench = Bench::open().await;
    let settle = async |settlement: Settlement, outcome: AttemptOutcome| {
        let claim = bench.claim(1, at(1)).await.remove(0);
        let settled = bench
            .store
            .settle(&claim, Some(attempt(outcome)), settlement, at(2));
        settled.await.unwrap();
    };
    bench.queued(1).await;
    let ticket_id = "tkt_1".parse().unwrap();
    let connected = Settlement::Connected {
        ticket_id,
        reason: None,
        reconnects: false,
    };
    settle(connected, AttemptOutcome::Connected).await;
    bench.queued(2).await;
    let (reason, error) = (Reason::NotFound, "Serval answered 404".to_owned());
    settle(
        Settlement::Dead {
            reason,
            error,
            in_doubt: false,
        },
        AttemptOutcome::Dead,
    )
    .await;
    bench.store.record(webhook(3, at(0))).await.unwrap();
    bench.store.expire_parked(at(86_400)).await.unwrap();
    bench.store.record(named(4)).await.unwrap();
    for (n, disposition) in [
        (5, Disposition::Skip(Reason::Echo)),
        (6, Disposition::Ignore("deleted")),
    ] {
        let mut webhook = webhook(n, at(100_000));
        webhook.events[0].disposition = disposition;
        bench.store.record(webhook).await.unwrap();
    }
    bench.map(7, "tkt_7").await;
    bench.store.record(webhook(7, at(100_000))).await.unwrap();
    for (n, state) in (1..).zip(STATES) {
        assert_eq!(bench.state(EventId(n)).await, state);
    }
    let name = concat!("tests/fixtures/db/v", env!("CARGO_PKG_VERSION"), ".sqlite");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    // Where one is left of an earlier try.
    drop(fs::remove_file(&file));
    let folder = bench.close().await;
    back_up(&url(&folder), &file).await.unwrap();
}

#[tokio::test]
async fn a_database_of_every_released_version_opens_and_works() {
    needs_a_file!();
    for file in fixtures() {
        let shown = file.display();
        assert!(file.metadata().unwrap().len() < MAX_BYTES, "{shown}");
        let folder = tempfile::tempdir().unwrap();
        fs::copy(&file, folder.path().join("inbox.db")).unwrap();
        let url = url(&folder);
        let bench = Bench::open_in(folder).await;
        let all = EventFilter {
            limit: 100,
            ..EventFilter::default()
        };
        assert_eq!(bench.store.events(&all).await.unwrap().len(), 7, "{shown}");
        for (n, state) in (1..).zip(STATES) {
            let event = bench.store.event(EventId(n)).await.unwrap().unwrap();
            assert_eq!(event.row.state, state, "{shown}: {n}");
            let id = u32::try_from(n).unwrap();
            assert_eq!(event.row.external_id, Some(sys_id(id)), "{shown}: {n}");
            let body = (event.payload).map(|body| String::from_utf8(body.bytes.into()).unwrap());
            let expected = (state != EventState::Ignored).then(|| incident(id));
            assert_eq!(body, expected, "{shown}: {n}");
        }
        let connected = bench.store.event(EventId(1)).await.unwrap().unwrap();
        assert_eq!(
            (connected.attempts.len(), connected.changes.len()),
            (1, 2),
            "{shown}"
        );
        let mapping = bench.store.mapping(&ticket(1)).await.unwrap().unwrap();
        assert!(mapping.connected_at.is_some(), "{shown}");

        // It knows its deliveries, takes events and mappings, and gives out work.
        let repeated = bench.store.record(named(4)).await.unwrap().remove(0);
        assert_eq!((repeated.id, repeated.duplicate), (EventId(4), true));
        assert_eq!(bench.record(8).await.id, EventId(8), "{shown}");
        let mut other = named(9);
        other.events[0].delivery_key = named(4).events.remove(0).delivery_key;
        let other = bench.store.record(other).await.unwrap().remove(0);
        assert_eq!((other.id, other.duplicate), (EventId(9), false), "{shown}");
        bench.map(4, "tkt_4").await;
        let claims = bench.claim(10, at(200_000)).await;
        let mut claimed: Vec<_> = claims.iter().map(|claim| claim.event).collect();
        claimed.sort();
        assert_eq!(claimed, [EventId(4), EventId(7)], "{shown}");
        let again = bench.record(1).await;
        assert_eq!(
            again.reason.as_deref(),
            Some("already_connected"),
            "{shown}"
        );
        let folder = bench.close().await;
        let events = Store::inspect(&url, Depth::Whole).await.unwrap();
        assert_eq!(events, Some(10), "{shown}");
        drop(folder);
    }
}

type GivenUp = (i64, i64, i64, Option<&'static str>, bool);

/// Events that an earlier version gave up because of their workspace, `(id, external, rank, hint, has a
/// body)`, with the state and reason where each belongs. External tickets: 100 is unmapped, 101 too and
/// has a better parked event, 102 has a worse one, 103 is mapped, 104 connected.
const GIVEN_UP: [(GivenUp, EventState, &str); 12] = [
    ((50, 100, 1, None, true), EventState::Skipped, "superseded"),
    ((51, 100, 3, None, true), EventState::Parked, "no_mapping"),
    ((52, 100, 2, None, true), EventState::Skipped, "superseded"),
    ((53, 100, 9, None, false), EventState::Expired, "no_mapping"),
    (
        (54, 100, 0, Some("tkt_5"), true),
        EventState::Queued,
        "learning",
    ),
    ((55, 101, 4, None, true), EventState::Skipped, "superseded"),
    ((56, 102, 5, None, true), EventState::Parked, "no_mapping"),
    ((57, 103, 1, None, true), EventState::Queued, ""),
    ((58, 103, 1, Some("tkt_103"), true), EventState::Queued, ""),
    (
        (59, 103, 1, Some("tkt_5"), true),
        EventState::Queued,
        "learning",
    ),
    (
        (60, 104, 1, None, false),
        EventState::Skipped,
        "already_connected",
    ),
    (
        (61, 104, 1, Some("tkt_104"), true),
        EventState::Skipped,
        "already_connected",
    ),
];

#[tokio::test]
async fn events_of_a_second_workspace_go_to_where_they_would_stand_today() {
    const PARKED: [((i64, i64, i64), EventState, &str); 2] = [
        ((40, 101, 5), EventState::Parked, "no_mapping"),
        ((41, 102, 4), EventState::Skipped, "superseded"),
    ];

    needs_a_file!();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(&fixtures()[0], folder.path().join("inbox.db")).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("inbox.db"));
    let mut database = options.connect().await.unwrap();
    let mut run = async |statement: String| {
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::query(statement).execute(&mut database).await.unwrap();
    };
    for id in 100..105 {
        let ticket_id = Some(format!("'tkt_{id}'")).filter(|_| id >= 103);
        let ticket_id = ticket_id.unwrap_or("NULL".to_owned());
        run(format!(
            "INSERT INTO external_tickets (id, source, external_id, team, ticket_id, origin,
                created_at, updated_at, accounted_for)
             VALUES ({id}, 'slack', 'C111:{id}.1', 'T1', {ticket_id}, 'api', 1, 1, '[]')"
        ))
        .await;
    }
    run("INSERT INTO connections VALUES (104, 'tkt_104', 1, 1)".to_owned()).await;
    let event = |id: i64, external: i64, rank: i64, state: &str, reason: &str, hint: &str| {
        // The second number of a message is negative.
        let rank = rank - 100;
        format!(
            "INSERT INTO events (id, state, due_at, received_at, queued_at, updated_at, rank_major,
                rank_minor, source, external, event_type, first_state, first_reason, reason, hint)
             VALUES ({id}, '{state}', 1, 1, 1, 1, 1, {rank}, 'slack', {external}, 'message',
                '{state}', '{reason}', '{reason}', {hint})"
        )
    };
    for ((id, external, rank), ..) in PARKED {
        run(event(id, external, rank, "parked", "no_mapping", "NULL")).await;
    }
    for ((id, external, rank, hint, has_body), ..) in GIVEN_UP {
        let hint = hint.map_or("NULL".to_owned(), |hint| format!("'{hint}'"));
        run(event(id, external, rank, "dead", "team_conflict", &hint)).await;
        if has_body {
            run(format!("INSERT INTO payloads VALUES ({id}, 0, 2, x'7b7d')")).await;
        }
    }
    run("INSERT INTO counts VALUES ('slack', 'dead', 12), ('slack', 'parked', 2)".to_owned()).await;
    drop(database);

    let bench = Bench::open_in(folder).await;
    let given_up = GIVEN_UP.map(|((id, ..), state, reason)| (id, state, reason));
    let parked = PARKED.map(|((id, ..), state, reason)| (id, state, reason));
    for (id, state, reason) in given_up.into_iter().chain(parked) {
        let event = bench.store.event(EventId(id)).await.unwrap().unwrap();
        assert_eq!(event.row.state, state, "{id}");
        assert_eq!(event.row.reason.unwrap_or_default(), reason, "{id}");
        let moved = id != 40;
        assert_eq!(event.changes.len(), 1 + usize::from(moved), "{id}");
    }
    let claimed = bench.claim(10, at(4_000_000_000)).await;
    let mut claimed: Vec<i64> = claimed.iter().map(|claim| claim.event.0).collect();
    claimed.sort_unstable();
    assert_eq!(claimed, [7, 54, 57], "the oldest of each external ticket");
    let folder = bench.close().await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("inbox.db"));
    let mut database = options.connect().await.unwrap();
    let wrong: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT source, state, n FROM counts WHERE n <> 0
            EXCEPT SELECT source, state, COUNT(*) FROM events GROUP BY source, state)",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(wrong, 0, "the counts are those of the events");
}

#[tokio::test]
async fn a_backup_of_every_released_version_is_restored_and_delivered() {
    needs_a_file!();
    for file in fixtures() {
        let mock = MockServal::start(MockConfig::default()).await.unwrap();
        let mut daemon = Daemon::start(&mock, &Settings::default()).await;
        daemon.kill().await;
        for suffix in ["", "-wal", "-shm"] {
            let path = format!("data/inbox.db{suffix}");
            // The log may be gone already.
            drop(fs::remove_file(daemon.folder().join(path)));
        }
        let mut arguments = daemon.arguments("restore");
        arguments.push(file.to_str().unwrap());
        let restored = run(daemon.folder(), &arguments).await;
        assert!(restored.status.success(), "{restored:?}");
        daemon.start_again().await;
        daemon.admin.wait_for_state("evt_7", "connected").await;
        assert_eq!(mock.links()[0].external_ticket_id, sys_id(7));
    }
}
