//! Opens the database of a file: lock, options, schema.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{ConnectOptions as _, SqlitePool};

use super::Files;
use super::copy::{remove_leftovers, saved_copy};
use super::lock::{DatabaseLock, folder_of};
use super::options::{reading, writing};
use super::presence::Presence;
use super::schema::{MIGRATIONS, migrator, refuse_newer};
use crate::store::commit::writer::Writer;
use crate::store::engine::{Conn, Readers};
use crate::store::error::OpenError;
use crate::store::handle::Store;

/// Number of connections that read, beside the one that writes.
const READERS: u32 = 4;
/// Longest wait for one of them. Whoever asks for the state has a time limit, too.
const READ_PATIENCE: Duration = Duration::from_millis(2500);

impl Store {
    /// Opens the database of a file as [`Store::open`] does, under a lock that the caller has taken already.
    pub async fn open_locked(
        mut lock: DatabaseLock,
        now: Timestamp,
    ) -> Result<(Self, Writer), OpenError> {
        // Reads the schema and the first page only: a start must not depend on the size of the history.
        const READ_SCHEMA: &str = "SELECT COUNT(*) FROM sqlite_schema";
        // A dead process may have left pages in the log of which the system could not write some to the disk. They can
        // still be read, but a power cut takes them, and with them all that is written behind them. Another program
        // that reads the database puts this off.
        const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
        remove_leftovers(folder_of(lock.path()));
        if let Some(saved) = saved_copy(lock.path()) {
            tracing::warn!(
                saved = %saved.display(),
                "there is no database, so a new one is made; the saved copy of one that was lost is beside it: to \
                 go on with that, stop, move the new database away, and run `serval-connect restore` with the copy"
            );
        }
        lock.create_file()?;
        let path = lock.path().to_path_buf();
        let failed = OpenError::database(&path);
        let mut connection = writing(&path).connect().await.map_err(&failed)?;
        let schema = sqlx::query(READ_SCHEMA).execute(&mut connection).await;
        schema.map_err(&failed)?;
        refuse_newer(&mut connection, &path).await?;
        let emptied = sqlx::query(EMPTY_LOG).execute(&mut connection).await;
        emptied.map_err(&failed)?;
        let migrator = migrator(MIGRATIONS);
        let migrated = migrator.run_direct(None, &mut connection, false).await;
        migrated.map_err(OpenError::migration(path.display().to_string()))?;
        let presence = Presence::of(&path, lock.file());
        let presence = presence.map_err(OpenError::file(&path))?;
        let readers = Readers::Sqlite(readers(&path).await.map_err(&failed)?);
        let files = Some(Files { presence, lock });
        let begun = Self::begin(Conn::Sqlite(connection), readers, files, None, now).await;
        begun.map_err(OpenError::store(&path))
    }
}

/// Opens the connections that read, all of them at once and for good. A later one would be opened by name, and the
/// name may lead to another file then, into which `SQLite` would move our log.
async fn readers(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(READ_PATIENCE)
        // A file does not go away as a server does.
        .test_before_acquire(false)
        .connect_lazy_with(reading(path));
    let mut opened = Vec::new();
    for _ in 0..READERS {
        opened.push(pool.acquire().await?);
    }
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::super::lock::beside;
    use super::super::options::base;
    use super::*;

    #[tokio::test]
    async fn a_new_database_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.db");
        let url = format!("sqlite://{}", path.display());
        let opened = Store::open(&url, Timestamp::UNIX_EPOCH).await.unwrap();
        for file in ["new.db", "new.db-wal"] {
            let mode = fs::metadata(folder.path().join(file)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        drop(opened);
    }

    #[tokio::test]
    async fn a_start_moves_what_a_dead_process_left_in_the_log_into_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let [alive, dead, alone] =
            ["alive.db", "dead.db", "alone.db"].map(|name| folder.path().join(name));
        let mut left = writing(&alive).connect().await.unwrap();
        for statement in ["CREATE TABLE t (n)", "INSERT INTO t VALUES (7)"] {
            sqlx::query(statement).execute(&mut left).await.unwrap();
        }
        // As a killed process leaves them.
        for suffix in ["", "-wal"] {
            fs::copy(beside(&alive, suffix), beside(&dead, suffix)).unwrap();
        }
        let url = format!("sqlite://{}", dead.display());
        let opened = Store::open(&url, Timestamp::UNIX_EPOCH).await.unwrap();
        fs::copy(&dead, &alone).unwrap();
        drop(opened);
        let mut without_log = base(&alone).connect().await.unwrap();
        let n: i64 = sqlx::query_scalar("SELECT n FROM t")
            .fetch_one(&mut without_log)
            .await
            .unwrap();
        assert_eq!(n, 7);
    }
}
