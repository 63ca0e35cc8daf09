//! Deletes staged rows that no import needs any more: of one that was refused, or that broke off.
//!
//! Invariant: a small step at a time, beside all other work. No start waits for it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::args;

/// Number of rows that one transaction deletes.
const STEP: u64 = 500;
/// Shortest pause between two steps. Otherwise it is as long as a step, which leaves the writer to webhooks.
const PAUSE: Duration = Duration::from_millis(5);
/// Pause after a step that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

impl Store {
    /// Deletes staged rows as they are left over, until `stop`.
    pub async fn keep_staging_empty(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.leftovers.is_more() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                emptied = self.empty_staging() => if let Err(error) = emptied {
                    tracing::warn!(%error, "rows of an import are left over; they are deleted later");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    self.shared.leftovers.look_again();
                },
            }
        }
    }

    /// Deletes the staged rows that are left over now.
    pub async fn empty_staging(&self) -> Result<(), StoreError> {
        const EMPTY: &str = "\
            -- store::empty::empty
            DELETE FROM import_rows WHERE (import_id, source, external_id) IN (
                SELECT import_id, source, external_id FROM import_rows
                WHERE import_id <= $1 AND import_id NOT IN (SELECT id FROM imports)
                ORDER BY import_id, source, external_id LIMIT $2)";
        // Numbers of other processes' imports may be higher or lower.
        const EMPTY_OF_ALL: &str = "\
            -- store::empty::empty_of_all
            DELETE FROM import_rows WHERE (import_id, source, external_id) IN (
                SELECT import_id, source, external_id FROM import_rows
                WHERE import_id NOT IN (SELECT id FROM imports)
                    AND import_id NOT IN (SELECT import_id FROM stagings)
                ORDER BY import_id, source, external_id LIMIT $1)";
        let until = self.shared.leftovers.until();
        let is_shared = self.is_shared();
        if is_shared {
            self.write(move |tx| Box::pin(shared::end(tx, until)))
                .await?;
        }
        loop {
            let started = Instant::now();
            let until = self.shared.leftovers.until();
            let limit = i64::try_from(STEP).unwrap_or(i64::MAX);
            let (statement, args) = if is_shared {
                (EMPTY_OF_ALL, args![limit])
            } else {
                (EMPTY, args![until, limit])
            };
            if self.run(statement, move || args.clone()).await? < STEP {
                return Ok(());
            }
            tokio::time::sleep(started.elapsed().max(PAUSE)).await;
        }
    }
}
