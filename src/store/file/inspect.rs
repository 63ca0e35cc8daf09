//! Checks a database file without changing it, beside a running daemon or without one.

use std::path::Path;

use rustix::fs::Access;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::lock::{beside, file_of};
use super::options::reading;
use super::schema::refuse_newer;
use crate::store::database::Database;
use crate::store::error::OpenError;
use crate::store::handle::Store;
use crate::store::links::rename_source::{Rename, RenameError};
use crate::store::server;

/// Depth of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Checks every page, but not if the indexes agree with their tables.
    Quick,
    /// Checks everything. Takes several times as long.
    Whole,
}

impl Store {
    /// Checks that a start could use the database at `url`, and returns its number of events; `None` if
    /// there is no database.
    pub async fn inspect(url: &str, depth: Depth) -> Result<Option<i64>, OpenError> {
        let database = Database::at(url);
        if database.is_on_server() {
            let inspected = Self::inspect_server(&database).await?;
            return Ok(inspected.schema.map(|_| inspected.events));
        }
        let path = file_of(url)?;
        check_rights(&path)?;
        if !path.exists() {
            return Ok(None);
        }
        let mut connection = open(&path).await?;
        let inspected = async {
            refuse_newer(&mut connection, &path).await?;
            check(&mut connection, &path, depth).await?;
            let events = count(&mut connection).await;
            events.map(Some).map_err(OpenError::database(&path))
        };
        let inspected = inspected.await;
        close(connection, &path).await?;
        inspected
    }

    /// Checks that a start on the database can rename these sources.
    pub async fn inspect_renames(
        database: &Database,
        renames: &[Rename],
    ) -> Result<(), RenameError> {
        if database.is_on_server() {
            return server::inspect_renames(database, renames).await;
        }
        let path = database.file()?;
        if renames.is_empty() || !path.exists() {
            return Ok(());
        }
        let mut connection = open(&path).await?;
        let mut due = Ok(());
        for rename in renames {
            due = due.and(rename.is_due(&mut connection).await.map(drop));
        }
        close(connection, &path).await?;
        due
    }
}

/// Checks that a start could write the database at `path`: the files that are there, and the folder, or
/// the nearest one that exists.
fn check_rights(path: &Path) -> Result<(), OpenError> {
    let may = |path: &Path, access| {
        let allowed = rustix::fs::access(path, access);
        allowed.map_err(|error| OpenError::file(path)(error.into()))
    };
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = beside(path, suffix);
        if file.exists() {
            may(&file, Access::READ_OK | Access::WRITE_OK)?;
        }
    }
    let mut folders = path
        .ancestors()
        .skip(1)
        .map(|folder| match folder.to_str() {
            Some("") => Path::new("."),
            _ => folder,
        });
    let folder = folders.find(|folder| folder.exists());
    let folder = folder.unwrap_or(Path::new("."));
    may(folder, Access::WRITE_OK | Access::EXEC_OK)
}

/// Opens a connection that only reads.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection, OpenError> {
    let opened = reading(path).connect().await;
    opened.map_err(OpenError::database(path))
}

/// Closes a connection. Without that a command may end while the files of the log are there, and they may
/// belong to another user than the daemon.
pub(super) async fn close(connection: SqliteConnection, path: &Path) -> Result<(), OpenError> {
    connection.close().await.map_err(OpenError::database(path))
}

/// Lets `SQLite` search for damage.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
    depth: Depth,
) -> Result<(), OpenError> {
    // The quick check does not compare the indexes with their tables, which takes the most time. Either
    // stops at the first fault: one is enough to refuse the file.
    let statement = sqlx::query_scalar(match depth {
        Depth::Quick => "PRAGMA quick_check(1)",
        Depth::Whole => "PRAGMA integrity_check(1)",
    });
    let problem: String = statement
        .fetch_one(connection)
        .await
        .map_err(OpenError::database(path))?;
    if problem == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged {
        path: path.display().to_string(),
        problem,
    })
}

/// Returns the number of events.
pub(super) async fn count(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    const EVENTS: &str = "\
        -- store::inspect::events
        SELECT COALESCE(CAST(SUM(n) AS BIGINT), 0) FROM counts";
    sqlx::query_scalar(EVENTS).fetch_one(connection).await
}
