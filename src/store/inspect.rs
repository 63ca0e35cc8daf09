//! Looking at a database file without changing what it says, whether or not a daemon has it.

use std::path::Path;

use sqlx::{ConnectOptions as _, SqliteConnection};

use super::Store;
use super::error::OpenError;
use super::open::{file_of, reading};

/// How much of the file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Every page, but not whether the indexes agree with their tables.
    Quick,
    /// Everything. Takes several times as long.
    Whole,
}

impl Store {
    /// Looks for damage: `None` when there is no database, else its number of events. Works beside
    /// a running daemon.
    pub async fn inspect(url: &str) -> Result<Option<i64>, OpenError> {
        inspect(url, Depth::Quick).await
    }

    /// The same with `SQLite`'s thorough check, which compares the indexes with their tables, too.
    pub async fn inspect_thoroughly(url: &str) -> Result<Option<i64>, OpenError> {
        inspect(url, Depth::Whole).await
    }
}

async fn inspect(url: &str, depth: Depth) -> Result<Option<i64>, OpenError> {
    let path = file_of(url)?;
    if !path.exists() {
        return Ok(None);
    }
    let mut connection = open(&path).await?;
    check(&mut connection, &path, depth).await?;
    let events = count(&mut connection)
        .await
        .map_err(|source| failed(&path, source))?;
    Ok(Some(events))
}

/// A connection that reads.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection, OpenError> {
    let opened = reading(path).connect().await;
    opened.map_err(|source| failed(path, source))
}

/// Has `SQLite` look for damage.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
    depth: Depth,
) -> Result<(), OpenError> {
    let statement = match depth {
        Depth::Quick => "PRAGMA quick_check(1)",
        Depth::Whole => "PRAGMA integrity_check(1)",
    };
    let verdict: String = sqlx::query_scalar(statement)
        .fetch_one(connection)
        .await
        .map_err(|source| failed(path, source))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged {
        path: path.display().to_string(),
        problem: verdict,
    })
}

/// The number of events.
pub(super) async fn count(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    const EVENTS: &str = "\
        -- store::inspect::events
        SELECT COALESCE(SUM(n), 0) FROM counts";
    sqlx::query_scalar(EVENTS).fetch_one(connection).await
}

pub(super) fn failed(path: &Path, source: sqlx::Error) -> OpenError {
    OpenError::Database {
        path: path.display().to_string(),
        source,
    }
}
