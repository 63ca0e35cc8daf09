//! What can go wrong with the store, by what the caller can do about it.

/// A failed read or write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database could not be used just now: full disk, lock, I/O. Trying later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// More waits to be written than the store takes on, or it waited too long.
    #[error("the store is overloaded: its queue is full")]
    Overloaded,
    /// The store is closed: the daemon is stopping.
    #[error("the store is closed")]
    Closed,
    /// A stored value is not what the program wrote.
    #[error("the database holds a value that does not belong there: {0}")]
    Corrupt(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) = error {
            return Self::Corrupt(error.to_string());
        }
        // SQLite's own words ("database or disk is full") are what an operator searches for.
        Self::Unavailable(match error.as_database_error() {
            Some(database) => database.message().to_owned(),
            None => error.to_string(),
        })
    }
}

/// A settlement that came too late: the claim had run out, or another state was set meanwhile.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SettleError {
    /// The claim is not held any more; nothing was changed.
    #[error("the claim on the event was lost")]
    LostClaim,
    /// The store failed; the claim runs out by itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of ours.
    #[error("database.url {url:?} is not understood: expected sqlite://path/to/file.db")]
    Url {
        /// As configured.
        url: String,
    },
    /// The folder or the lock file could not be made.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the database.
    #[error(
        "{path} is in use by another serval-connect process: two writers would lose events; \
         stop the other one, or give this one a database.url of its own"
    )]
    Locked {
        /// The database file.
        path: String,
    },
    /// A migration failed, or the database is from a later version.
    #[error("the schema of {path} cannot be brought up to date: {source}")]
    Migrate {
        /// The database file.
        path: String,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// `SQLite` found damage.
    #[error(
        "{path} is damaged ({problem}): restore a backup, or move the file away to start empty"
    )]
    Damaged {
        /// The database file.
        path: String,
        /// What the check said first.
        problem: String,
    },
    /// The database could not be read.
    #[error("cannot open {path}: {source}")]
    Database {
        /// The database file.
        path: String,
        /// Why.
        source: sqlx::Error,
    },
}
