//! Makes a copy of a database under a name that it gets only when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteJournalMode;
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::copied;
use super::lock::{beside, folder_of, lock_file};
use super::options::base;
use crate::store::engine::Conn;
use crate::store::error::{OpenError, said};

/// Largest number of a saved copy beside a database.
const MAX_SAVED: u32 = 100;

/// Reason why a backup cannot be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target exists.
    #[error("{path} exists already and is not overwritten: {remedy}")]
    Exists {
        /// The file.
        path: String,
        /// Remedy.
        remedy: &'static str,
    },
    /// The file to copy does not exist.
    #[error("there is no file {path}: give the path of a file that `backup` made")]
    Missing {
        /// The file.
        path: String,
    },
    /// The file may be in use: it has a write-ahead log.
    #[error(
        "{path} has a write-ahead log beside it, so it is not a file that `backup` made and may \
         lack its last events: open it once with `serval-connect migrate`, or take a real backup"
    )]
    Unfinished {
        /// The file.
        path: String,
    },
    /// The file is not a backup of ours.
    #[error("{path} is not a backup of serval-connect: {problem}")]
    Foreign {
        /// The file.
        path: String,
        /// Finding.
        problem: String,
    },
    /// The backup was made by a later version.
    #[error(
        "{path} has schema version {version}, this program knows {newest}: restore it with the \
         version of serval-connect that made it, or a later one"
    )]
    Newer {
        /// The file.
        path: String,
        /// Schema version of the backup.
        version: i64,
        /// Newest schema version that this program knows.
        newest: i64,
    },
    /// `SQLite` could not make the copy.
    #[error("the copy {path} could not be written: {problem}")]
    Copy {
        /// The file.
        path: String,
        /// Cause.
        problem: String,
    },
    /// The database, its lock or a file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Ending of the names of copies that are not complete.
const PARTIAL: &str = ".serval-partial";
/// Endings of the files that `SQLite` makes beside a copy, and of the copy itself.
const FILES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// The error, which says so where the folder of `target` is missing.
fn without_folder(target: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let folder = folder_of(target).display();
    io::Error::new(
        error.kind(),
        format!("there is no folder {folder}: make it first"),
    )
}

/// A file that is removed unless it gets its final name.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    is_kept: bool,
    /// Locked while the process lives, so that nobody takes it for one that was left.
    _lock: Option<File>,
}

impl Partial {
    /// Creates an empty file beside `target`. Only its owner can read it, because tickets are private.
    pub(super) fn beside(target: &Path) -> Result<(Self, File), BackupError> {
        remove_leftovers(folder_of(target));
        let path = beside(target, &format!(".{}{PARTIAL}", std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| OpenError::file(target)(without_folder(target, error)))?;
        let lock = file.try_clone().map_err(OpenError::file(&path));
        let lock = lock.and_then(|file| lock_file(file, &path));
        let partial = |lock| Self {
            path,
            is_kept: false,
            _lock: lock,
        };
        match lock {
            Ok(lock) => Ok((partial(Some(lock)), file)),
            Err(error) => {
                drop(partial(None));
                Err(error.into())
            }
        }
    }

    /// Gives the file its final name. The name is on the disk when this returns.
    pub(super) fn keep_as(
        mut self,
        target: &Path,
        remedy: &'static str,
    ) -> Result<(), BackupError> {
        sync(&self.path)?;
        if target.exists() {
            return Err(exists(target, remedy));
        }
        // A link fails if the target exists; a rename would replace it. Not every file system has links.
        match fs::hard_link(&self.path, target) {
            Ok(()) => fs::remove_file(&self.path).map_err(OpenError::file(&self.path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(exists(target, remedy));
            }
            Err(_) => fs::rename(&self.path, target).map_err(OpenError::file(target))?,
        }
        self.is_kept = true;
        Ok(sync(folder_of(target))?)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // SQLite leaves its own files beside a copy that it could not finish.
        for suffix in FILES {
            // It may not exist, and nobody waits for the error.
            drop(fs::remove_file(beside(&self.path, suffix)));
        }
    }
}

/// Removes the copies in `folder` whose process was killed before they were complete. One that is still being made
/// is locked.
pub(super) fn remove_leftovers(folder: &Path) {
    // Elsewhere nothing tells them apart: see `lock_file`.
    if !cfg!(target_os = "linux") {
        return;
    }
    // A folder that cannot be read is said by whatever comes next.
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for file in files {
        let name = file.file_name();
        let Some((begin, suffix)) = name.to_str().and_then(|name| name.split_once(PARTIAL)) else {
            continue;
        };
        if !FILES.contains(&suffix) {
            continue;
        }
        let path = folder.join(format!("{begin}{PARTIAL}"));
        let lock = match File::options().read(true).write(true).open(&path) {
            Ok(file) => lock_file(file, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::file(&path)(error)),
        };
        if let Ok(lock) = lock {
            drop(Partial {
                path,
                is_kept: false,
                _lock: lock,
            });
        }
    }
}

/// Returns the newest copy of a database that is gone and was saved, if there is no database at `path`: the one
/// with the highest number.
pub fn saved_copy(path: &Path) -> Option<PathBuf> {
    if path.exists() {
        return None;
    }
    saved_names(path).filter(|name| name.exists()).last()
}

fn saved_names(path: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=MAX_SAVED).map(move |n| beside(path, &saved(n)))
}

fn saved(n: u32) -> String {
    format!(".saved-{n}")
}

/// Saves all that an open database holds, whose file may have lost its name: into a new file beside `path`,
/// where it was. Nothing is overwritten. Returns the file, which restores as a backup does.
pub(crate) async fn save_open(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<PathBuf, BackupError> {
    const REMEDY: &str = "move it away";
    // Behind the highest number, also where a lower one is free: the highest is the newest.
    let names: Vec<PathBuf> = saved_names(path).collect();
    let used = names.iter().rposition(|name| name.exists());
    let target = names.get(used.map_or(0, |last| last + 1));
    let target = target.ok_or_else(|| exists(&beside(path, &saved(MAX_SAVED)), REMEDY))?;
    let (partial, _) = Partial::beside(target)?;
    copy(connection, &partial, target).await?;
    mark_copy(&partial.path).await?;
    partial.keep_as(target, REMEDY)?;
    Ok(target.clone())
}

/// Writes what a connection sees into `partial`, which becomes `target`.
pub(super) async fn copy(
    connection: &mut SqliteConnection,
    partial: &Partial,
    target: &Path,
) -> Result<(), BackupError> {
    const COPY: &str = "VACUUM INTO $1";
    let not_text = || io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8");
    let name = partial.path.to_str().ok_or_else(not_text);
    let name = name.map_err(OpenError::file(target))?;
    let copied = sqlx::query(COPY).bind(name).execute(connection).await;
    copied.map_err(|error| BackupError::Copy {
        path: target.display().to_string(),
        problem: said(&error),
    })?;
    Ok(())
}

/// Marks a copy that has no final name yet. It needs no journal: a copy that is half done is removed.
pub(super) async fn mark_copy(copy: &Path) -> Result<(), OpenError> {
    let failed = OpenError::database(copy);
    let options = base(copy).journal_mode(SqliteJournalMode::Off);
    let mut conn = Conn::Sqlite(options.connect().await.map_err(failed)?);
    let failed = OpenError::store(copy);
    copied::mark(&mut conn).await.map_err(&failed)?;
    conn.close().await.map_err(failed)
}

/// Writes a file or a folder to the disk.
fn sync(path: &Path) -> Result<(), OpenError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(OpenError::file(path))
}

pub(super) fn exists(path: &Path, remedy: &'static str) -> BackupError {
    BackupError::Exists {
        path: path.display().to_string(),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_copy_with_the_highest_number_is_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let options = base(&path).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        // A copy is marked in this table.
        sqlx::query("CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT)")
            .execute(&mut connection)
            .await
            .unwrap();
        let named = |n| Ok::<_, String>(beside(&path, &saved(n)));
        let mut save = async || -> Result<PathBuf, String> {
            let saved = save_open(&mut connection, &path).await;
            saved.map_err(|error| error.to_string())
        };
        assert_eq!(save().await, named(1));
        assert_eq!(save().await, named(2));
        // Somebody moves the first one away.
        fs::remove_file(beside(&path, &saved(1))).unwrap();
        let newest = save().await;
        assert_eq!(newest, named(3));
        fs::remove_file(&path).unwrap();
        assert_eq!(saved_copy(&path), newest.ok());
        fs::write(beside(&path, &saved(MAX_SAVED)), "x").unwrap();
        let full = save().await.unwrap_err();
        assert!(full.contains("a.db.saved-100 exists already"), "{full}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_killed_processes_left_is_removed_and_what_others_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let left = [
            "a.db.1.serval-partial",
            "a.db.1.serval-partial-journal",
            "b.db.2.serval-partial-wal",
        ];
        let others = [
            "a.db",
            "a.db.1.partial",
            "serval-partial",
            "a.db.1.serval-partial-x",
        ];
        for name in left.iter().chain(&others) {
            fs::write(at(name), "x").unwrap();
        }
        let (alive, _) = Partial::beside(&at("c.db")).unwrap();
        fs::write(beside(&alive.path, "-journal"), "x").unwrap();
        remove_leftovers(folder.path());
        for name in left {
            assert!(!at(name).exists(), "{name}");
        }
        for name in others {
            assert!(at(name).exists(), "{name}");
        }
        assert!(alive.path.exists() && beside(&alive.path, "-journal").exists());
        let path = alive.path.clone();
        drop(alive);
        assert!(!path.exists() && !beside(&path, "-journal").exists());
    }
}
