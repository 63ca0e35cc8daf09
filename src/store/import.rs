//! Imports of many mappings: staged in small transactions while they arrive, applied in one.
//!
//! Invariant: `mappings` and `events` change in the last transaction only, all or nothing, and that
//! one is made of set-wide statements, so that acknowledgements of webhooks wait for it briefly.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::StoreError;
use super::mappings::{Origin, best_event};
use super::writer::Tx;
use super::{Store, millis, state};
use crate::domain::event::EventState;
use crate::domain::ids::{ExternalTicket, ServalTicketId};

/// How long an import waits for the one before it.
const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// Whose turn it is to import: one at a time, each with a number of its own.
#[derive(Debug)]
pub(super) struct Imports {
    turn: Arc<Semaphore>,
    last: AtomicI64,
}

impl Default for Imports {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            last: AtomicI64::new(0),
        }
    }
}

/// A mapping to import.
#[derive(Debug, Clone)]
pub struct ImportRow {
    /// Where the file says so, counted from 1.
    pub line: u64,
    /// What is mapped.
    pub ticket: ExternalTicket,
    /// To which Serval ticket.
    pub ticket_id: ServalTicketId,
    /// Serval message ids that the external ticket has already.
    pub accounted_for: Vec<String>,
}

/// Two rows that map one external ticket to different Serval tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The later row.
    pub line: u64,
    /// The earlier row.
    pub first_line: u64,
}

/// What an import did. A row that says what a mapping said already counts as replacing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Mappings that there were not.
    pub created: u64,
    /// Mappings that there were.
    pub replaced: u64,
}

/// An import in hand. Dropped, it leaves rows that nothing reads and the next one removes.
#[derive(Debug)]
pub struct Import {
    store: Store,
    id: i64,
    _turn: OwnedSemaphorePermit,
}

impl Store {
    /// Begins an import, after the one in hand if there is one.
    pub async fn begin_import(&self) -> Result<Import, StoreError> {
        let imports = &self.shared.imports;
        let turn = Arc::clone(&imports.turn).acquire_owned();
        let turn = tokio::time::timeout(TURN_PATIENCE, turn)
            .await
            .map_err(|_| StoreError::Overloaded)?
            .map_err(|_| StoreError::Closed)?;
        // A write of an import that was dropped may still be queued: the number keeps it apart.
        let id = imports.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.clear_imports().await?;
        Ok(Import {
            store: self.clone(),
            id,
            _turn: turn,
        })
    }

    async fn clear_imports(&self) -> Result<(), StoreError> {
        const CLEAR: &str = "\
            -- store::import::clear
            DELETE FROM import_rows";
        self.write(|tx| {
            Box::pin(async move {
                sqlx::query(CLEAR).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }
}

impl Import {
    /// Stages a batch; answers the rows that contradict an earlier one of this import. A row that
    /// repeats an earlier one replaces its message ids.
    pub async fn stage(&self, rows: &[ImportRow]) -> Result<Vec<Clash>, StoreError> {
        const STAGE: &str = "\
            -- store::import::stage
            INSERT INTO import_rows (import_id, source, external_id, ticket_id, accounted_for, line)
            SELECT $1, value ->> 0, value ->> 1, value ->> 2, value -> 3, value ->> 4
            FROM json_each($2) WHERE TRUE
            ON CONFLICT (import_id, source, external_id) DO UPDATE
            SET accounted_for = excluded.accounted_for WHERE ticket_id = excluded.ticket_id";
        const CLASHES: &str = "\
            -- store::import::clashes
            SELECT later.value ->> 4, first.line
            FROM json_each($2) AS later
            CROSS JOIN import_rows AS first ON first.import_id = $1
                AND first.source = later.value ->> 0 AND first.external_id = later.value ->> 1
            WHERE first.ticket_id <> later.value ->> 2";
        let id = self.id;
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let ticket = &row.ticket;
                let ids = (&ticket.source, &ticket.external_id, &row.ticket_id);
                (ids.0, ids.1, ids.2, &row.accounted_for, row.line)
            })
            .collect();
        let rows = serde_json::to_string(&rows).expect("strings and numbers are JSON");
        let clashes = self.store.write(move |tx| {
            let rows = rows.clone();
            Box::pin(async move {
                sqlx::query(STAGE)
                    .bind(id)
                    .bind(&rows)
                    .execute(&mut tx.connection)
                    .await?;
                let clashes: Vec<(i64, i64)> = sqlx::query_as(CLASHES)
                    .bind(id)
                    .bind(&rows)
                    .fetch_all(&mut tx.connection)
                    .await?;
                Ok(clashes)
            })
        });
        let clash = |(line, first_line): (i64, i64)| Clash {
            line: line.unsigned_abs(),
            first_line: first_line.unsigned_abs(),
        };
        Ok(clashes.await?.into_iter().map(clash).collect())
    }

    /// Writes all staged mappings, and sets their events in motion.
    pub async fn apply(self, now: Timestamp) -> Result<Imported, StoreError> {
        let id = self.id;
        let imported = self
            .store
            .write(move |tx| Box::pin(apply(tx, id, now)))
            .await?;
        self.discard().await;
        Ok(imported)
    }

    /// Forgets what is staged.
    pub async fn discard(self) {
        if let Err(error) = self.store.clear_imports().await {
            tracing::warn!(%error, "staged mappings are left behind; the next import removes them");
        }
    }
}

async fn apply(tx: &mut Tx, id: i64, now: Timestamp) -> Result<Imported, StoreError> {
    const STAGED: &str = "\
        -- store::import::staged
        SELECT COUNT(*) FROM import_rows WHERE import_id = $1";
    const KNOWN: &str = "\
        -- store::import::known
        SELECT COUNT(*) FROM import_rows AS r
        CROSS JOIN mappings AS m ON m.source = r.source AND m.external_id = r.external_id
        WHERE r.import_id = $1";
    // What is written already keeps its time and its origin, as with a single mapping.
    const WRITE: &str = "\
        -- store::import::write
        INSERT INTO mappings (source, external_id, ticket_id, accounted_for, origin, created_at,
            updated_at)
        SELECT source, external_id, ticket_id, accounted_for, $2, $3, $3
        FROM import_rows WHERE import_id = $1 ORDER BY source, external_id
        ON CONFLICT (source, external_id) DO UPDATE
        SET ticket_id = excluded.ticket_id, accounted_for = excluded.accounted_for,
            origin = excluded.origin, updated_at = excluded.updated_at
        WHERE ticket_id <> excluded.ticket_id OR accounted_for <> excluded.accounted_for";
    let staged: i64 = sqlx::query_scalar(STAGED)
        .bind(id)
        .fetch_one(&mut tx.connection)
        .await?;
    let known: i64 = sqlx::query_scalar(KNOWN)
        .bind(id)
        .fetch_one(&mut tx.connection)
        .await?;
    sqlx::query(WRITE)
        .bind(id)
        .bind(Origin::Import.as_str())
        .bind(millis(now))
        .execute(&mut tx.connection)
        .await?;
    set_in_motion(tx, id, now).await?;
    Ok(Imported {
        created: (staged - known).unsigned_abs(),
        replaced: known.unsigned_abs(),
    })
}

/// Queues the events that represent the imported tickets whose pair Serval does not have: what
/// `change::move_event` does, for a whole set.
async fn set_in_motion(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    const FIND: &str = concat!(
        "-- store::import::find
        INSERT INTO import_events (event_id)
        SELECT best FROM (
            SELECT (SELECT e.id",
        best_event!("r.source", "r.external_id"),
        ") AS best
            FROM import_rows AS r
            WHERE r.import_id = $1
                AND NOT EXISTS (SELECT 1 FROM connections AS c
                    WHERE c.source = r.source AND c.external_id = r.external_id
                    AND c.ticket_id = r.ticket_id))
        WHERE best IS NOT NULL"
    );
    const COUNT: &str = "\
        -- store::import::count
        SELECT e.source, e.state, COUNT(*)
        FROM import_events AS i JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> 'queued' GROUP BY e.source, e.state";
    const NOTE: &str = "\
        -- store::import::note
        INSERT INTO changes (event_id, at, state, reason)
        SELECT e.id, $1, 'queued', 'mapped'
        FROM import_events AS i JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> 'queued'";
    const MOVE: &str = "\
        -- store::import::move
        UPDATE events
        SET state = 'queued', reason = 'mapped', updated_at = $1, due_at = $1, not_before = 0,
            queued_at = $1, tries = 0
        WHERE id IN (SELECT event_id FROM import_events) AND state <> 'queued'";
    const EMPTY: &str = "\
        -- store::import::empty
        DELETE FROM import_events";
    let found = sqlx::query(FIND).bind(id).execute(&mut tx.connection);
    if found.await?.rows_affected() == 0 {
        return Ok(());
    }
    let moved: Vec<(String, String, i64)> =
        sqlx::query_as(COUNT).fetch_all(&mut tx.connection).await?;
    for (source, from, n) in moved {
        tx.counts
            .moved(&source, state(&from)?, EventState::Queued, n);
    }
    for statement in [NOTE, MOVE] {
        sqlx::query(statement)
            .bind(millis(now))
            .execute(&mut tx.connection)
            .await?;
    }
    sqlx::query(EMPTY).execute(&mut tx.connection).await?;
    tx.wake = true;
    Ok(())
}
