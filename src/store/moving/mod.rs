//! Moves a database file to a server: all rows in one transaction, compared, and then the file gets another name.
//!
//! Invariant: until the transaction is committed, the server has nothing of it and the file is as it was.

mod compare;
mod rows;
mod tables;

use std::path::PathBuf;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::rows::copy;
use self::tables::{Table, tables};
use super::database::Database;
use super::engine::{Readers, Said, Server};
use super::error::{OpenError, StoreError};
use super::file::lock::{DatabaseLock, beside};
use super::handle::Store;

/// A database that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Number of rows by table, without the empty ones.
    pub rows: Vec<(String, u64)>,
    /// Number of the next event.
    pub next_event: i64,
    /// New name of the file.
    pub file: PathBuf,
}

/// Reason why a database was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file or the server cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server has events or mappings already.
    #[error("{target} is not empty: its table {table} has rows; give it a new database")]
    NotEmpty {
        /// The database on the server.
        target: String,
        /// A table with rows.
        table: String,
    },
    /// A table of the file has no place on the server, or a column of it.
    #[error("{what} of the file has no place on the server; nothing was moved")]
    NoPlace {
        /// The table or column.
        what: String,
    },
    /// The copy of a table is not equal to it.
    #[error("table {table} differs after it was copied ({found}); nothing was moved")]
    Differs {
        /// The table.
        table: String,
        /// The sums of both sides.
        found: String,
    },
    /// A read or write failed.
    #[error("{0}; nothing was moved")]
    Store(#[from] StoreError),
    /// The commit failed, or its answer was lost.
    #[error(
        "the server did not confirm the last step ({0}): look whether its table events has rows; if it has, all was \
         moved, and the file must not be used any more"
    )]
    Unconfirmed(StoreError),
    /// A file of an earlier move is there.
    #[error("{path} exists: move or delete it first; nothing was moved")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// All is on the server, and the file has its old name still.
    #[error(
        "all is on the server, but {path} could not be renamed ({source}): rename it yourself, so that nobody starts \
         from it again"
    )]
    Rename {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// Moves the database file at `from` to the server `to`, which must be empty. No daemon may have the file.
pub async fn move_to_server(from: &str, to: &Database, now: Timestamp) -> Result<Moved, MoveError> {
    let lock = DatabaseLock::acquire(from)?;
    let path = lock.path().to_path_buf();
    let file = beside(&path, ".moved");
    if file.exists() {
        return Err(MoveError::Exists { path: file });
    }
    // A start voids the claims of a dead process, and brings the schema up to date.
    let (store, writer) = Store::open_locked(lock, now).await?;
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    let filled = fill(&store, to).await;
    // Also after a failure: it leaves no file of SQLite's beside the database.
    store.close_readers().await;
    let (rows, next_event) = filled?;
    // The lock is held until the file has its new name.
    let renamed = std::fs::rename(&path, &file);
    drop(store);
    renamed.map_err(|source| MoveError::Rename { path, source })?;
    Ok(Moved {
        rows,
        next_event,
        file,
    })
}

/// Fills the server's database. Returns what was copied, and the number of the next event.
async fn fill(store: &Store, to: &Database) -> Result<(Vec<(String, u64)>, i64), MoveError> {
    Store::migrate_server(to).await?;
    let mut server = Server::connect(to.direct_address()?, "").await?;
    let moved = copy_all(&store.readers, &mut server, &to.shown()).await;
    if moved.is_err() {
        server.roll_back().await;
        return moved;
    }
    // All is committed, so a failure does not matter.
    drop(server.close().await);
    moved
}

async fn copy_all(
    source: &Readers,
    server: &mut Server,
    target: &str,
) -> Result<(Vec<(String, u64)>, i64), MoveError> {
    server.begin().await?;
    // A large table of the file is read for longer than that.
    rows::run(
        server,
        "SET LOCAL idle_in_transaction_session_timeout = 0".to_owned(),
    )
    .await?;
    let tables = tables(source, server).await?;
    for table in &tables {
        if table.must_be_empty() && compare::count(server, table).await? > 0 {
            return Err(MoveError::NotEmpty {
                target: target.to_owned(),
                table: table.name.clone(),
            });
        }
    }
    let mut copied = Vec::new();
    for table in &tables {
        let rows = copy(source, server, table).await?;
        compare::compare(source, server, table).await?;
        if rows > 0 {
            copied.push((table.name.clone(), rows));
        }
    }
    number(server, &tables).await?;
    let last = rows::last_event(source).await?;
    let said = Said {
        wakes: true,
        changes: true,
    };
    let committed = server.commit(last, said).await;
    committed.map_err(MoveError::Unconfirmed)?;
    Ok((copied, last + 1))
}

/// Lets the server number new rows after those that were copied.
async fn number(server: &mut Server, tables: &[Table]) -> Result<(), StoreError> {
    for table in tables {
        if let Some(statement) = table.numbering() {
            rows::run(server, statement).await?;
        }
    }
    rows::run(server, rows::NUMBER_IMPORTS.to_owned()).await
}
