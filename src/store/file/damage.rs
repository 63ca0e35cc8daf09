//! The search for damage after a start.
//!
//! Invariant: it slows nobody down. It has its own connection with little memory, pauses for longer
//! than it works, and ends in time: while it reads, the write-ahead log cannot begin again.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, SqliteConnection};

use super::options::reading;
use crate::store::error::StoreError;
use crate::store::handle::Store;

/// Time limit, with the pauses. The command `check` can search the rest.
const BUDGET: Duration = Duration::from_secs(5);
/// Length of a pause, in multiples of the work before it.
const SHARE: u32 = 3;
/// Length of the work before a pause. Shorter pauses would cost more than the work.
const SLICE: Duration = Duration::from_millis(1);
/// Steps of `SQLite`, each a page or some rows, between two checks of the time.
const STEPS: i32 = 500;
/// `SQLITE_INTERRUPT`: error code of a statement that was interrupted.
const INTERRUPTED: &str = "9";

impl Store {
    /// Searches for damage. [`Store::damage`] returns the result.
    pub async fn look_for_damage(&self) {
        if self.shared.files.is_none() {
            return;
        }
        match self.check_for(BUDGET).await {
            Ok(Some(verdict)) if verdict == "ok" => tracing::debug!("the database is sound"),
            Ok(Some(problem)) => {
                tracing::error!(problem, "the database is damaged: restore a backup");
                // Cannot fail: only this task sets it, and only once.
                drop(self.shared.damage.set(problem));
            }
            Ok(None) => tracing::debug!(
                "no damage found in {} s; `serval-connect check` checks all of the database",
                BUDGET.as_secs()
            ),
            Err(error) => tracing::error!(%error, "the database could not be checked"),
        }
    }

    /// Returns the verdict of `SQLite`, or `None` if `budget` was too short.
    async fn check_for(&self, budget: Duration) -> Result<Option<String>, StoreError> {
        const CHECK: &str = "PRAGMA quick_check(1)";
        let Some(files) = &self.shared.files else {
            return Ok(None);
        };
        let options = reading(files.lock.path());
        let mut connection = files.presence.connect(options).await?;
        // Dropped with this future. That ends the statement too.
        let wanted = Arc::new(());
        pause_between(&mut connection, Arc::downgrade(&wanted), budget).await?;
        let verdict = sqlx::query_scalar(CHECK).fetch_one(&mut connection).await;
        connection.close().await?;
        match verdict {
            Ok(verdict) => Ok(Some(verdict)),
            Err(error) if is_interrupted(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lets the statements of a connection pause between their steps. Interrupts them when the budget is
/// spent, or when `wanted` is dropped.
async fn pause_between(
    connection: &mut SqliteConnection,
    wanted: Weak<()>,
    budget: Duration,
) -> Result<(), StoreError> {
    let began = Instant::now();
    let mut worked_since = began;
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(STEPS, move || {
        let worked = worked_since.elapsed();
        if worked >= SLICE {
            // This blocks only the thread of this connection.
            std::thread::sleep(worked * SHARE);
            worked_since = Instant::now();
        }
        began.elapsed() < budget && wanted.strong_count() > 0
    });
    Ok(())
}

fn is_interrupted(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(INTERRUPTED)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sqlx::ConnectOptions as _;

    use super::*;

    #[tokio::test]
    async fn a_look_for_damage_ends_with_its_budget() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db", folder.path().display());
        let now = Timestamp::from_second(1_000_000).unwrap();
        let (store, _writer) = Store::open(&url, now).await.unwrap();
        let mut connection =
            crate::store::file::options::base(store.shared.files.as_ref().unwrap().lock.path())
                .connect()
                .await
                .unwrap();
        sqlx::query(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO import_events (event_id) SELECT i FROM n",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        let verdict = store.check_for(Duration::from_mins(1)).await.unwrap();
        assert_eq!(verdict.as_deref(), Some("ok"));
        assert_eq!(store.check_for(Duration::ZERO).await.unwrap(), None);
    }
}
