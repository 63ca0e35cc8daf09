//! Moves what the write-ahead log holds into the database, beside the writer: a commit that had to
//! do it would keep everybody waiting who shares it.
//!
//! Under steady writing this alone never empties the log, since there is always a newer page. So
//! the writer's own connection does the rest when the log is long (`wal_autocheckpoint`): by then
//! that is little, and the log begins anew. "Long" is no more than a few megabytes, since the log takes
//! room on a disk that may have little.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Store;
use super::error::StoreError;
use super::open::base;

/// Bytes written that are worth a move.
const WORTH: u64 = 2 << 20;
/// What a write costs beside the bodies that it brings.
pub(super) const BYTES_PER_WRITE: u64 = 4096;
/// What a commit costs, however little is in it: a page of each table and index that it touches. Too
/// little here lets the log of lone commits grow to many times of [`WORTH`].
const BYTES_PER_COMMIT: u64 = 16 * 4096;
/// Between two moves, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// After one that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How much was written since the last move.
#[derive(Debug, Default)]
pub(super) struct Growth {
    bytes: AtomicU64,
    is_worth_a_move: Notify,
}

impl Growth {
    /// So much more was committed.
    pub(super) fn add(&self, bytes: u64) {
        let bytes = bytes + BYTES_PER_COMMIT;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= WORTH {
            self.is_worth_a_move.notify_one();
        }
    }
}

impl Store {
    /// Keeps moving until `stop`.
    pub async fn keep_log_short(&self, stop: CancellationToken) {
        let growth = &self.shared.growth;
        let mut connection = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = growth.is_worth_a_move.notified() => {}
            }
            growth.bytes.store(0, Ordering::Relaxed);
            let pause = match self.move_log(&mut connection).await {
                Ok(()) => PAUSE,
                Err(error) => {
                    tracing::debug!(%error, "the write-ahead log could not be moved");
                    connection = None;
                    PAUSE_AFTER_FAILURE
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Some(connection) = connection {
            // The writer closes last, and tidies up.
            drop(connection.close().await);
        }
    }

    /// Moves what nobody reads any more.
    async fn move_log(&self, connection: &mut Option<SqliteConnection>) -> Result<(), StoreError> {
        const MOVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
        if connection.is_none() {
            let options = base(self.shared.lock.path()).create_if_missing(false);
            *connection = Some(options.connect().await?);
        }
        if let Some(connection) = connection {
            sqlx::query(MOVE).execute(connection).await?;
        }
        Ok(())
    }
}
