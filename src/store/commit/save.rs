//! Saves the open files of a database when one of them is gone. Nothing is stored any more then.

use std::time::{Duration, Instant};

use crate::store::engine::Conn;
use crate::store::error::StoreError;
use crate::store::file::copy;
use crate::store::handle::Shared;
use crate::store::sql::{self, args};

/// Wait before the saving of a database is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

/// The saving of a database whose files are gone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Save {
    /// To be tried when the files are gone; after a failure not before this time.
    Due(Option<Instant>),
    Done,
}

impl Save {
    /// Fails while a file of the database is gone. What the open files hold is saved once, and tried again
    /// until that works.
    pub(super) async fn check(
        &mut self,
        shared: &Shared,
        conn: &mut Conn,
    ) -> Result<(), StoreError> {
        let present = shared.check_presence();
        let Err(error) = &present else {
            *self = Self::Due(None);
            return present;
        };
        if let Self::Due(not_before) = *self
            && not_before.is_none_or(|at| at <= Instant::now())
        {
            if not_before.is_none() {
                tracing::error!(%error, "a file of the database is gone or overwritten; nothing is stored");
            }
            *self = if save_open(shared, conn).await {
                Self::Done
            } else {
                Self::Due(Some(Instant::now() + SAVE_AGAIN))
            };
        }
        present
    }
}

/// Saves what the open files hold; false if that failed.
async fn save_open(shared: &Shared, conn: &mut Conn) -> bool {
    const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(FULL)";
    let (Some(files), Conn::Sqlite(connection)) = (&shared.files, conn) else {
        return true;
    };
    // If only the log lost its name, the database can still take what is in it. The next start finds
    // all then, also without the copy.
    if files.presence.has_database()
        && let Err(error) = sql::run(&mut *connection, EMPTY_LOG, args![]).await
    {
        tracing::error!(%error, "the log could not be moved into the database");
    }
    match copy::save_open(connection, files.lock.path()).await {
        Ok(file) if files.presence.overwritten().is_some() => {
            tracing::warn!(
                file = %file.display(),
                "what can still be read of the overwritten database is saved; it may lack much: compare it \
                 with a backup"
            );
            true
        }
        Ok(file) => {
            tracing::warn!(file = %file.display(), "what the open database holds is saved");
            true
        }
        Err(error) => {
            tracing::error!(%error, "the open database cannot be saved yet");
            false
        }
    }
}
