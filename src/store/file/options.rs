//! Options of the connections to the database file.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// Longest wait for another process that holds the database. A write waits once for its turn and once for
/// this, and the answer must come within three seconds.
pub(crate) const HELD: Duration = Duration::from_millis(1200);

/// Options that all connections share.
pub(super) fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(HELD)
        .pragma("temp_store", "MEMORY")
        // KiB. The system caches the file too, and a small cache stays in the cache of the processor.
        .pragma("cache_size", "-1024")
}

/// Options of the one connection that writes.
pub(super) fn writing(path: &Path) -> SqliteConnectOptions {
    base(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        // Pages: see `checkpoint`.
        .pragma("wal_autocheckpoint", "1000")
        // A multi-row insert has one text for each number of rows, so there are many texts.
        .statement_cache_capacity(256)
        // Overwrites what is deleted: see `erase`.
        .pragma("secure_delete", "ON")
}

/// Options of connections that only read.
pub(super) fn reading(path: &Path) -> SqliteConnectOptions {
    base(path)
        .create_if_missing(false)
        .pragma("query_only", "ON")
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions as _;

    use super::*;

    #[tokio::test]
    async fn a_write_is_synced_before_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let mut connection = writing(&file).connect().await.unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        // 2 is FULL: with a write-ahead log, every commit waits for the disk.
        assert_eq!((journal.as_str(), synchronous), ("wal", 2));
    }
}
