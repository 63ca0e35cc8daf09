//! Notices that the files of the database are not at their places any more: deleted, moved away, or
//! replaced by others; or that the database was overwritten in place.
//!
//! The system lets a process go on with a file that has lost its name. All that is written there is lost
//! when the process ends.

mod header;

use std::fs::{File, Metadata, symlink_metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use self::header::Header;
use super::lock::beside;
use crate::store::error::StoreError;

/// Device and inode: the identity of a file, whatever its name.
type Identity = (u64, u64);

/// The open files of a database, each with its place, and the header of the database.
#[derive(Debug)]
pub(crate) struct Presence {
    files: Vec<(PathBuf, Identity)>,
    /// `None`: the file is not open, or has nothing yet.
    header: Option<Header>,
}

impl Presence {
    /// Notes the files of the database at `path`. The writer's connection must have them open: `SQLite`
    /// removes the files of the log only when the last connection closes. `open` is the database file.
    pub(super) fn of(path: &Path, open: Option<Arc<File>>) -> io::Result<Self> {
        let note = |suffix| {
            let file = beside(path, suffix);
            // Not what a symbolic link leads to: the next start would look for the log there.
            let found = symlink_metadata(&file)?;
            if found.nlink() > 1 {
                tracing::warn!(
                    file = %file.display(),
                    "the file has a second name (a hard link): opened under that, it would lack its log; \
                     remove the other name"
                );
            }
            Ok((file, identity(&found)))
        };
        let files = ["", "-wal", "-shm"].map(note).into_iter();
        Ok(Self {
            files: files.collect::<io::Result<_>>()?,
            header: open.and_then(Header::of),
        })
    }

    /// Fails if one of the files is gone, or the database was overwritten. Costs one system call for each file,
    /// and two for the header.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let gone = self.files.iter().find_map(gone);
        let lost = gone.or_else(|| self.overwritten());
        lost.map_or(Ok(()), |lost| Err(StoreError::Unavailable(lost)))
    }

    /// Says that the database was overwritten in place; `None`: it was not. Lasts until the next start, because the
    /// log and the file do not belong together any more.
    pub(crate) fn overwritten(&self) -> Option<String> {
        let how = self.header.as_ref()?.fault()?;
        let (path, _) = self.files.first()?;
        Some(format!("{} was {how} while it was open", path.display()))
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

    /// True if the database file itself is at its place, and what it was.
    pub(crate) fn has_database(&self) -> bool {
        let database = self.files.first();
        database.is_some_and(|database| gone(database).is_none()) && self.overwritten().is_none()
    }
}

/// Says that a file is gone; `None`: it is at its place.
fn gone((path, known): &(PathBuf, Identity)) -> Option<String> {
    let shown = path.display();
    match symlink_metadata(path) {
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
