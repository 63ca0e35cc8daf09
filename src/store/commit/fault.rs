//! Why writes fail, and who else writes: for `/readyz`, and for the log once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::error::StoreError;

/// Time for which another writer is told.
const TOLD: Duration = Duration::from_hours(24);
/// Shortest time between two lines of the log about another writer.
const QUIET: Duration = Duration::from_mins(1);

/// Faults of the database, as the writer met them.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    /// Failure of the last write.
    failure: Option<StoreError>,
    /// Failure of the last step of an import.
    import_failure: Option<StoreError>,
    /// Time at which a row of another program was found.
    other_writer: Option<Instant>,
}

impl Faults {
    fn met(&self) -> MutexGuard<'_, Met> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the last write failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.met().failure.is_some()
    }

    /// Failure of the last write, if another process held the database.
    pub(crate) fn held(&self) -> Option<StoreError> {
        let failure = self.met().failure.clone();
        failure.filter(StoreError::is_held)
    }

    /// A write failed.
    pub(super) fn failed(&self, error: &StoreError) {
        let before = self.met().failure.replace(error.clone());
        if before.is_none() {
            tracing::error!(%error, "the database takes no writes; senders are answered 503");
        }
    }

    /// A write succeeded.
    pub(super) fn succeeded(&self) {
        let before = self.met().failure.take();
        if before.is_some() {
            tracing::info!("the database takes writes again");
        }
    }

    /// A step of an import ended.
    pub(super) fn import_stepped(&self, failure: Option<StoreError>) {
        self.met().import_failure = failure;
    }

    /// Failure of the last step of an import. No call is made before it is written whole.
    pub(crate) fn import_failure(&self) -> Option<StoreError> {
        self.met().import_failure.clone()
    }

    /// A row was found that another program wrote.
    pub(super) fn found_other_writer(&self, problem: &str) {
        let now = Instant::now();
        let before = self.met().other_writer.replace(now);
        if before.is_none_or(|before| now.duration_since(before) > QUIET) {
            tracing::error!(
                problem,
                "another program writes to the database; only the daemon may: end that program"
            );
        }
    }

    /// True if another program wrote to the database within the last day.
    pub(crate) fn has_other_writer(&self) -> bool {
        let found = self.met().other_writer;
        found.is_some_and(|found| found.elapsed() < TOLD)
    }
}
