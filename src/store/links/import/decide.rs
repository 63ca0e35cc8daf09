//! The checks of an import that need the stored mappings, and its decision.

use std::sync::Arc;

use jiff::Timestamp;

use super::decided::Decided;
use super::staged::{Import, TURN_PATIENCE};
use super::types::{Imported, Taken};
use crate::domain::ids::SourceName;
use crate::store::audit::{self, Action};
use crate::store::error::StoreError;
use crate::store::sql::{self, args, json, millis};

/// Finds the rows whose Serval ticket has, and keeps, another external ticket of the source. A row
/// that equals a stored mapping is not one of them.
const TAKEN: &str = "\
    -- store::decide::taken
    SELECT r.line, m.external_id
    FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.ticket_id = r.ticket_id AND m.source = r.source
        AND m.external_id <> r.external_id
    WHERE r.import_id = $1 AND r.source IN (SELECT value FROM json_each($2))
        AND NOT EXISTS (SELECT 1 FROM import_rows AS o
            WHERE o.import_id = $1 AND o.source = m.source AND o.external_id = m.external_id
            AND o.ticket_id <> m.ticket_id)
        AND NOT EXISTS (SELECT 1 FROM mappings AS own
            WHERE own.source = r.source AND own.external_id = r.external_id
            AND own.ticket_id = r.ticket_id)
    GROUP BY r.line";
/// Counts the rows, and those that have a mapping.
const COUNT: &str = "\
    -- store::decide::count
    SELECT COUNT(*), COUNT(m.external)
    FROM import_rows AS r
    LEFT JOIN mappings AS m ON m.source = r.source AND m.external_id = r.external_id
    WHERE r.import_id = $1";
const DECIDE: &str = "\
    -- store::decide::decide
    INSERT INTO imports (id, decided_at) VALUES ($1, $2)";

impl Import {
    /// Writes all staged mappings and queues their events; or writes nothing, and returns the rows
    /// whose Serval ticket is taken, in the sources that allow one external ticket for each.
    ///
    /// Once it is decided, it is written also if this fails or is dropped.
    pub async fn apply(
        self,
        one_per_ticket: &[SourceName],
        now: Timestamp,
    ) -> Result<Result<Imported, Vec<Taken>>, StoreError> {
        let store = &self.store;
        // From here to the last row nobody else writes a mapping, so what is checked stays true. Readers check,
        // because webhooks would wait for the writer.
        let alone = Arc::clone(&store.shared.mappings).write_owned();
        let alone = tokio::time::timeout(TURN_PATIENCE, alone)
            .await
            .map_err(|_| StoreError::Importing)?;
        let id = *self.id;
        let args = args![id, json(one_per_ticket)];
        let taken: Vec<Taken> = sql::fetch_all(&store.readers, TAKEN, args).await?;
        if !taken.is_empty() {
            return Ok(Err(taken));
        }
        let (staged, known): (i64, i64) = sql::fetch_one(&store.readers, COUNT, args![id]).await?;
        let (created, replaced) = ((staged - known).unsigned_abs(), known.unsigned_abs());
        let decided = Arc::new(Decided::new(id, now, alone));
        let (end, by) = (decided.end(), store.by.clone());
        let deciding = store.write(move |tx| {
            let (decided, by) = (Arc::clone(&decided), by.clone());
            Box::pin(async move {
                tx.run(DECIDE, args![id, millis(now)]).await?;
                let subject = format!("{created} created, {replaced} replaced");
                let action = Action::Import;
                audit::note(tx, by.as_deref(), action, None, Some(&subject), now).await?;
                tx.effects.decided = Some(decided);
                Ok(())
            })
        });
        deciding.await?;
        end.reached().await?;
        Ok(Ok(Imported { created, replaced }))
    }
}
