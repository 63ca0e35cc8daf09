//! An import that is decided, while it is written.

use jiff::Timestamp;
use tokio::sync::{OwnedRwLockWriteGuard, watch};

use crate::store::error::StoreError;

/// An import that is decided. The writer has it until its last row is written.
#[derive(Debug)]
pub(crate) struct Decided {
    /// Number of the import.
    pub(crate) id: i64,
    /// Time of the decision, or of the start that continues it.
    pub(crate) at: Timestamp,
    progress: watch::Sender<Progress>,
    /// While this is held, nobody else writes a mapping.
    _alone: OwnedRwLockWriteGuard<()>,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    Going,
    /// The last step failed. It is tried again.
    Stuck,
    Done,
}

/// The wait for the last row of an import.
pub(super) struct End(watch::Receiver<Progress>);

impl Decided {
    /// Nobody else writes a mapping until this is dropped.
    pub(crate) fn new(id: i64, at: Timestamp, alone: OwnedRwLockWriteGuard<()>) -> Self {
        Self {
            id,
            at,
            progress: watch::Sender::new(Progress::Going),
            _alone: alone,
        }
    }

    pub(super) fn end(&self) -> End {
        End(self.progress.subscribe())
    }

    /// A step failed. Returns true if the one before did not.
    pub(crate) fn failed(&self) -> bool {
        let before = self.progress.send_replace(Progress::Stuck);
        !matches!(before, Progress::Stuck)
    }

    /// A step was written.
    pub(crate) fn stepped(&self, is_last: bool) {
        let now = if is_last {
            Progress::Done
        } else {
            Progress::Going
        };
        self.progress.send_replace(now);
    }
}

impl End {
    /// Returns when all rows are written. Fails if a step fails, or if the writer ends before: the import is
    /// continued then without the caller.
    pub(super) async fn reached(mut self) -> Result<(), StoreError> {
        let ended = self.0.wait_for(|now| !matches!(now, Progress::Going)).await;
        match ended.as_deref() {
            Ok(Progress::Stuck) | Err(_) => Err(StoreError::ImportGoesOn),
            Ok(Progress::Going | Progress::Done) => Ok(()),
        }
    }
}
