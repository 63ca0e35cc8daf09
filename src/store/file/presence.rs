//! Notices that the files of the database are not at their places any more: deleted, moved away, or
//! replaced by others.
//!
//! The system lets a process go on with a file that has lost its name. All that is written there is lost
//! when the process ends.

use std::fs::{Metadata, metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::lock::beside;
use crate::store::error::StoreError;

/// Device and inode: the identity of a file, whatever its name.
type Identity = (u64, u64);

/// The open files of a database, each with its place.
#[derive(Debug)]
pub(crate) struct Presence(Vec<(PathBuf, Identity)>);

impl Presence {
    /// Notes the files of the database at `path`. The writer's connection must have them open: `SQLite`
    /// removes the files of the log only when the last connection closes.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let note = |suffix| {
            let file = beside(path, suffix);
            metadata(&file).map(|found| (file, identity(&found)))
        };
        ["", "-wal", "-shm"]
            .map(note)
            .into_iter()
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Fails if one of the files is gone. Costs one system call for each file.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let gone = self.0.iter().find_map(gone);
        gone.map_or(Ok(()), |gone| Err(StoreError::Unavailable(gone)))
    }

    /// Opens a further connection to these files. Fails if others are in their place, which must not be written
    /// to, nor read as ours.
    pub(super) async fn connect(
        &self,
        options: SqliteConnectOptions,
    ) -> Result<SqliteConnection, StoreError> {
        self.check()?;
        let connection = options.connect().await?;
        self.check()?;
        Ok(connection)
    }

    /// True if the database file itself is at its place.
    pub(crate) fn has_database(&self) -> bool {
        self.0
            .first()
            .is_some_and(|database| gone(database).is_none())
    }
}

/// Says that a file is gone; `None`: it is at its place.
fn gone((path, known): &(PathBuf, Identity)) -> Option<String> {
    let shown = path.display();
    match metadata(path) {
        Ok(found) if identity(&found) == *known => None,
        Ok(_) => Some(format!("another file was put in the place of {shown}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("{shown} was deleted or moved away"))
        }
        // Such as a folder that may not be read any more: nobody else would find the file, either.
        Err(error) => Some(format!("{shown} cannot be found: {error}")),
    }
}

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino())
}
