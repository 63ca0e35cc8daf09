//! Imports of many mappings: staged in small transactions while they arrive, applied in one.
//!
//! Invariant: `mappings` and `events` change in the last transaction only, all or nothing, and that
//! one is made of set-wide statements, so that acknowledgements of webhooks wait for it briefly.

mod apply;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Store;
use super::audit::{self, Action};
use super::error::StoreError;
use crate::domain::ids::{ExternalTicket, ServalTicketId, SourceName};

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

/// A row whose Serval ticket has another external ticket of the source already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The row.
    pub line: u64,
    /// The other external ticket.
    pub external_id: String,
}

/// What the configuration says of sources, as far as an import cares.
#[derive(Debug, Clone, Default)]
pub struct ImportRules {
    /// Sources of which a Serval ticket has one external ticket at most.
    pub one_per_ticket: Vec<SourceName>,
    /// Sources of which a pair that is replaced is taken apart at Serval.
    pub disconnects_old: Vec<SourceName>,
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
                sqlx::query(CLEAR).execute(tx.connection().await?).await?;
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
        let rows = json(&rows);
        let clashes = self.store.write(move |tx| {
            let rows = rows.clone();
            Box::pin(async move {
                sqlx::query(STAGE)
                    .bind(id)
                    .bind(&rows)
                    .execute(tx.connection().await?)
                    .await?;
                let clashes: Vec<(i64, i64)> = sqlx::query_as(CLASHES)
                    .bind(id)
                    .bind(&rows)
                    .fetch_all(tx.connection().await?)
                    .await?;
                Ok(clashes)
            })
        });
        Ok(clashes.await?.into_iter().map(clash).collect())
    }

    /// The rows that give a Serval ticket a second external ticket of the same source, where that
    /// is not allowed and not so already. Here `first_line` maps another external ticket.
    pub async fn shared_tickets(&self, rules: &ImportRules) -> Result<Vec<Clash>, StoreError> {
        const SHARED: &str = "\
            -- store::import::shared
            SELECT r.line, first.line
            FROM (SELECT source, ticket_id, MIN(line) AS line FROM import_rows
                WHERE import_id = $1 AND source IN (SELECT value FROM json_each($2))
                GROUP BY source, ticket_id HAVING COUNT(*) > 1) AS first
            JOIN import_rows AS r ON r.import_id = $1 AND r.source = first.source
                AND r.ticket_id = first.ticket_id AND r.line > first.line
            WHERE NOT EXISTS (SELECT 1 FROM mappings AS m
                WHERE m.source = r.source AND m.external_id = r.external_id
                AND m.ticket_id = r.ticket_id)";
        let clashes: Vec<(i64, i64)> = sqlx::query_as(SHARED)
            .bind(self.id)
            .bind(json(&rules.one_per_ticket))
            .fetch_all(&self.store.readers)
            .await?;
        Ok(clashes.into_iter().map(clash).collect())
    }

    /// Writes all staged mappings, and sets their events in motion; or nothing, and answers the
    /// rows that stand in the way.
    pub async fn apply(
        self,
        rules: ImportRules,
        now: Timestamp,
    ) -> Result<Result<Imported, Vec<Taken>>, StoreError> {
        let (id, by) = (self.id, self.store.by.clone());
        let applied = self.store.write(move |tx| {
            let (rules, by) = (rules.clone(), by.clone());
            Box::pin(async move {
                let applied = apply::apply(tx, id, &rules, now).await?;
                if let Ok(Imported { created, replaced }) = &applied {
                    let subject = format!("{created} created, {replaced} replaced");
                    let action = Action::Import;
                    audit::note(tx, by.as_deref(), action, None, Some(&subject), now).await?;
                }
                Ok(applied)
            })
        });
        let applied = applied.await?;
        self.discard().await;
        Ok(applied)
    }

    /// Forgets what is staged.
    pub async fn discard(self) {
        if let Err(error) = self.store.clear_imports().await {
            tracing::warn!(%error, "staged mappings are left behind; the next import removes them");
        }
    }
}

fn clash((line, first_line): (i64, i64)) -> Clash {
    Clash {
        line: line.unsigned_abs(),
        first_line: first_line.unsigned_abs(),
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and numbers are JSON")
}
