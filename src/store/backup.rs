//! Copies of the database: made beside a running daemon, and put in the place of a lost one.
//!
//! Invariant: a file under its final name is whole, checked and synced; nothing is overwritten. A
//! restored database comes to its place under the daemon's lock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions as _, Connection as _};

use super::error::OpenError;
use super::inspect::{self, Depth};
use super::open::{DatabaseLock, base, file_of};
use super::schema::{newest_version, version_in};

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Its size.
    pub bytes: u64,
    /// Events in it.
    pub events: i64,
    /// The version of its schema.
    pub schema: i64,
}

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("{path} exists already and is not overwritten: {remedy}")]
    Exists {
        /// The file.
        path: String,
        /// What to do.
        remedy: &'static str,
    },
    /// There is nothing to copy.
    #[error("there is no file {path}")]
    Missing {
        /// The file.
        path: String,
    },
    /// A database that something else may still write to.
    #[error(
        "{path} has a write-ahead log beside it, so it is not a file that `backup` made and may \
         lack its last events: open it once with `serval-connect migrate`, or take a real backup"
    )]
    Unfinished {
        /// The file.
        path: String,
    },
    /// Not one of ours.
    #[error("{path} is not a backup of serval-connect: {problem}")]
    Foreign {
        /// The file.
        path: String,
        /// How that shows.
        problem: String,
    },
    /// Made by a later version.
    #[error(
        "{path} has schema version {version}, this program knows {newest}: restore it with the \
         version of serval-connect that made it, or a later one"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        version: i64,
        /// Ours.
        newest: i64,
    },
    /// A file could not be written, read or renamed.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// `SQLite` could not make the copy.
    #[error("the copy {path} could not be written: {source}")]
    Copy {
        /// The file.
        path: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The database, or its lock.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A file that is removed unless it comes to its place.
struct Partial {
    path: PathBuf,
    is_kept: bool,
}

impl Partial {
    /// An empty file beside `target`, for its owner only: it will hold what the tickets say.
    fn beside(target: &Path) -> Result<(Self, File), BackupError> {
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".{}.partial", std::process::id()));
        let path = PathBuf::from(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(in_file(&path))?;
        let is_kept = false;
        Ok((Self { path, is_kept }, file))
    }

    /// Gives it its final name, on the disk when this returns.
    fn keep_as(mut self, target: &Path, remedy: &'static str) -> Result<(), BackupError> {
        sync(&self.path)?;
        if target.exists() {
            return Err(exists(target, remedy));
        }
        // A link fails where a rename would replace; not every file system has links.
        match fs::hard_link(&self.path, target) {
            Ok(()) => fs::remove_file(&self.path).map_err(in_file(&self.path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(exists(target, remedy));
            }
            Err(_) => fs::rename(&self.path, target).map_err(in_file(target))?,
        }
        self.is_kept = true;
        sync(folder_of(target))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            // It may never have been written, and there is nobody to tell.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Copies the database at `url` into `target`, as it stands at one moment: everything that was
/// acknowledged before is in it. Works beside a running daemon, and without one.
pub async fn back_up(url: &str, target: &Path) -> Result<Backup, BackupError> {
    const COPY: &str = "VACUUM INTO $1";
    const REMEDY: &str = "give the backup a name of its own";
    let path = file_of(url)?;
    if !path.exists() {
        return Err(missing(&path));
    }
    let target = std::path::absolute(target).map_err(in_file(target))?;
    if target.exists() {
        return Err(exists(&target, REMEDY));
    }
    let (partial, _) = Partial::beside(&target)?;
    let name = partial.path.to_str().ok_or_else(|| BackupError::File {
        path: target.display().to_string(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8"),
    })?;
    let failed = |source| OpenError::Database {
        path: path.display().to_string(),
        source,
    };
    let mut connection = base(&path)
        .create_if_missing(false)
        .connect()
        .await
        .map_err(failed)?;
    let copied = sqlx::query(COPY).bind(name).execute(&mut connection).await;
    copied.map_err(|source| BackupError::Copy {
        path: target.display().to_string(),
        source,
    })?;
    connection.close().await.map_err(failed)?;
    let backup = look_at(&partial.path, &path, Depth::Quick).await?;
    partial.keep_as(&target, REMEDY)?;
    Ok(backup)
}

/// Puts a copy of the backup `from` in the place of the database at `url`, which must not exist.
/// Holds the daemon's lock meanwhile.
pub async fn restore(url: &str, from: &Path) -> Result<Backup, BackupError> {
    const REMEDY: &str = "stop the daemon and move the old database away first, with the files \
                          -wal and -shm beside it";
    if !from.is_file() {
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
    // A log that stays behind belongs to another database and would be applied to this one.
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
    let mut original = File::open(from).map_err(in_file(from))?;
    io::copy(&mut original, &mut copy).map_err(in_file(&partial.path))?;
    drop(copy);
    // What was copied is checked, not what was read from.
    let backup = look_at(&partial.path, from, Depth::Whole).await?;
    partial.keep_as(target, REMEDY)?;
    Ok(backup)
}

/// Checks a copy; errors name the file that it is a copy of.
async fn look_at(copy: &Path, named: &Path, depth: Depth) -> Result<Backup, BackupError> {
    let shown = || named.display().to_string();
    let foreign = |problem: String| BackupError::Foreign {
        path: shown(),
        problem,
    };
    let unreadable = |error: sqlx::Error| {
        foreign(match error.as_database_error() {
            Some(database) => database.message().to_owned(),
            None => error.to_string(),
        })
    };
    let mut connection = inspect::open(copy).await.map_err(|error| match error {
        OpenError::Database { source, .. } => unreadable(source),
        other @ (OpenError::Url { .. }
        | OpenError::File { .. }
        | OpenError::Locked { .. }
        | OpenError::Migrate { .. }
        | OpenError::Damaged { .. }) => other.into(),
    })?;
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
    let bytes = fs::metadata(copy).map_err(in_file(copy))?.len();
    Ok(Backup {
        bytes,
        events,
        schema,
    })
}

/// The file that `SQLite` puts beside a database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Has the system write a file or a folder to the disk.
fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(in_file(path))
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::File {
        path: path.clone(),
        source,
    }
}

fn exists(path: &Path, remedy: &'static str) -> BackupError {
    BackupError::Exists {
        path: path.display().to_string(),
        remedy,
    }
}

fn missing(path: &Path) -> BackupError {
    BackupError::Missing {
        path: path.display().to_string(),
    }
}
