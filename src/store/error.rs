//! Errors of the store, by what the caller can do about them.

use std::path::Path;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// `SQLITE_BUSY`: another process has the file.
const BUSY: u32 = 5;
/// `SQLITE_IOERR`: kind of errors of reading and writing files.
const IO_ERROR: u32 = 10;
/// `SQLITE_CONSTRAINT`: a row contradicts another.
const CONSTRAINT: u32 = 19;

/// A failed read or write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be used now: full disk, I/O. Trying later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Another process holds the database. Nothing was changed.
    #[error("the database is unavailable: {0}")]
    Held(String),
    /// A row contradicts another one.
    #[error("the database does not take this: {0}")]
    Constraint(String),
    /// The queue of writes is full, or a write waited in it for too long. Nothing was changed.
    #[error("the store is overloaded: too many writes wait, or one of them takes long")]
    Overloaded,
    /// An import writes its mappings, and nobody else may write any. It takes seconds.
    #[error("an import of mappings is being written")]
    Importing,
    /// The disk has no room for an import. Nothing of it was kept.
    #[error("the disk has no room for the import")]
    NoRoom,
    /// An import was idle for too long. Nothing of it was kept.
    #[error("the import was idle for ten minutes, and is over: begin it again")]
    Overdue,
    /// An import is decided, and is not written whole yet.
    #[error("the import is decided, but not written whole yet")]
    ImportGoesOn,
    /// A write was begun, and did not end in time. It may still be done.
    #[error("the store is slow: a write did not end in time, and may still be done")]
    Unfinished,
    /// The store is closed: the daemon is stopping.
    #[error("the store is closed")]
    Closed,
    /// A stored value is not what the program wrote.
    #[error("the database holds a value that does not belong there: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// True if another process holds the database.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// The fault in the database's own words, where there are any.
    pub(super) fn problem(self) -> String {
        match self {
            Self::Unavailable(said) | Self::Held(said) | Self::Constraint(said) => said,
            Self::Corrupt(_)
            | Self::Overloaded
            | Self::Importing
            | Self::NoRoom
            | Self::ImportGoesOn
            | Self::Overdue
            | Self::Unfinished
            | Self::Closed => self.to_string(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) = error {
            return Self::Corrupt(error.to_string());
        }
        let database = error.as_database_error();
        if let Some(error) = database.and_then(|error| error.try_downcast_ref()) {
            return of_postgres(error);
        }
        let said = said(&error);
        match kind(&error) {
            Some(BUSY) => Self::Held(said),
            Some(CONSTRAINT) => Self::Constraint(said),
            Some(_) | None => Self::Unavailable(said),
        }
    }
}

/// Turns an error of Postgres into one of ours, by its code or the class of that.
fn of_postgres(error: &PgDatabaseError) -> StoreError {
    let said = error.message().to_owned();
    match error.code() {
        // lock_not_available, deadlock_detected.
        "55P03" | "40P01" => StoreError::Held(format!(
            "another process holds it ({said}): pg_stat_activity shows its session"
        )),
        // invalid_catalog_name.
        "3D000" => StoreError::Unavailable(format!(
            "{said}: make it with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, or correct database.url"
        )),
        code if code.starts_with("23") => StoreError::Constraint(said),
        _ => StoreError::Unavailable(said),
    }
}

/// Kind of an error of `SQLite`: the low byte of its code.
fn kind(error: &sqlx::Error) -> Option<u32> {
    Some(code(error)? & 0xff)
}

fn code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?;
    // Those of Postgres are numbers, too.
    error.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse().ok()
}

/// The error in `SQLite`'s own words, such as "database or disk is full": operators search for them. An I/O
/// error is called one, with the code that tells which, and a lock names what to look for.
pub(super) fn said(error: &sqlx::Error) -> String {
    if let sqlx::Error::Io(error) = error {
        return error.to_string();
    }
    let Some(database) = error.as_database_error() else {
        return error.to_string();
    };
    let message = database.message();
    let code = code(error).unwrap_or_default();
    match kind(error).unwrap_or_default() {
        BUSY => format!(
            "another process holds it ({message}): end that one, such as a shell of sqlite3 or another \
             program for backups"
        ),
        IO_ERROR if message.contains("I/O error") => format!("{message} (SQLite's code {code})"),
        IO_ERROR => format!("disk I/O error: {message} (SQLite's code {code})"),
        _ => message.to_owned(),
    }
}

/// A settlement that changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SettleError {
    /// The claim is not held any more: it ran out, or the event has another state.
    #[error("the claim on the event was lost")]
    LostClaim,
    /// The store failed; the claim runs out by itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reason why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL does not name a database. It is not quoted: it may have a password.
    #[error(
        "database.url is not understood: {problem}: expected sqlite://path/to/file.db, or \
         postgres://user@host:5432/database"
    )]
    Url {
        /// The fault.
        problem: String,
    },
    /// A file or folder cannot be created, read or renamed.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Another process has the lock.
    #[error(
        "{path} is in use by another serval-connect process{process}: two writers would lose events; \
         stop the other one, or give this one a database.url of its own"
    )]
    Locked {
        /// The database file.
        path: String,
        /// Its id, in brackets, where that is known.
        process: String,
    },
    /// The database is of a later version.
    #[error(
        "{path} has schema version {version}, this program knows {newest}: run the version of \
         serval-connect that wrote it, or a later one, or restore a backup that this version made"
    )]
    Newer {
        /// The database file.
        path: String,
        /// Schema version of the database.
        version: i64,
        /// Newest schema version that this program knows.
        newest: i64,
    },
    /// The server, or what it has of the database, will not do.
    #[error("{path} cannot be used: {problem}")]
    Unfit {
        /// Hosts and name of the database.
        path: String,
        /// The fault, and the remedy.
        problem: String,
    },
    /// A migration failed.
    #[error("the schema of {path} cannot be brought up to date: {problem}")]
    Migrate {
        /// The database file.
        path: String,
        /// Cause.
        problem: String,
    },
    /// `SQLite` found damage.
    #[error(
        "{path} is damaged ({problem}): restore a backup, or move the file away to start empty"
    )]
    Damaged {
        /// The database file.
        path: String,
        /// First finding of the check.
        problem: String,
    },
    /// The database cannot be read.
    #[error("cannot open {path}: {problem}")]
    Database {
        /// The database file.
        path: String,
        /// Cause.
        problem: String,
    },
}

impl OpenError {
    /// Makes errors about the file or folder `path`.
    pub(super) fn file(path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::File {
            path: path.clone(),
            source,
        }
    }

    /// Makes errors about the database `path`.
    pub(super) fn database(path: &Path) -> impl Fn(sqlx::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| Self::Database {
            path: path.clone(),
            problem: said(&error),
        }
    }

    /// Makes errors about reading or writing the database `path`.
    pub(super) fn store(path: &Path) -> impl Fn(StoreError) -> Self + use<> {
        let path = path.display().to_string();
        move |error| Self::Database {
            path: path.clone(),
            problem: error.problem(),
        }
    }

    /// Makes errors of bringing the database `path` up to date.
    pub(super) fn migration(path: String) -> impl Fn(MigrateError) -> Self {
        move |error| {
            let path = path.clone();
            let problem = if let MigrateError::Execute(error) = &error {
                said(error)
            } else if let MigrateError::ExecuteMigration(error, version) = &error {
                format!("migration {version}: {}", said(error))
            } else {
                error.to_string()
            };
            Self::Migrate { path, problem }
        }
    }
}
