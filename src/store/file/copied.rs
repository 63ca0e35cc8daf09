//! The mark in a backup, and what the first start from one does.
//!
//! A backup shows the past: since then calls were made that it does not know. A copy is marked as it is
//! made, so that it is recognised also where somebody puts it in place without `restore`.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::retry::later;
use crate::store::engine::Conn;
use crate::store::error::StoreError;
use crate::store::links::doubts;
use crate::store::sql::{self, args, millis, moment};

const MARK: &str = "copied";
const RESTORED: &str = "restored_at";
/// Time after a restore in which Serval is asked before the first call of every pair: the backup may
/// lack the pair's connect call.
const CAUTION: Duration = Duration::from_hours(30 * 24);

/// Marks the database behind `conn` as a copy, also in its first bytes: there an open daemon sees it if somebody
/// copies the file over its database.
pub(super) async fn mark(conn: &mut Conn) -> Result<(), StoreError> {
    const HEADER: &str = "PRAGMA user_version = 1";
    sql::run(&mut *conn, HEADER, args![]).await?;
    set(conn, MARK, "true").await
}

/// Begins work on a database that may be a copy, in the transaction of the start. Returns true if it was
/// restored a short time ago.
///
/// The external tickets of all events that may still be sent are in doubt. Waiting unlinks are dropped: a pair that was unwanted
/// then may be wanted now, and to unlink cannot be taken back.
pub(crate) async fn begin(conn: &mut Conn, now: Timestamp) -> Result<bool, StoreError> {
    const GET: &str = "\
        -- store::copied::get
        SELECT value FROM settings WHERE key = $1";
    const UNMARK: &str = "\
        -- store::copied::unmark
        DELETE FROM settings WHERE key = $1";
    const DOUBT: &str = "\
        -- store::copied::doubt
        INSERT INTO doubts (external, ticket_id, event_id)
        SELECT external, $1, MAX(id) FROM events
        WHERE state IN ('queued', 'parked', 'dead', 'expired') AND external IS NOT NULL
        GROUP BY external
        ON CONFLICT (external, ticket_id) DO UPDATE SET event_id = excluded.event_id";
    const UNLINKS: &str = "\
        -- store::copied::unlinks
        DELETE FROM disconnects RETURNING source, external_id, ticket_id";
    const HEADER: &str = "PRAGMA user_version = 0";
    let unmarked = sql::run(&mut *conn, UNMARK, args![MARK]).await?;
    // This start is not the first one after a restore. The caution lasts for a while all the same.
    if unmarked == 0 {
        let at: Option<String> = sql::fetch_optional(conn, GET, args![RESTORED]).await?;
        let at = at.and_then(|at| moment(at.parse().ok()?).ok());
        return Ok(at.is_some_and(|at| now < later(at, CAUTION)));
    }
    if !conn.is_shared() {
        sql::run(&mut *conn, HEADER, args![]).await?;
    }
    set(conn, RESTORED, &millis(now).to_string()).await?;
    let doubted = sql::run(&mut *conn, DOUBT, args![doubts::ANY]).await?;
    let unlinks: Vec<(String, String, String)> = sql::fetch_all(conn, UNLINKS, args![]).await?;
    for (source, external_id, ticket_id) in unlinks {
        tracing::warn!(
            source,
            ticket.external = external_id,
            ticket.serval = ticket_id,
            "not unlinked: the backup is older than what may have been decided since; if the pair is \
             unwanted, unlink it again"
        );
    }
    tracing::warn!(
        tickets = doubted,
        "the database is a backup: Serval is asked before the calls about its external tickets are made"
    );
    Ok(true)
}

/// Moves the time of the restore by `step` milliseconds, because the clock was set by that much.
pub(super) async fn on_step(conn: &mut Conn, step: i64) -> Result<(), StoreError> {
    const MOVE: &str = "\
        -- store::copied::on_step
        UPDATE settings SET value = CAST(CAST(value AS BIGINT) + $2 AS TEXT) WHERE key = $1";
    sql::run(conn, MOVE, args![RESTORED, step]).await?;
    Ok(())
}

async fn set(conn: &mut Conn, key: &str, value: &str) -> Result<(), StoreError> {
    const SET: &str = "\
        -- store::copied::set
        INSERT INTO settings (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sql::run(conn, SET, args![key, value]).await?;
    Ok(())
}
