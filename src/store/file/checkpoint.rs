//! Moves the write-ahead log into the database, beside the writer. If a commit did that, all that
//! share the commit would wait for it.
//!
//! Under steady writing this alone never empties the log, because there always is a newer page. So
//! the connection of the writer moves the rest when the log is long (`wal_autocheckpoint`). By then
//! the rest is small, and the log begins again at its start. "Long" is a few megabytes, because the
//! disk may be small.

use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::Files;
use super::options::base;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args};

/// Pause between two moves.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause after the log was emptied, which holds up the writer.
const PAUSE_AFTER_ERASURE: Duration = Duration::from_secs(1);
/// Pause after a move that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Store {
    /// Keeps the write-ahead log short until `stop`.
    pub async fn keep_log_short(&self, stop: CancellationToken) {
        let growth = &self.shared.growth;
        let Some(files) = &self.shared.files else {
            return self.erase_until(stop).await;
        };
        let mut connection = None;
        loop {
            let erases = tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.erased.notified() => true,
                () = growth.is_worth_a_move() => false,
            };
            growth.begin_anew();
            let moved = if erases {
                tokio::select! {
                    () = stop.cancelled() => break,
                    forgotten = self.forget_erased() => forgotten,
                }
            } else {
                move_log(files, &mut connection).await.map(|()| PAUSE)
            };
            let pause = match moved {
                Ok(pause) => pause,
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
            // An error does not matter: the writer closes last and moves the rest.
            drop(connection.close().await);
        }
    }

    /// Erases what is left to erase, and empties the log after bodies were erased. A long read, such as a backup,
    /// puts that off.
    async fn forget_erased(&self) -> Result<Duration, StoreError> {
        let emptied = async {
            self.erase_ended_channels().await?;
            self.empty_log().await
        };
        let is_empty = emptied
            .await
            .inspect_err(|_| self.shared.erased.notify_one())?;
        if is_empty {
            return Ok(PAUSE_AFTER_ERASURE);
        }
        self.shared.erased.notify_one();
        Ok(PAUSE_AFTER_FAILURE)
    }

    /// Erases what is left to erase on a server, which has a log of its own.
    async fn erase_until(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.erased.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                erased = self.erase_ended_channels() => if let Err(error) = erased {
                    tracing::debug!(%error, "a deleted channel could not be erased yet");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    self.shared.erased.notify_one();
                },
            }
        }
    }
}

/// Moves the pages that no reader needs any more.
async fn move_log(
    files: &Files,
    connection: &mut Option<SqliteConnection>,
) -> Result<(), StoreError> {
    const MOVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
    if connection.is_none() {
        let options = base(files.lock.path()).create_if_missing(false);
        *connection = Some(files.presence.connect(options).await?);
    }
    // Never into another file.
    files.presence.check()?;
    if let Some(connection) = connection {
        sql::run(connection, MOVE, args![]).await?;
    }
    Ok(())
}
