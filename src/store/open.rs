//! Opens the store over a database that is ready: recovers from a dead process, and makes the handle and its writer.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use tokio::sync::{Notify, RwLock, mpsc};

use super::asked::Asked;
use super::commit::fault::Faults;
use super::commit::growth::Growth;
use super::commit::save::Save;
use super::commit::tx::Tx;
use super::commit::writer::{QUEUE, Writer};
use super::database::Database;
use super::engine::{Batch, Conn, Readers, Said};
use super::error::{OpenError, StoreError};
use super::file::lock::DatabaseLock;
use super::file::{Files, copied, uptime};
use super::handle::{Shared, Store};
use super::links::import::decided::Decided;
use super::links::import::leftovers::Leftovers;
use super::queue::offer::HandOff;
use super::queue::schedule;
use super::server::{self, replica::Replica};
use super::sql::{self, args};
use crate::domain::uptime::Uptime;
use crate::edge::metrics::Metrics;

impl Store {
    /// Opens the database at `url` with the usual settings.
    pub async fn open(url: &str, now: Timestamp) -> Result<(Self, Writer), OpenError> {
        Self::open_database(&Database::at(url), now).await
    }

    /// Opens a database; creates and migrates it as needed. The caller runs the [`Writer`]; nothing is written
    /// until it does.
    ///
    /// Claims of a dead process end here: their events are in doubt, and due again.
    pub async fn open_database(
        database: &Database,
        now: Timestamp,
    ) -> Result<(Self, Writer), OpenError> {
        if database.is_on_server() {
            server::open(database, now).await
        } else {
            Self::open_locked(DatabaseLock::acquire(database.url())?, now).await
        }
    }

    pub(super) async fn begin(
        mut conn: Conn,
        readers: Readers,
        files: Option<Files>,
        replica: Option<Replica>,
        now: Timestamp,
    ) -> Result<(Self, Writer), StoreError> {
        // Of replicas, the leader recovers from dead ones.
        let (next_event, was_restored, uptime) = match &replica {
            Some(_) => (1, false, Uptime::new(now)),
            None => recover(&mut conn, now).await?,
        };
        let (newest, unfinished) = match &replica {
            Some(_) => (0, None),
            None => imports(&mut conn).await?,
        };
        // Alone from the start: nobody writes a mapping before an import that was decided earlier.
        let mappings = Arc::new(RwLock::new(()));
        let alone = Arc::clone(&mappings).try_write_owned().ok();
        let decided = unfinished.zip(alone);
        let decided = decided.map(|(id, alone)| Arc::new(Decided::new(id, now, alone)));
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
            asked: Asked::new(),
            imports: Arc::new(tokio::sync::Mutex::new(newest)),
            leftovers: Leftovers::after(newest),
            mappings,
            hand_off: HandOff::default(),
            was_restored,
            uptime: Mutex::new(uptime),
            files,
            replica,
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
        if shared.replica.is_some() {
            // A beat would do that too, but has no time for very many events.
            let begun = writer.first(|tx| {
                Box::pin(async move { copied::begin(tx.connection().await?, now).await })
            });
            begun.await?;
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
    let last = conn.begin().await?.last_event;
    for statement in [DOUBT, VOID] {
        sql::run(&mut *conn, statement, args![]).await?;
    }
    // First, so that nothing is judged by an age before the waits were moved.
    let uptime = uptime::resume(conn, now).await?;
    let was_restored = copied::begin(conn, now).await?;
    schedule::on_start(conn, now).await?;
    conn.commit(Batch::default(), last, Said::default()).await?;
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
