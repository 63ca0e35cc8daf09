//! Fills a database that no daemon has open, much faster than webhooks could.
//!
//! Names the tables of the store: a change of the schema shows here as a failing bench.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use crate::webhooks::{Kind, ticket_id};

/// Rows of one transaction.
const STEP: u64 = 50_000;

async fn open(path: &Path) -> anyhow::Result<SqliteConnection> {
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-262144")
        .connect()
        .await?)
}

async fn close(mut connection: SqliteConnection) -> anyhow::Result<()> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    // What was written without syncing must not be synced on the daemon's account.
    std::process::Command::new("sync").status()?;
    Ok(())
}

/// Maps the webhooks numbered from 0 to their Serval tickets.
pub(crate) async fn mappings(path: &Path, kind: Kind, number: u64) -> anyhow::Result<()> {
    const INSERT: &str = "\
        INSERT OR IGNORE INTO external_tickets (source, external_id, ticket_id, accounted_for, origin,
            created_at, updated_at)
        SELECT $1, value ->> 0, value ->> 1, '[]', 'import', 0, 0 FROM json_each($2)";
    let mut connection = open(path).await?;
    for from in (0..number).step_by(usize::try_from(STEP)?) {
        let rows: Vec<(String, String)> = (from..(from + STEP).min(number))
            .map(|index| (kind.external_id(index), ticket_id(index)))
            .collect();
        sqlx::query(INSERT)
            .bind(kind.source())
            .bind(serde_json::to_string(&rows)?)
            .execute(&mut connection)
            .await?;
    }
    close(connection).await
}

/// What prefilled events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// Connected long ago, each on an external ticket of its own, with a body of 200 bytes.
    Connected,
    /// Due, mapped and numbered from 0 as webhooks are, with bodies of 240 bytes.
    Queued,
}

/// Adds `number` events.
pub(crate) async fn events(path: &Path, past: Past, number: u64) -> anyhow::Result<()> {
    if past == Past::Queued {
        mappings(path, Kind::ServiceNow, number).await?;
    }
    let mut connection = open(path).await?;
    for from in (0..number).step_by(usize::try_from(STEP)?) {
        let rows = from..(from + STEP).min(number);
        match past {
            Past::Connected => connected(&mut connection, rows.start, rows.end).await?,
            Past::Queued => queued(&mut connection, rows.start, rows.end).await?,
        }
    }
    let state = if past == Past::Queued {
        "queued"
    } else {
        "connected"
    };
    sqlx::query(
        "INSERT INTO counts (source, state, n) VALUES ('servicenow', $1, $2)
         ON CONFLICT DO UPDATE SET n = n + excluded.n",
    )
    .bind(state)
    .bind(i64::try_from(number)?)
    .execute(&mut connection)
    .await?;
    close(connection).await
}

async fn connected(connection: &mut SqliteConnection, from: u64, to: u64) -> anyhow::Result<()> {
    // The ids are random, as a sender's are, so that the indexes are as scattered as in life.
    const TICKETS: &str = "\
        WITH RECURSIVE n (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
        INSERT INTO external_tickets (source, external_id)
        SELECT 'servicenow', lower(hex(randomblob(16))) FROM n";
    const REST: [&str; 5] = [
        "INSERT INTO events (state, due_at, received_at, queued_at, updated_at, rank_major,
            rank_minor, source, external, subtype, event_type, delivery, content, first_state,
            ticket_id)
            SELECT 'connected', id, id, id, id, 0, 0, source, id, 'incident', 'update',
                randomblob(16), randomblob(16), 'queued', 'past-' || id
            FROM external_tickets WHERE id > $1",
        "INSERT INTO payloads (event_id, object_start, object_len, body)
            SELECT id, 0, 200, CAST(printf('{\"a\":\"%-192s\"}', id) AS BLOB)
            FROM events WHERE external > $1",
        "INSERT INTO changes (event_id, at, state)
            SELECT id, due_at, 'connected' FROM events WHERE external > $1",
        "INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, status, probe)
            SELECT id, due_at, 100, ticket_id, 'connected', 200, 0 FROM events WHERE external > $1",
        "INSERT INTO connections (external, ticket_id, connected_at, event_id)
            SELECT external, ticket_id, due_at, id FROM events WHERE external > $1",
    ];
    let before: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM external_tickets")
        .fetch_one(&mut *connection)
        .await?;
    let mut tx = connection.begin().await?;
    sqlx::query(TICKETS)
        .bind(i64::try_from(from)?)
        .bind(i64::try_from(to)?)
        .execute(&mut *tx)
        .await?;
    for statement in REST {
        sqlx::query(AssertSqlSafe(statement))
            .bind(before)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn queued(connection: &mut SqliteConnection, from: u64, to: u64) -> anyhow::Result<()> {
    // The mappings came first, in the order of the webhooks, so the numbers say which is whose.
    const EVENTS: &str = "\
        INSERT INTO events (id, state, due_at, received_at, queued_at, updated_at, rank_major,
            rank_minor, source, external, subtype, event_type, delivery, content, first_state)
        SELECT id, 'queued', $3, $3, $3, $3, 0, 0, source, id, 'incident', 'update',
            randomblob(16), randomblob(16), 'queued'
        FROM external_tickets WHERE id > $1 AND id <= $2";
    const PAYLOADS: &str = "\
        INSERT INTO payloads (event_id, object_start, object_len, body)
        SELECT id, 0, 240, CAST(printf('{\"sys_id\":\"%s\",\"a\":\"%-188s\"}', external_id, id) AS BLOB)
        FROM external_tickets WHERE id > $1 AND id <= $2";
    let now: i64 = sqlx::query_scalar("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)")
        .fetch_one(&mut *connection)
        .await?;
    let mut tx = connection.begin().await?;
    for statement in [EVENTS, PAYLOADS] {
        sqlx::query(statement)
            .bind(i64::try_from(from)?)
            .bind(i64::try_from(to)?)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}
