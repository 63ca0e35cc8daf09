//! Opening the database: lock, settings, schema, and what a dead process left behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlSafeStr as _, SqliteConnection};
use tokio::sync::{Notify, mpsc};

use super::checkpoint::Growth;
use super::disconnects::Asked;
use super::error::OpenError;
use super::hand_off::HandOff;
use super::import::Imports;
use super::writer::{QUEUE, Tx, Writer};
use super::{Shared, Store, millis};
use crate::domain::retry::{MAX_RETRY_AFTER, later};
use crate::metrics::Metrics;

/// The schema, oldest first. A released migration is never edited.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "inbox",
        include_str!("../../migrations/sqlite/0001_inbox.sql"),
    ),
    (
        2,
        "connections",
        include_str!("../../migrations/sqlite/0002_connections.sql"),
    ),
    (
        3,
        "deliveries",
        include_str!("../../migrations/sqlite/0003_deliveries.sql"),
    ),
    (
        4,
        "imports",
        include_str!("../../migrations/sqlite/0004_imports.sql"),
    ),
    (
        5,
        "learning",
        include_str!("../../migrations/sqlite/0005_learning.sql"),
    ),
    (
        9,
        "console",
        include_str!("../../migrations/sqlite/0009_console.sql"),
    ),
];

/// Connections that read beside the writer.
const READERS: u32 = 4;

/// The exclusive right to a database file, held until dropped; the system frees it when the
/// process dies, however it dies.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: File,
    path: PathBuf,
}

impl DatabaseLock {
    /// Takes the lock for the database that `url` names, making its folder when missing.
    pub fn acquire(url: &str) -> Result<Self, OpenError> {
        let path = file_of(url)?;
        let in_folder = |source| OpenError::File {
            path: path.display().to_string(),
            source,
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(in_folder)?;
        }
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let in_lock = |source| OpenError::File {
            path: lock_path.display().to_string(),
            source,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(in_lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file, path }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
                path: path.display().to_string(),
            }),
            Err(TryLockError::Error(source)) => Err(in_lock(source)),
        }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file that a `sqlite:` URL names.
pub fn file_of(url: &str) -> Result<PathBuf, OpenError> {
    let wrong = || OpenError::Url {
        url: url.to_owned(),
    };
    let rest = url.strip_prefix("sqlite:").ok_or_else(wrong)?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains('?') || path == ":memory:" {
        return Err(wrong());
    }
    Ok(PathBuf::from(path))
}

impl Store {
    /// Opens the database at `url`, creating and migrating it as needed. The caller runs the
    /// [`Writer`]; nothing is written until it does.
    ///
    /// Claims of a dead process end here: their events are marked as in doubt and are due again.
    pub async fn open(url: &str, now: Timestamp) -> Result<(Self, Writer), OpenError> {
        Self::open_locked(DatabaseLock::acquire(url)?, now).await
    }

    /// [`Store::open`] under a lock that is held already.
    pub async fn open_locked(
        lock: DatabaseLock,
        now: Timestamp,
    ) -> Result<(Self, Writer), OpenError> {
        let path = lock.path().to_path_buf();
        let failed = |source| OpenError::Database {
            path: path.display().to_string(),
            source,
        };
        make_private(&path)?;
        let mut connection = writing(&path).connect().await.map_err(failed)?;
        check(&mut connection, &path).await?;
        migrator(MIGRATIONS)
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|source| OpenError::Migrate {
                path: path.display().to_string(),
                source,
            })?;
        let next_event = recover(&mut connection, now).await.map_err(failed)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            // A file does not go away like a server does.
            .test_before_acquire(false)
            .connect_lazy_with(reading(&path));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            wake: Notify::new(),
            write_failed: AtomicBool::new(false),
            damage: OnceLock::new(),
            growth: Growth::default(),
            asked: Asked::default(),
            imports: Imports::default(),
            hand_off: HandOff::default(),
            lock,
        });
        let writer = Writer {
            tx: Tx::new(connection, next_event),
            queue,
            shared: Arc::clone(&shared),
            metrics: Metrics::default(),
        };
        Ok((
            Self {
                jobs,
                readers,
                shared,
                by: None,
            },
            writer,
        ))
    }
}

/// What people tell their help desk is nobody else's to read: a new database is its owner's alone.
/// `SQLite` gives the log beside it the same rights.
fn make_private(path: &Path) -> Result<(), OpenError> {
    let mut new = File::options();
    match new.write(true).create_new(true).mode(0o600).open(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(OpenError::File {
            path: path.display().to_string(),
            source,
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

pub(super) fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .pragma("temp_store", "MEMORY")
        // Kibibytes. The system keeps the file in its memory as well, and what is hot in a small cache
        // is hot in the processor's.
        .pragma("cache_size", "-1024")
}

fn writing(path: &Path) -> SqliteConnectOptions {
    base(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        // Pages: see `checkpoint`.
        .pragma("wal_autocheckpoint", "1000")
        // The inserts have a text for each size of a group and for what goes along.
        .statement_cache_capacity(256)
        // What is deleted is overwritten: see `erase`.
        .pragma("secure_delete", "ON")
}

pub(super) fn reading(path: &Path) -> SqliteConnectOptions {
    base(path)
        .create_if_missing(false)
        .pragma("query_only", "ON")
}

async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database {
        path: path.display().to_string(),
        source,
    };
    // Reads the schema and the first page only: start-up must not depend on the history's size.
    sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(())
}

fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// Takes up what a dead process left: its claims are void and their events in doubt. Answers the
/// id of the next event.
async fn recover(connection: &mut SqliteConnection, now: Timestamp) -> Result<i64, sqlx::Error> {
    const DOUBT: &str = "\
        -- store::open::doubt
        UPDATE events SET in_doubt = 1 WHERE id IN (SELECT event_id FROM claims)";
    const VOID: &str = "\
        -- store::open::void
        DELETE FROM claims";
    // Of an import that the process did not live to apply or to give up.
    const IMPORTS: &str = "\
        -- store::open::imports
        DELETE FROM import_rows";
    // A start is a new chance: only what Serval asked for is waited out. No such wait is longer than
    // `furthest`; one that is was written while the clock was ahead.
    const EARLIER: &str = "\
        -- store::open::earlier
        UPDATE events INDEXED BY events_due
        SET due_at = CASE WHEN not_before BETWEEN $1 AND $2 THEN not_before ELSE $1 END,
            not_before = CASE WHEN not_before BETWEEN $1 AND $2 THEN not_before ELSE 0 END
        WHERE state = 'queued' AND due_at > $1";
    const LAST: &str = "\
        -- store::open::last
        SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
    let furthest = later(now, MAX_RETRY_AFTER);
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await?;
    sqlx::query(DOUBT).execute(&mut *connection).await?;
    sqlx::query(VOID).execute(&mut *connection).await?;
    sqlx::query(IMPORTS).execute(&mut *connection).await?;
    sqlx::query(EARLIER)
        .bind(millis(now))
        .bind(millis(furthest))
        .execute(&mut *connection)
        .await?;
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    let last: i64 = sqlx::query_scalar(LAST).fetch_one(&mut *connection).await?;
    Ok(last + 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn every_migration_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<_> = MIGRATIONS
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        assert_eq!(files, listed);
    }

    /// Rows in the tables of each version, written as that version's program would.
    const ROWS: &[(i64, &str, &str)] = &[
        (
            1,
            "external_tickets",
            "INSERT INTO external_tickets (id, source, external_id) VALUES (1, 'servicenow', 'x')",
        ),
        (
            1,
            "events",
            "INSERT INTO events (state, due_at, received_at, queued_at, updated_at, rank_major,
                rank_minor, source, external, event_type, first_state, delivery)
             VALUES ('parked', 9, 1, 1, 1, 4, 5, 'servicenow', 1, 'incident.update', 'parked',
                CAST('wh:msg_1' AS BLOB))",
        ),
        (
            1,
            "payloads",
            "INSERT INTO payloads VALUES (1, 0, 2, x'7b7d')",
        ),
        (
            1,
            "changes",
            "INSERT INTO changes VALUES (1, 1, 1, 'parked', NULL)",
        ),
        (
            1,
            "counts",
            "INSERT INTO counts VALUES ('servicenow', 'parked', 1)",
        ),
        (
            1,
            "settings",
            "INSERT INTO settings VALUES ('paused', 'true')",
        ),
        (
            1,
            "external_tickets",
            "INSERT INTO external_tickets (id, source, external_id, ticket_id, accounted_for,
                origin, created_at, updated_at)
             VALUES (2, 'servicenow', 'y', 'T-1', '[]', 'api', 1, 1)",
        ),
        (
            2,
            "connections",
            "INSERT INTO connections VALUES (2, 'T-1', 1, 1)",
        ),
        (
            3,
            "attempts",
            "INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, probe)
             VALUES (1, 1, 1, 'T-1', 'retry', 0)",
        ),
        (
            5,
            "conflicts",
            "INSERT INTO conflicts VALUES (1, 'servicenow', 'y', 'T-1', 'T-2', 1, 1, NULL, NULL)",
        ),
        (
            5,
            "disconnects",
            "INSERT INTO disconnects VALUES (1, 'servicenow', 'y', 'T-1', 1, 0, 1, NULL)",
        ),
        (
            5,
            "friendly_ids",
            "INSERT INTO friendly_ids VALUES ('ACM-1', 'T-1', 1)",
        ),
        (
            9,
            "activity",
            "INSERT INTO activity VALUES (10000, 'servicenow', 2, 1)",
        ),
        (
            9,
            "external_tickets",
            "INSERT INTO external_tickets (id, source, external_id, number)
                VALUES (9, 'servicenow', 'numbered', 'INC0081927')",
        ),
        (
            9,
            "audit",
            "INSERT INTO audit (at, actor, action) VALUES (1, 'ada', 'pause')",
        ),
    ];

    #[tokio::test]
    async fn every_migration_keeps_what_the_earlier_versions_wrote() {
        for first in 1..=MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            let mut connection = writing(&path).connect().await.unwrap();
            let of_first = migrator(&MIGRATIONS[..first]);
            of_first
                .run_direct(None, &mut connection, false)
                .await
                .unwrap();
            let version = MIGRATIONS[first - 1].0;
            let rows = || ROWS.iter().filter(|(since, ..)| *since <= version);
            for (_, _, insert) in rows() {
                sqlx::query(*insert).execute(&mut connection).await.unwrap();
            }
            for upto in first..=MIGRATIONS.len() {
                let next = migrator(&MIGRATIONS[..upto]);
                next.run_direct(None, &mut connection, false).await.unwrap();
                for &(_, table, _) in rows() {
                    let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
                    let n: i64 = sqlx::query_scalar(count)
                        .fetch_one(&mut connection)
                        .await
                        .unwrap();
                    let written = rows().filter(|(_, name, _)| *name == table);
                    let written = i64::try_from(written.count()).unwrap();
                    assert_eq!(
                        n, written,
                        "{table} from version {version} at migration {upto}"
                    );
                }
            }
            drop(connection);
            let url = format!("sqlite://{}", path.display());
            let now = Timestamp::from_millisecond(2).unwrap();
            let (store, _writer) = Store::open(&url, now).await.unwrap();
            assert!(store.is_paused().await.unwrap());
            let event = store.event(crate::domain::ids::EventId(1)).await.unwrap();
            let event = event.unwrap();
            assert_eq!(event.row.external_id.as_deref(), Some("x"));
            assert_eq!(event.payload, Some((b"{}".to_vec(), 0..2)));
        }
    }

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

    #[test]
    fn urls_name_a_file() {
        assert_eq!(
            file_of("sqlite://data/x.db").unwrap(),
            Path::new("data/x.db")
        );
        assert_eq!(
            file_of("sqlite:///data/x.db").unwrap(),
            Path::new("/data/x.db")
        );
        assert_eq!(file_of("sqlite:x.db").unwrap(), Path::new("x.db"));
        for bad in [
            "",
            "x.db",
            "postgres://x",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://x?mode=ro",
        ] {
            assert!(file_of(bad).is_err(), "{bad}");
        }
    }
}
