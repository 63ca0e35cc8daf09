//! An import while its rows arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::room;
use super::shared;
use super::types::{Clash, ImportRow};
use crate::domain::ids::SourceName;
use crate::store::commit::growth::BYTES_PER_WRITE;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::links::channel_moves::present_id;
use crate::store::sql::{self, args, json};

/// Longest time that an import waits for the one before it.
pub(super) const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// A running import; only one is staged at a time. When it is dropped, its rows are deleted, unless it is
/// decided.
#[derive(Debug)]
pub struct Import {
    pub(super) store: Store,
    /// Number of the import. The lock lets the next import wait.
    pub(super) id: OwnedMutexGuard<i64>,
    /// Estimated bytes that its rows will take.
    bytes: AtomicU64,
}

impl Store {
    /// Begins an import, after the one before it is staged.
    pub async fn begin_import(&self) -> Result<Import, StoreError> {
        let turn = Arc::clone(&self.shared.imports).lock_owned();
        let mut id = tokio::time::timeout(TURN_PATIENCE, turn)
            .await
            .map_err(|_| StoreError::Importing)?;
        // Rows of the imports before may be there still. A number of its own keeps it apart.
        *id = if self.is_shared() {
            self.write(|tx| Box::pin(shared::begin(tx))).await?
        } else {
            *id + 1
        };
        let (store, bytes) = (self.clone(), AtomicU64::new(0));
        Ok(Import { store, id, bytes })
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        self.store.shared.leftovers.add(*self.id);
    }
}

impl Import {
    /// Stages a batch. Returns the rows that map an external ticket to another Serval ticket than an
    /// earlier row. A row that maps it to the same one replaces its message ids.
    pub async fn stage(&self, rows: &[ImportRow]) -> Result<Vec<Clash>, StoreError> {
        const STAGE: &str = concat!(
            "-- store::staged::stage
            INSERT INTO import_rows (import_id, source, external_id, ticket_id, accounted_for, line,
                unlinks_old, reconnects)
            SELECT $1, r.value ->> 0, ",
            present_id!("r.value ->> 0", "r.value ->> 1"),
            ", r.value ->> 2, r.value ->> 3,
                CAST(r.value ->> 4 AS BIGINT), CAST(r.value ->> 5 AS BIGINT), CAST(r.value ->> 6 AS BIGINT)
            FROM json_each($2) AS r WHERE TRUE
            ON CONFLICT (import_id, source, external_id) DO NOTHING"
        );
        // Of several rows of the batch, the last one counts.
        const REPLACE: &str = concat!(
            "-- store::staged::replace
            UPDATE import_rows SET accounted_for = later.accounted_for
            FROM (SELECT source, external_id, ticket_id, accounted_for,
                    ROW_NUMBER() OVER (PARTITION BY source, external_id, ticket_id ORDER BY n DESC) AS back
                FROM (SELECT r.key AS n, r.value ->> 0 AS source, ",
            present_id!("r.value ->> 0", "r.value ->> 1"),
            " AS external_id, r.value ->> 2 AS ticket_id, r.value ->> 3 AS accounted_for
                    FROM json_each($2) AS r) AS named) AS later
            WHERE later.back = 1 AND import_rows.import_id = $1
                AND import_rows.source = later.source AND import_rows.external_id = later.external_id
                AND import_rows.ticket_id = later.ticket_id"
        );
        const CLASHES: &str = concat!(
            "-- store::staged::clashes
            SELECT CAST(later.value ->> 4 AS BIGINT), first.line
            FROM json_each($2) AS later
            CROSS JOIN import_rows AS first ON first.import_id = $1
                AND first.source = later.value ->> 0 AND first.external_id = ",
            present_id!("later.value ->> 0", "later.value ->> 1"),
            " WHERE first.ticket_id <> later.value ->> 2"
        );
        let state = &self.store.shared;
        // Before the disk is full: nothing could be deleted then, and no webhook stored.
        let more = room::needed(rows);
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if let Some(files) = &state.files {
            room::check(files.lock.path(), bytes)?;
        }
        let (id, given) = (*self.id, rows.len() as u64);
        state.growth.add(given * BYTES_PER_WRITE);
        let rows = rows.iter().map(|row| {
            let ImportRow {
                ticket, ticket_id, ..
            } = row;
            (
                &ticket.source,
                &ticket.external_id,
                ticket_id,
                &row.accounted_for,
                row.line,
                i64::from(row.unlinks_old),
                i64::from(row.reconnects),
            )
        });
        let rows = json(&rows.collect::<Vec<_>>());
        let staged = self.store.write(move |tx| {
            let rows = rows.clone();
            Box::pin(async move {
                if tx.is_shared() {
                    shared::touch(tx, id).await?;
                }
                if tx.run(STAGE, args![id, &rows]).await? < given {
                    tx.run(REPLACE, args![id, &rows]).await?;
                }
                tx.fetch_all(CLASHES, args![id, &rows]).await
            })
        });
        staged.await
    }

    /// Returns the rows that give a Serval ticket a second external ticket of a source in `one_per_ticket`,
    /// unless the mapping is stored already. `first_line` maps the other external ticket.
    pub async fn shared_tickets(
        &self,
        one_per_ticket: &[SourceName],
    ) -> Result<Vec<Clash>, StoreError> {
        const SHARED: &str = "\
            -- store::staged::shared
            SELECT r.line, first.line
            FROM (SELECT source, ticket_id, MIN(line) AS line FROM import_rows
                WHERE import_id = $1 AND source IN (SELECT atom FROM json_each($2))
                GROUP BY source, ticket_id HAVING COUNT(*) > 1) AS first
            JOIN import_rows AS r ON r.import_id = $1 AND r.source = first.source
                AND r.ticket_id = first.ticket_id AND r.line > first.line
            WHERE NOT EXISTS (SELECT 1 FROM mappings AS m
                WHERE m.source = r.source AND m.external_id = r.external_id
                AND m.ticket_id = r.ticket_id)";
        let args = args![*self.id, json(one_per_ticket)];
        sql::fetch_all(&self.store.readers, SHARED, args).await
    }
}
