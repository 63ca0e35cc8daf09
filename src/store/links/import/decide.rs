//! The checks of an import that need the stored mappings, and its decision.

use std::sync::Arc;

use jiff::Timestamp;

use super::decided::Decided;
use super::shared;
use super::staged::{Import, TURN_PATIENCE};
use super::types::{Imported, Taken};
use crate::domain::ids::SourceName;
use crate::store::audit::{self, Action};
use crate::store::commit::tx::Tx;
use crate::store::engine::Via;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, json, millis};

/// Finds the rows whose Serval ticket has, and keeps, another external ticket of the source. A row
/// that equals a stored mapping is not one of them.
const TAKEN: &str = "\
    -- store::decide::taken
    SELECT r.line, MIN(m.external_id)
    FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.ticket_id = r.ticket_id AND m.source = r.source
        AND m.external_id <> r.external_id
    WHERE r.import_id = $1 AND r.source IN (SELECT atom FROM json_each($2))
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
/// Counts the pairs that Serval has with other Serval tickets, and keeps: see `UNLINK` in `step.rs`.
const STILL: &str = "\
    -- store::decide::still_connected
    SELECT COUNT(*)
    FROM import_rows AS r
    CROSS JOIN external_tickets AS x ON x.source = r.source AND x.external_id = r.external_id
    CROSS JOIN connections AS c ON c.external = x.id AND c.ticket_id <> r.ticket_id
    WHERE r.import_id = $1
        AND NOT (r.unlinks_old = 1 AND x.ticket_id IS NOT DISTINCT FROM c.ticket_id
            AND NOT EXISTS (SELECT 1 FROM mappings AS o
                JOIN connections AS oc ON oc.external = o.external AND oc.ticket_id = o.ticket_id
                WHERE o.ticket_id = c.ticket_id AND o.source = r.source AND o.external <> x.id
                AND NOT EXISTS (SELECT 1 FROM import_rows AS other
                    WHERE other.import_id = $1 AND other.source = o.source
                    AND other.external_id = o.external_id AND other.ticket_id <> o.ticket_id)))";
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
        let one_per_ticket = json(one_per_ticket);
        let checked = if store.is_shared() {
            // Other processes may write mappings until the transaction begins. It checks.
            None
        } else {
            let taken = taken(&store.readers, id, &one_per_ticket).await?;
            if !taken.is_empty() {
                return Ok(Err(taken));
            }
            Some(count(store, id).await?)
        };
        let decided = Arc::new(Decided::new(id, now, alone));
        let (end, by) = (decided.end(), store.by.clone());
        let deciding = store.write(move |tx| {
            let (decided, by) = (Arc::clone(&decided), by.clone());
            let one_per_ticket = one_per_ticket.clone();
            Box::pin(async move {
                let imported = match checked {
                    Some(imported) => imported,
                    None => match check_alone(tx, id, &one_per_ticket).await? {
                        Ok(imported) => imported,
                        Err(taken) => return Ok(Err(taken)),
                    },
                };
                tx.run(DECIDE, args![id, millis(now)]).await?;
                let Imported {
                    created, replaced, ..
                } = imported;
                let subject = format!("{created} created, {replaced} replaced");
                let action = Action::Import;
                audit::note(tx, by.as_deref(), action, None, Some(&subject), now).await?;
                tx.effects.decided = Some(decided);
                Ok(Ok(imported))
            })
        });
        let imported = match deciding.await? {
            Ok(imported) => imported,
            Err(taken) => return Ok(Err(taken)),
        };
        end.reached().await?;
        Ok(Ok(imported))
    }
}

/// Checks in the transaction that decides.
async fn check_alone(
    tx: &mut Tx,
    id: i64,
    one_per_ticket: &str,
) -> Result<Result<Imported, Vec<Taken>>, StoreError> {
    if tx.is_importing {
        return Err(StoreError::Importing);
    }
    shared::touch(tx, id).await?;
    let taken = taken(tx.connection().await?, id, one_per_ticket).await?;
    if !taken.is_empty() {
        return Ok(Err(taken));
    }
    let counted = tx.fetch_one(COUNT, args![id]).await?;
    let still = tx.fetch_one(STILL, args![id]).await?;
    Ok(Ok(imported(counted, still)))
}

/// Returns the rows whose Serval ticket is taken.
async fn taken<'c>(
    via: impl Into<Via<'c>>,
    id: i64,
    one_per_ticket: &str,
) -> Result<Vec<Taken>, StoreError> {
    sql::fetch_all(via, TAKEN, args![id, one_per_ticket]).await
}

/// Returns the numbers of the mappings that the import writes.
async fn count(store: &Store, id: i64) -> Result<Imported, StoreError> {
    let counted = sql::fetch_one(&store.readers, COUNT, args![id]).await?;
    let still = sql::fetch_one(&store.readers, STILL, args![id]).await?;
    Ok(imported(counted, still))
}

fn imported((staged, known): (i64, i64), still_connected: i64) -> Imported {
    Imported {
        created: (staged - known).unsigned_abs(),
        replaced: known.unsigned_abs(),
        still_connected: still_connected.unsigned_abs(),
    }
}
