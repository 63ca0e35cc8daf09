//! Backups of the database: made beside a running daemon, and restored where a database was lost.
//!
//! Invariant: a file under its final name is complete, checked and synced; nothing is overwritten. A
//! database is restored under the daemon's lock.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use super::copy::{BackupError, Partial, copy, exists, mark_copy};
use super::inspect::{self, Depth};
use super::lock::{DatabaseLock, beside, file_of};
use super::options::base;
use super::schema::{newest_version, version_in};
use crate::store::error::{OpenError, said};

/// Facts about a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Size of the file.
    pub bytes: u64,
    /// Number of events.
    pub events: i64,
    /// Version of the schema.
    pub schema: i64,
}

/// Copies the database at `url` into `target`. The copy has everything that was acknowledged before.
/// Works beside a running daemon, and without one.
pub async fn back_up(url: &str, target: &Path) -> Result<Backup, BackupError> {
    const REMEDY: &str = "give the backup a name of its own";
    let path = file_of(url)?;
    if !path.try_exists().map_err(OpenError::file(&path))? {
        return Err(missing(&path));
    }
    let target = std::path::absolute(target).map_err(OpenError::file(target))?;
    if target.exists() {
        return Err(exists(&target, REMEDY));
    }
    // The copy grows under another name, so a file with the wanted name is always a complete
    // backup.
    let (partial, _) = Partial::beside(&target)?;
    let failed = OpenError::database(&path);
    let mut connection = base(&path)
        .create_if_missing(false)
        .connect()
        .await
        .map_err(&failed)?;
    let copied = copy(&mut connection, &partial, &target).await;
    // Closed also after a failure: until then, SQLite may still write beside the copy.
    let closed = connection.close().await.map_err(failed);
    copied?;
    closed?;
    mark_copy(&partial.path).await?;
    // A backup that cannot be restored is noticed now, not on the day when it is needed.
    let backup = check(&partial.path, &path, Depth::Quick).await?;
    partial.keep_as(&target, REMEDY)?;
    Ok(backup)
}

/// Restores the database at `url`, which must not exist, from the backup `from`. Holds the daemon's
/// lock meanwhile.
pub async fn restore(url: &str, from: &Path) -> Result<Backup, BackupError> {
    const REMEDY: &str = "stop the daemon and move the old database away first, with the files \
                          -wal and -shm beside it";
    // A file that may not be looked at is not a missing one.
    let is_there = from.try_exists().map_err(OpenError::file(from))?;
    if !is_there || from.is_dir() {
        return Err(missing(from));
    }
    if beside(from, "-wal")
        .metadata()
        .is_ok_and(|log| log.len() > 0)
    {
        return Err(BackupError::Unfinished {
            path: from.display().to_string(),
        });
    }
    let lock = DatabaseLock::acquire(url)?;
    let target = lock.path();
    // A log that is left belongs to another database, but SQLite would apply it to this one.
    for path in [
        target.to_path_buf(),
        beside(target, "-wal"),
        beside(target, "-shm"),
        beside(target, "-journal"),
    ] {
        if path.exists() {
            return Err(exists(&path, REMEDY));
        }
    }
    let (partial, mut copy) = Partial::beside(target)?;
    let mut original = File::open(from).map_err(OpenError::file(from))?;
    io::copy(&mut original, &mut copy).map_err(OpenError::file(&partial.path))?;
    drop(copy);
    // Checks the copy, not the original: the copy may have failed.
    let backup = check(&partial.path, from, Depth::Whole).await?;
    // A backup of an earlier version has no mark.
    mark_copy(&partial.path).await?;
    partial.keep_as(target, REMEDY)?;
    Ok(backup)
}

/// Checks a copy. Errors name the file `named` that the user knows.
async fn check(copy: &Path, named: &Path, depth: Depth) -> Result<Backup, BackupError> {
    let shown = || named.display().to_string();
    let foreign = |problem: String| BackupError::Foreign {
        path: shown(),
        problem,
    };
    let unreadable = |error: sqlx::Error| foreign(said(&error));
    let mut connection = inspect::open(copy).await.map_err(|error| match error {
        OpenError::Database { problem, .. } => foreign(problem),
        other @ (OpenError::Url { .. }
        | OpenError::File { .. }
        | OpenError::Locked { .. }
        | OpenError::Newer { .. }
        | OpenError::Unfit { .. }
        | OpenError::Migrate { .. }
        | OpenError::Damaged { .. }) => other.into(),
    })?;
    // Any SQLite file can be opened. Only the schema tells ours from others, and from those of a
    // newer version.
    let version = version_in(&mut connection).await.map_err(unreadable)?;
    let schema = version.ok_or_else(|| foreign("it has no schema of ours".to_owned()))?;
    let newest = newest_version();
    if schema > newest {
        return Err(BackupError::Newer {
            path: shown(),
            version: schema,
            newest,
        });
    }
    inspect::check(&mut connection, named, depth).await?;
    let events = inspect::count(&mut connection).await.map_err(unreadable)?;
    connection.close().await.map_err(unreadable)?;
    let bytes = fs::metadata(copy).map_err(OpenError::file(copy))?.len();
    Ok(Backup {
        bytes,
        events,
        schema,
    })
}

fn missing(path: &Path) -> BackupError {
    BackupError::Missing {
        path: path.display().to_string(),
    }
}
