//! How the store finds its rows on Postgres: by an index, and without going over what waits. The server's own counters
//! tell what was read, whatever the planner knew about the tables.

use jiff::Timestamp;
use serval_connect::domain::event::Rank;
use serval_connect::domain::report::Report;
use serval_connect::store::{ClaimScope, Offer, Precondition, Removal, Settlement, Webhook};
use tokio::task::JoinSet;

use crate::store::{Bench, LEASE, at, connected, ticket, url, webhook};
use crate::store_imports::row;
use crate::store_plans::look_at_everything;
use crate::support::{Database, eventually, postgres};

/// Number of queued events, each of an external ticket of its own, and number of events of each other kind.
const BACKLOG: i64 = 100_000;
const OTHERS: i64 = 20_000;
/// The most rows that one thing that is asked may read of the tables that grow: less than there are of any kind. The
/// page of failures looks at the last 10,000 calls.
const FEW: i64 = 12_000;

/// Events of the past: finished ones, and the external tickets of all.
const PAST: &str = "
    INSERT INTO external_tickets (id, source, external_id, ticket_id, accounted_for, origin, created_at, updated_at)
    SELECT n, 'servicenow', lpad(to_hex(n), 32, '0'), 'tkt-' || n, '[]', 'api', 0, 0
    FROM generate_series(1000001, 1000000 + $BACKLOG) AS n;
    INSERT INTO external_tickets (id, source, external_id)
    SELECT n, 'servicenow', lpad(to_hex(n), 32, '0') FROM generate_series(2000001, 2000000 + $OTHERS) AS n;
    INSERT INTO events (id, state, due_at, received_at, queued_at, updated_at, rank_major, rank_minor, source, external,
        event_type, first_state, content, ticket_id)
    SELECT n, 'connected', 0, 0, 0, 0, 1, 1, 'servicenow', 1000000 + n, 'incident.update', 'queued',
        decode(md5('c' || n), 'hex'), 'tkt-' || 1000000 + n
    FROM generate_series(1, $OTHERS) AS n;
    INSERT INTO connections SELECT external, ticket_id, 0, id FROM events;
    INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, probe)
    SELECT id, 0, 1, ticket_id, 'connected', FALSE FROM events;
    INSERT INTO changes (event_id, at, state) SELECT id, 0, 'connected' FROM events;
    INSERT INTO payloads (event_id, object_start, object_len, body) SELECT id, 0, 2, '{}' FROM events;
    SELECT setval('events_last', 3000000)";

/// What an outage leaves: queued events, of which the first are claimed, parked ones, and failures.
const OUTAGE: &str = "
    INSERT INTO events (id, state, due_at, received_at, queued_at, updated_at, rank_major, rank_minor, source, external,
        event_type, first_state, content, last_error)
    SELECT n, CASE WHEN n > 2000000 THEN 'parked' ELSE 'queued' END, n, 0, 0, 0, 1, 1, 'servicenow', n,
        'incident.update', 'queued', decode(md5('q' || n), 'hex'), CASE WHEN n % 2 = 0 THEN 'no answer' END
    FROM (SELECT generate_series(1000001, 1000000 + $BACKLOG) AS n
        UNION ALL SELECT generate_series(2000001, 2000000 + $OTHERS)) AS waiting;
    INSERT INTO payloads (event_id, object_start, object_len, body)
    SELECT id, 0, 2, '{}' FROM events WHERE id > 1000000;
    INSERT INTO claims (event_id, token, expires_at, external, ticket_id, replica)
    SELECT n, 'other', 99999999999999, n, 'tkt-' || n, 'other' FROM generate_series(1000001, 1000256) AS n;
    INSERT INTO replicas (id, started_at, seen_at, version, config_hash, dead_after_ms, calls, backend, backend_start)
    VALUES ('other', 0, 99999999999999, '', '', 0, '', 0, now());
    INSERT INTO counts VALUES ('servicenow', 'queued', $BACKLOG), ('servicenow', 'parked', $OTHERS)";

/// As if nobody had ever looked at the tables.
const NEVER_ANALYSED: &str = "
    UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";

/// Reads of whole tables, and rows that were found by an index, of the tables that grow.
const READ: &str = "
    SELECT CAST((SELECT SUM(seq_scan) FROM pg_stat_user_tables WHERE relname IN $GROW) AS BIGINT),
        CAST((SELECT SUM(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN $GROW) AS BIGINT)";
const GROW: &str =
    "('events', 'payloads', 'external_tickets', 'attempts', 'changes', 'connections')";

fn filled(statements: &str) -> String {
    let statements = statements.replace("$BACKLOG", &BACKLOG.to_string());
    let statements = statements.replace("$OTHERS", &OTHERS.to_string());
    statements.replace("$GROW", GROW)
}

/// What was read so far, by sessions that have ended.
async fn read(database: &mut Database) -> (i64, i64) {
    const OTHERS: &str = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    eventually("the sessions of the store end", async || {
        (database.value::<i64>(OTHERS).await == 0).then_some(())
    })
    .await;
    database.rows(filled(READ)).await.remove(0)
}

/// What the tests ask of the store.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Claims,
    Probe,
    NextDue,
    Settlements,
    Saves,
    NewerSave,
    Reports,
    Mapping,
    Import,
    Pages,
    Upkeep,
}

const ALL: [Asked; 11] = [
    Asked::Claims,
    Asked::Probe,
    Asked::NextDue,
    Asked::Settlements,
    Asked::Saves,
    Asked::NewerSave,
    Asked::Reports,
    Asked::Mapping,
    Asked::Import,
    Asked::Pages,
    Asked::Upkeep,
];

const RELEASE: Settlement = Settlement::Release {
    in_doubt: false,
    error: None,
};

/// Asks for it. `n` is a new external ticket.
async fn ask(bench: &Bench, asked: Asked, n: u32) {
    let store = &bench.store;
    match asked {
        Asked::Claims => assert_eq!(bench.claim(64, at(0)).await.len(), 64),
        Asked::Probe => {
            let claims = store.claim(ClaimScope::Probe, 1, at(0), LEASE).await;
            assert_eq!(claims.unwrap().len(), 1);
        }
        Asked::NextDue => assert!(store.next_due(at(0)).await.unwrap().is_some()),
        Asked::Settlements => {
            for (index, claim) in bench.claim(3, at(0)).await.into_iter().enumerate() {
                let end = if index == 0 {
                    connected(&claim)
                } else {
                    RELEASE
                };
                store.settle(&claim, None, end, at(1)).await.unwrap();
            }
        }
        Asked::Saves => {
            let mut group = JoinSet::new();
            for n in n..n + 64 {
                let store = store.clone();
                group.spawn(async move { store.record(webhook(n, at(0))).await.unwrap() });
            }
            assert_eq!(group.join_all().await.len(), 64);
        }
        Asked::NewerSave => {
            bench.map(n, &format!("new-{n}")).await;
            store.open_hand_off(Offer {
                places: 1,
                expires_at: at(60),
            });
            store.record(save(n, 1)).await.unwrap();
            let claim = store.handed_off().remove(0);
            store.record(save(n, 2)).await.unwrap();
            assert!(!store.is_current(&claim).await.unwrap());
            store.settle(&claim, None, RELEASE, at(1)).await.unwrap();
        }
        Asked::Reports => {
            for (rank, report) in [(1, Report::Save), (2, Report::Deletion)] {
                let mut webhook = save(n, rank);
                webhook.events[0].report = report;
                store.record(webhook).await.unwrap();
            }
        }
        Asked::Mapping => {
            bench.map(n, "tkt-1000001").await;
            let (removal, none) = (Removal::Unlink, Precondition::None);
            let removed = store.delete_mapping(&ticket(n), none, removal, at(1)).await;
            assert!(removed.unwrap().unwrap());
        }
        Asked::Import => {
            let import = store.begin_import().await.unwrap();
            import.stage(&[row(n, &format!("new-{n}"))]).await.unwrap();
            let sources = [ticket(n).source];
            import.apply(&sources, at(1)).await.unwrap().unwrap();
        }
        Asked::Pages => look_at_everything(bench).await,
        Asked::Upkeep => {
            store.retry_all_now(at(0)).await.unwrap();
            store.expire_parked(Timestamp::UNIX_EPOCH).await.unwrap();
        }
    }
}

fn save(n: u32, rank: i64) -> Webhook {
    let mut save = webhook(n, at(0));
    save.events[0].rank = Rank(rank, rank);
    save
}

#[tokio::test]
async fn a_full_queue_is_not_read_for_one_event_whatever_the_planner_knows() {
    if !postgres::is_wanted() {
        return;
    }
    let mut folder = tempfile::tempdir().unwrap();
    let mut database = Database::open(&url(&folder)).await;
    for statements in [PAST, "ANALYZE", OUTAGE] {
        database.run(filled(statements)).await;
    }
    let mut faults = Vec::new();
    let known = [
        ("how it was before the outage", ""),
        ("nothing", NEVER_ANALYSED),
        ("how it is", "ANALYZE"),
        ("how it is, and that all rows are old", "VACUUM ANALYZE"),
    ];
    for ((what, learn), n) in known.into_iter().zip([1, 1_001, 2_001, 3_001]) {
        database.run(learn).await;
        for (asked, n) in ALL.into_iter().zip((n..).step_by(80)) {
            let before = read(&mut database).await;
            let bench = Bench::open_in(folder).await;
            ask(&bench, asked, n).await;
            folder = bench.close().await;
            let after = read(&mut database).await;
            let (scans, rows) = (after.0 - before.0, after.1 - before.1);
            if scans > 0 || rows > FEW {
                faults.push(format!(
                    "{asked:?}, and the planner knows {what}: {scans} scans, {rows} rows"
                ));
            }
        }
    }
    database.close().await;
    assert_eq!(faults, Vec::<String>::new());
}
