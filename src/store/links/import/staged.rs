//! An import while its rows arrive.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use super::apply::apply;
use super::types::{Clash, ImportRow, ImportRules, Imported, Taken};
use crate::store::audit::{self, Action};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, json};

/// Longest time that an import waits for the one before it.
const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// A running import; only one runs at a time. If it is dropped, the next one removes its rows.
#[derive(Debug)]
pub struct Import {
    store: Store,
    /// Number of the import. The lock lets the next import wait.
    id: OwnedMutexGuard<i64>,
}

impl Store {
    /// Begins an import, after the running one has ended.
    pub async fn begin_import(&self) -> Result<Import, StoreError> {
        let turn = Arc::clone(&self.shared.imports).lock_owned();
        let mut id = tokio::time::timeout(TURN_PATIENCE, turn)
            .await
            .map_err(|_| StoreError::Overloaded)?;
        // A write of a dropped import may still wait for the writer. A new number keeps it apart.
        *id += 1;
        let store = self.clone();
        store.clear_imports().await?;
        Ok(Import { store, id })
    }

    async fn clear_imports(&self) -> Result<(), StoreError> {
        const CLEAR: &str = "\
            -- store::staged::clear
            DELETE FROM import_rows";
        self.run(CLEAR, || args![]).await?;
        Ok(())
    }
}

impl Import {
    /// Stages a batch. Returns the rows that map an external ticket to another Serval ticket than an
    /// earlier row. A row that maps it to the same one replaces its message ids.
    pub async fn stage(&self, rows: &[ImportRow]) -> Result<Vec<Clash>, StoreError> {
        const STAGE: &str = "\
            -- store::staged::stage
            INSERT INTO import_rows (import_id, source, external_id, ticket_id, accounted_for, line)
            SELECT $1, value ->> 0, value ->> 1, value ->> 2, value -> 3, value ->> 4
            FROM json_each($2) WHERE TRUE
            ON CONFLICT (import_id, source, external_id) DO UPDATE
            SET accounted_for = excluded.accounted_for WHERE ticket_id = excluded.ticket_id";
        const CLASHES: &str = "\
            -- store::staged::clashes
            SELECT later.value ->> 4, first.line
            FROM json_each($2) AS later
            CROSS JOIN import_rows AS first ON first.import_id = $1
                AND first.source = later.value ->> 0 AND first.external_id = later.value ->> 1
            WHERE first.ticket_id <> later.value ->> 2";
        let id = *self.id;
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
            )
        });
        let rows = json(&rows.collect::<Vec<_>>());
        let staged = self.store.write(move |tx| {
            let rows = rows.clone();
            Box::pin(async move {
                tx.run(STAGE, args![id, &rows]).await?;
                tx.fetch_all(CLASHES, args![id, &rows]).await
            })
        });
        staged.await
    }

    /// Returns the rows that give a Serval ticket a second external ticket of a source that allows
    /// only one, unless the mapping is stored already. `first_line` maps the other external ticket.
    pub async fn shared_tickets(&self, rules: &ImportRules) -> Result<Vec<Clash>, StoreError> {
        const SHARED: &str = "\
            -- store::staged::shared
            SELECT r.line, first.line
            FROM (SELECT source, ticket_id, MIN(line) AS line FROM import_rows
                WHERE import_id = $1 AND source IN (SELECT value FROM json_each($2))
                GROUP BY source, ticket_id HAVING COUNT(*) > 1) AS first
            JOIN import_rows AS r ON r.import_id = $1 AND r.source = first.source
                AND r.ticket_id = first.ticket_id AND r.line > first.line
            WHERE NOT EXISTS (SELECT 1 FROM mappings AS m
                WHERE m.source = r.source AND m.external_id = r.external_id
                AND m.ticket_id = r.ticket_id)";
        let args = args![*self.id, json(&rules.one_per_ticket)];
        sql::fetch_all(&self.store.readers, SHARED, args).await
    }

    /// Writes all staged mappings and queues their events; or writes nothing, and returns the rows
    /// whose Serval ticket is taken.
    pub async fn apply(
        self,
        rules: ImportRules,
        now: Timestamp,
    ) -> Result<Result<Imported, Vec<Taken>>, StoreError> {
        let (id, by) = (*self.id, self.store.by.clone());
        let applied = self.store.write(move |tx| {
            let (rules, by) = (rules.clone(), by.clone());
            Box::pin(async move {
                let applied = apply(tx, id, &rules, now).await?;
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

    /// Removes the staged rows.
    pub async fn discard(self) {
        if let Err(error) = self.store.clear_imports().await {
            tracing::warn!(%error, "staged mappings are left behind; the next import removes them");
        }
    }
}
