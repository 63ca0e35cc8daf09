//! Erasing what is stored about one external ticket.
//!
//! Invariant: the last transaction leaves nothing, whatever arrived meanwhile. `SQLite` overwrites
//! what it deletes (`secure_delete`, see [`super::open`]), and the write-ahead log is emptied.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::ConnectOptions as _;

use super::audit::{self, Action};
use super::error::StoreError;
use super::open::base;
use super::retention::delete_events;
use super::writer::Tx;
use super::{Store, external, millis};
use crate::domain::ids::ExternalTicket;

/// Events that are erased in one transaction at most.
const STEP: i64 = 200;
/// Ids that are searched together for texts that mention the ticket.
const SEARCH_STEP: i64 = 50_000;
/// How long one try to empty the write-ahead log may hold up the writer.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(300);
const CHECKPOINT_TRIES: u32 = 10;
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(200);

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Rows by table.
    pub events: u64,
    /// Rows by table.
    pub payloads: u64,
    /// Rows by table.
    pub attempts: u64,
    /// Rows by table.
    pub changes: u64,
    /// Rows by table.
    pub mappings: u64,
    /// Rows by table.
    pub connections: u64,
    /// Rows by table.
    pub conflicts: u64,
    /// Rows by table.
    pub disconnects: u64,
    /// Errors and answers about other external tickets that named this one, and are cleared.
    pub mentions: u64,
    /// Rows that still are about it, or name it in an error or an answer.
    pub left: u64,
    /// Whether the write-ahead log was emptied into the database file. A long read, such as a
    /// backup, can stand in the way.
    pub is_log_empty: bool,
}

/// Why nothing, or not all, was erased.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EraseError {
    /// A call about it is under way.
    #[error("a call to Serval about this external ticket is under way; try again in a moment")]
    InHand,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Erases everything that is stored about `ticket`, in steps; when one fails, the next try goes
    /// on. Nothing changes at Serval.
    pub async fn erase(
        &self,
        ticket: &ExternalTicket,
        now: Timestamp,
    ) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let number = self.number(ticket).await?;
        loop {
            let (about, by) = (ticket.clone(), self.by.clone());
            let step = self
                .write(move |tx| {
                    let (about, by) = (about.clone(), by.clone());
                    Box::pin(async move {
                        let step = step(tx, &about, now).await?;
                        if step.as_ref().is_some_and(|step| step.is_last) {
                            let subject = format!("an external ticket of {}", about.source);
                            let (action, subject) = (Action::Erase, Some(subject.as_str()));
                            audit::note(tx, by.as_deref(), action, None, subject, now).await?;
                        }
                        Ok(step)
                    })
                })
                .await?
                .ok_or(EraseError::InHand)?;
            erased.add(&step.erased);
            if step.is_last {
                break;
            }
        }
        // People speak of it by its number.
        let names = [Some(ticket.external_id.as_str()), number.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        for name in &names {
            erased.mentions += self.clear_mentions(name).await?;
        }
        erased.is_log_empty = self.empty_log().await?;
        erased.left = self.left_of(ticket).await?;
        for name in &names {
            erased.left += self.clear_mentions(name).await?;
        }
        Ok(erased)
    }

    /// Rows about the ticket.
    async fn left_of(&self, ticket: &ExternalTicket) -> Result<u64, StoreError> {
        const LEFT: &str = concat!(
            "-- store::erase::left
            SELECT (SELECT COUNT(*) FROM external_tickets WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM conflicts WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM disconnects WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM audit WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM events WHERE external = ",
            external!("$1", "$2"),
            ") + (SELECT COUNT(*) FROM connections WHERE external = ",
            external!("$1", "$2"),
            ") + (SELECT COUNT(*) FROM claims WHERE external = ",
            external!("$1", "$2"),
            ")"
        );
        let left: i64 = sqlx::query_scalar(LEFT)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_one(&self.readers)
            .await?;
        Ok(u64::try_from(left).unwrap_or_default())
    }

    /// Clears the errors and answers about other external tickets that hold this name, and what
    /// people wrote; how many.
    async fn clear_mentions(&self, name: &str) -> Result<u64, StoreError> {
        const PLACES: [(&str, &str, &str); 3] = [
            (
                "SELECT COALESCE(MAX(id), 0) FROM audit",
                "SELECT id FROM audit WHERE id > $1 AND id <= $2
                    AND (instr(subject, $3) > 0 OR instr(reason, $3) > 0)",
                "UPDATE audit SET subject = NULL, reason = NULL
                    WHERE id IN (SELECT value FROM json_each($1))",
            ),
            (
                "SELECT COALESCE(MAX(id), 0) FROM events",
                "SELECT id FROM events WHERE id > $1 AND id <= $2 AND instr(last_error, $3) > 0",
                "UPDATE events SET last_error = NULL WHERE id IN (SELECT value FROM json_each($1))",
            ),
            (
                "SELECT COALESCE(MAX(id), 0) FROM attempts",
                "SELECT id FROM attempts WHERE id > $1 AND id <= $2 AND instr(answer, $3) > 0",
                "UPDATE attempts SET answer = NULL WHERE id IN (SELECT value FROM json_each($1))",
            ),
        ];
        let mut cleared = 0;
        for (last, find, clear) in PLACES {
            let last: i64 = sqlx::query_scalar(last).fetch_one(&self.readers).await?;
            let mut from = 0;
            while from < last {
                let until = from.saturating_add(SEARCH_STEP);
                let found: Vec<i64> = sqlx::query_scalar(find)
                    .bind(from)
                    .bind(until)
                    .bind(name)
                    .fetch_all(&self.readers)
                    .await?;
                from = until;
                if found.is_empty() {
                    continue;
                }
                cleared += found.len() as u64;
                let found = serde_json::to_string(&found).expect("numbers are JSON");
                self.write(move |tx| {
                    let found = found.clone();
                    Box::pin(async move {
                        sqlx::query(clear)
                            .bind(found)
                            .execute(tx.connection().await?)
                            .await?;
                        Ok(())
                    })
                })
                .await?;
            }
        }
        Ok(cleared)
    }

    /// Moves the write-ahead log into the database file and empties it; `false` when somebody reads
    /// from it for long.
    async fn empty_log(&self) -> Result<bool, StoreError> {
        const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
        // While it waits for readers the writer waits for it: in short tries.
        let mut connection = base(self.shared.lock.path())
            .busy_timeout(CHECKPOINT_PATIENCE)
            .connect()
            .await?;
        for _ in 0..CHECKPOINT_TRIES {
            let (busy, _, _): (i64, i64, i64) = sqlx::query_as(CHECKPOINT)
                .fetch_one(&mut connection)
                .await?;
            if busy == 0 {
                return Ok(true);
            }
            tokio::time::sleep(CHECKPOINT_PAUSE).await;
        }
        Ok(false)
    }
}

/// What one transaction did.
struct Step {
    erased: Erased,
    is_last: bool,
}

/// One transaction; `None` while a call is under way.
async fn step(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<Option<Step>, StoreError> {
    const IN_HAND: &str = concat!(
        "-- store::erase::in_hand
        SELECT COUNT(*) FROM claims WHERE expires_at > $3 AND external = ",
        external!("$1", "$2")
    );
    // What waits for a call goes first, so that none is made in between.
    const EVENTS: &str = concat!(
        "-- store::erase::events
        SELECT id, source, state FROM events WHERE external = ",
        external!("$1", "$2"),
        " ORDER BY state IN ('queued', 'parked') DESC, id LIMIT $3"
    );
    const MAPPED: &str = "\
        -- store::erase::mapped
        SELECT COUNT(*) FROM mappings WHERE source = $1 AND external_id = $2";
    let (source, external_id) = (ticket.source.as_str(), ticket.external_id.as_str());
    let in_hand: i64 = sqlx::query_scalar(IN_HAND)
        .bind(source)
        .bind(external_id)
        .bind(millis(now))
        .fetch_one(tx.connection().await?)
        .await?;
    if in_hand > 0 {
        return Ok(None);
    }
    let events: Vec<(i64, String, String)> = sqlx::query_as(EVENTS)
        .bind(source)
        .bind(external_id)
        .bind(STEP)
        .fetch_all(tx.connection().await?)
        .await?;
    let rows = delete_events(tx, &events).await?;
    let mut erased = Erased {
        events: events.len() as u64,
        payloads: rows.payloads,
        attempts: rows.attempts,
        changes: rows.changes,
        ..Erased::default()
    };
    let is_last = (events.len() as u64) < STEP.unsigned_abs();
    if is_last {
        let mapped: i64 = sqlx::query_scalar(MAPPED)
            .bind(source)
            .bind(external_id)
            .fetch_one(tx.connection().await?)
            .await?;
        erased.mappings = mapped.unsigned_abs();
        for (statement, count) in [
            (
                concat!(
                    "DELETE FROM connections WHERE external = ",
                    external!("$1", "$2")
                ),
                &mut erased.connections,
            ),
            (
                "DELETE FROM conflicts WHERE source = $1 AND external_id = $2",
                &mut erased.conflicts,
            ),
            (
                "DELETE FROM disconnects WHERE source = $1 AND external_id = $2",
                &mut erased.disconnects,
            ),
            // That somebody did something is kept, with whom and when; not about what.
            (
                "UPDATE audit SET source = NULL, external_id = NULL, subject = NULL, reason = NULL
                    WHERE source = $1 AND external_id = $2",
                &mut 0,
            ),
            // Of an import that broke off, or is in hand.
            (
                "DELETE FROM import_rows WHERE source = $1 AND external_id = $2",
                &mut 0,
            ),
            // Only such as ran out.
            (
                concat!(
                    "DELETE FROM claims WHERE external = ",
                    external!("$1", "$2")
                ),
                &mut 0,
            ),
            // Its number and its mapping, last: the others are found by it.
            (
                "DELETE FROM external_tickets WHERE source = $1 AND external_id = $2",
                &mut 0,
            ),
        ] {
            let deleted = sqlx::query(statement)
                .bind(source)
                .bind(external_id)
                .execute(tx.connection().await?)
                .await?;
            *count = deleted.rows_affected();
        }
    }
    Ok(Some(Step { erased, is_last }))
}

impl Erased {
    /// Rows by table, for reports.
    pub fn tables(&self) -> [(&'static str, u64); 8] {
        [
            ("events", self.events),
            ("payloads", self.payloads),
            ("attempts", self.attempts),
            ("changes", self.changes),
            ("mappings", self.mappings),
            ("connections", self.connections),
            ("conflicts", self.conflicts),
            ("disconnects", self.disconnects),
        ]
    }

    fn add(&mut self, step: &Self) {
        self.events += step.events;
        self.payloads += step.payloads;
        self.attempts += step.attempts;
        self.changes += step.changes;
        self.mappings += step.mappings;
        self.connections += step.connections;
        self.conflicts += step.conflicts;
        self.disconnects += step.disconnects;
    }
}
