//! Opens the database: lock, options, schema, and recovery from a dead process.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{ConnectOptions as _, SqlitePool};
use tokio::sync::{Notify, RwLock, mpsc};

use super::copied;
use super::copy::{remove_leftovers, saved_copy};
use super::lock::{DatabaseLock, folder_of};
use super::options::{reading, writing};
use super::presence::Presence;
use super::schema::{MIGRATIONS, migrator, refuse_newer};
use super::uptime;
use crate::domain::uptime::Uptime;
use crate::edge::metrics::Metrics;
use crate::store::commit::fault::Faults;
use crate::store::commit::growth::Growth;
use crate::store::commit::tx::{LAST_EVENT, Tx};
use crate::store::commit::writer::{QUEUE, Save, Writer};
use crate::store::engine::{Conn, Readers};
use crate::store::error::{OpenError, StoreError};
use crate::store::handle::{Shared, Store};
use crate::store::links::asked::Asked;
use crate::store::links::import::decided::Decided;
use crate::store::links::import::leftovers::Leftovers;
use crate::store::queue::offer::HandOff;
use crate::store::queue::schedule;
use crate::store::sql::{self, args};

/// Number of connections that read, beside the one that writes.
const READERS: u32 = 4;
/// Longest wait for one of them. Whoever asks for the state has a time limit, too.
const READ_PATIENCE: Duration = Duration::from_millis(2500);

impl Store {
    /// Opens the database at `url`; creates and migrates it as needed. The caller runs the
    /// [`Writer`]; nothing is written until it does.
    ///
    /// Claims of a dead process end here: their events are in doubt, and due again.
    pub async fn open(url: &str, now: Timestamp) -> Result<(Self, Writer), OpenError> {
        Self::open_locked(DatabaseLock::acquire(url)?, now).await
    }

    /// Does the same under a lock that the caller has taken already.
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
        migrated.map_err(OpenError::migration(&path))?;
        let failed_to_read = OpenError::store(&path);
        let mut conn = Conn::new(connection);
        let recovered = recover(&mut conn, now).await.map_err(&failed_to_read)?;
        let (next_event, was_restored, uptime) = recovered;
        let imports = imports(&mut conn).await.map_err(&failed_to_read)?;
        let (newest, unfinished) = imports;
        // Alone from the start: nobody writes a mapping before an import that was decided earlier.
        let mappings = Arc::new(RwLock::new(()));
        let alone = Arc::clone(&mappings).try_write_owned().ok();
        let decided = unfinished.zip(alone);
        let decided = decided.map(|(id, alone)| Arc::new(Decided::new(id, now, alone)));
        let presence = Presence::of(&path, lock.file());
        let presence = presence.map_err(OpenError::file(&path))?;
        let readers = Readers::new(readers(&path).await.map_err(&failed)?);
        let (jobs, queue) = mpsc::channel(QUEUE);
        // A process that was killed may have left words in the log that it had erased.
        let erased = Notify::new();
        erased.notify_one();
        let shared = Arc::new(Shared {
            wake: Notify::new(),
            erased,
            revision: AtomicU64::new(0),
            faults: Faults::default(),
            damage: OnceLock::new(),
            growth: Growth::default(),
            asked: Asked::default(),
            imports: Arc::new(tokio::sync::Mutex::new(newest)),
            leftovers: Leftovers::after(newest),
            mappings,
            hand_off: HandOff::default(),
            was_restored,
            uptime: Mutex::new(uptime),
            presence,
            lock,
        });
        let mut writer = Writer {
            tx: Tx::new(conn, next_event),
            import: None,
            queue,
            shared: Arc::clone(&shared),
            save: Save::Due(None),
            metrics: Metrics::default(),
        };
        if let Some(decided) = decided {
            tracing::info!("an import that was decided before is continued");
            writer.begin_import(decided);
        }
        let store = Self {
            jobs,
            readers,
            shared,
            by: None,
            patience: None,
        };
        Ok((store, writer))
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

/// Recovers from a dead process: voids its claims, puts their pairs in doubt, and moves what waits if the
/// clock made a step. Returns the id of the next event, true if the database was restored a short time ago,
/// and the uptime.
async fn recover(conn: &mut Conn, now: Timestamp) -> Result<(i64, bool, Uptime), StoreError> {
    // An earlier event stays the one in doubt, as in `doubts::add`: the links do not show which save made the pair.
    const DOUBT: &str = "\
        -- store::open::doubt
        INSERT INTO doubts (external, ticket_id, event_id)
        SELECT external, ticket_id, event_id FROM claims WHERE ticket_id IS NOT NULL
        ON CONFLICT (external, ticket_id) DO NOTHING";
    const VOID: &str = "\
        -- store::open::void
        DELETE FROM claims";
    for statement in ["BEGIN IMMEDIATE", DOUBT, VOID] {
        sql::run(&mut *conn, statement, args![]).await?;
    }
    // First, so that nothing is judged by an age before the waits were moved.
    let uptime = uptime::resume(conn, now).await?;
    let was_restored = copied::begin(conn, now).await?;
    schedule::on_start(conn, now).await?;
    sql::run(&mut *conn, "COMMIT", args![]).await?;
    let last: i64 = sql::fetch_one(conn, LAST_EVENT, args![]).await?;
    Ok((last + 1, was_restored, uptime))
}

/// Returns the number of the newest import, and that of one which is decided and not written whole.
async fn imports(conn: &mut Conn) -> Result<(i64, Option<i64>), StoreError> {
    const NEWEST: &str = "\
        -- store::open::newest_import
        SELECT MAX(COALESCE((SELECT MAX(import_id) FROM import_rows), 0),
            COALESCE((SELECT MAX(id) FROM imports), 0))";
    const UNFINISHED: &str = "\
        -- store::open::unfinished_import
        SELECT MIN(id) FROM imports";
    let newest = sql::fetch_one(&mut *conn, NEWEST, args![]).await?;
    let unfinished = sql::fetch_one(conn, UNFINISHED, args![]).await?;
    Ok((newest, unfinished))
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
