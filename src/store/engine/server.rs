//! The connection that writes to a Postgres server.
//!
//! All replicas share one lock, and each transaction holds it from its first statement to its commit. So
//! transactions run one after the other, as with the one writer of `SQLite`, and a transaction sees all that was
//! committed before it.

use std::time::{Duration, Instant};

use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::address::Address;
use super::value::{Kind, Value, add_columns};
use crate::store::error::StoreError;

/// Key of the lock that a transaction holds. It begins with "serval" and is the same for all versions.
pub(crate) const TURN: i64 = 0x0073_6572_7661_6c01;
/// Name under which a commit tells that events are due.
pub(super) const WAKE: &str = "serval_wake";
/// Longest time for opening a connection to one host.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest time for the begin of a transaction. It waits for a lock up to five seconds.
const BEGIN: Duration = Duration::from_secs(6);
/// Age at which plans are made again. The planner goes by the present sizes of tables and indexes, and a plan for a
/// small one may read all of it for each row.
const PLANS_LAST: Duration = Duration::from_secs(2);
/// Condition for a host that takes writes.
const TAKES_WRITES: &str =
    "NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";
/// Settings of every connection.
///
/// The planner would take other plans for the statements of the queue, once its statistics are of an empty queue: a
/// claim out of 12,000 events took more than 12 s. Without these ways it has only the indexes.
///
/// Notices are off: the driver asks whether its line about one is wanted, and `tracing` drops the next line of that
/// thread, too.
const SETTINGS: &str = "\
    SET client_min_messages = warning; SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan;
    SET synchronous_commit = on; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '4s'";

/// Facts that a transaction reads as it begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Begun {
    /// Number of the last event that was stored, also if it is deleted.
    pub(crate) last_event: i64,
    /// True if an import is decided and not written whole.
    pub(crate) is_importing: bool,
    /// Number of changes of what is claimed or asked for: see [`Said::changes`].
    pub(crate) revision: u64,
}

/// Messages for the other processes, which go with a commit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    /// Events are due, or pairs wait to be unlinked.
    pub(crate) wakes: bool,
    /// Waiting events or their mappings were changed, or a pair was asked to be unlinked.
    pub(crate) changes: bool,
}

/// The open connection, and where to open the next one.
pub(crate) struct Server {
    address: Address,
    /// Name of the host.
    host: String,
    pub(super) connection: PgConnection,
    /// The statements after `BEGIN`, which go in one round trip with it. There are only numbers and a name of ours in
    /// them, so they need no placeholders.
    begin: String,
    /// When the plans of the statements were made at the earliest.
    planned: Instant,
    /// True if the connection failed. The next transaction opens another one.
    is_broken: bool,
}

impl Server {
    /// Connects to the first host that takes writes. `replica` names this process: hexadecimal.
    pub(crate) async fn connect(address: Address, replica: &str) -> Result<Self, StoreError> {
        let (host, connection) = open(&address).await?;
        let begin = format!(
            "SET LOCAL serval.replica = '{replica}'; \
             SELECT pg_advisory_xact_lock({TURN}); \
             SELECT l.last_value, EXISTS (SELECT 1 FROM imports) AS is_importing, r.last_value AS revision, \
             {TAKES_WRITES} AS takes_writes FROM events_last AS l, revisions AS r"
        );
        Ok(Self {
            address,
            host,
            connection,
            begin,
            planned: Instant::now(),
            is_broken: false,
        })
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<Begun, StoreError> {
        if !self.is_broken {
            match self.begin_in_time().await {
                // Nothing was written on it, so another connection may do it.
                Err(error) if !error.is_held() => {
                    tracing::debug!(%error, "the connection to the database failed");
                    self.is_broken = true;
                }
                begun => return begun,
            }
        }
        (self.host, self.connection) = open(&self.address).await?;
        self.is_broken = false;
        self.begin_in_time().await
    }

    /// A host that is gone does not say so, and a cut network neither.
    async fn begin_in_time(&mut self) -> Result<Begun, StoreError> {
        let discard = if self.planned.elapsed() < PLANS_LAST {
            ""
        } else {
            self.planned = Instant::now();
            "DISCARD PLANS; "
        };
        let rest = &self.begin;
        let text = format!("BEGIN ISOLATION LEVEL READ COMMITTED; {discard}{rest}");
        let begun = timeout(BEGIN, begin(&mut self.connection, text)).await;
        let begun = begun.unwrap_or_else(|_| Err(silent(BEGIN)));
        match &begun {
            Ok(_) => {}
            Err(error) if error.is_held() => self.roll_back().await,
            Err(_) => self.is_broken = true,
        }
        begun
    }

    /// Commits, and notes that `last` is the number of the last event.
    pub(crate) async fn commit(&mut self, last: i64, said: Said) -> Result<(), StoreError> {
        let revise = if said.changes {
            "SELECT nextval('revisions'); "
        } else {
            ""
        };
        let notify = if said.wakes {
            format!("NOTIFY {WAKE}; ")
        } else {
            String::new()
        };
        let text = format!("SELECT setval('events_last', {last}); {revise}{notify}COMMIT");
        run(&mut self.connection, text).await
    }

    /// Rolls back. If that fails, the connection is given up, and the server rolls back.
    pub(crate) async fn roll_back(&mut self) {
        if self.is_broken {
            return;
        }
        let rolled_back = run(&mut self.connection, "ROLLBACK".to_owned());
        match timeout(CONNECT, rolled_back).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => self.is_broken = true,
        }
    }

    /// Inserts rows. `values` has them row by row, `text` takes each of `columns` as an array.
    pub(crate) async fn insert(
        &mut self,
        text: String,
        columns: &[Kind],
        values: &[Value],
    ) -> Result<(), StoreError> {
        let mut arguments = PgArguments::default();
        add_columns(&mut arguments, columns, values)?;
        let query = sqlx::query_with(AssertSqlSafe(text), arguments);
        query.execute(&mut self.connection).await?;
        Ok(())
    }

    /// Gives up the connection: it does not answer. The server rolls back by itself.
    pub(super) fn give_up(&mut self) {
        self.is_broken = true;
    }

    /// Name of the host to which the connection leads.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The connection, for what is no transaction of the store.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let closed = timeout(CONNECT, sqlx::Connection::close(self.connection)).await;
        Ok(closed.map_err(|_| silent(CONNECT))??)
    }

    /// True if the connection failed.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }
}

async fn begin(connection: &mut PgConnection, text: String) -> Result<Begun, StoreError> {
    let rows = connection
        .fetch_all(sqlx::raw_sql(AssertSqlSafe(text)))
        .await?;
    let row = rows.last();
    let row = row.ok_or_else(|| StoreError::Corrupt("the last event has no number".to_owned()))?;
    // The host may have become a standby, or may take no writes for a while.
    if !row.try_get::<bool, _>("takes_writes")? {
        return Err(StoreError::Unavailable(
            "the host takes no writes now".to_owned(),
        ));
    }
    Ok(Begun {
        last_event: row.try_get("last_value")?,
        is_importing: row.try_get("is_importing")?,
        revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
    })
}

fn silent(limit: Duration) -> StoreError {
    StoreError::Unavailable(format!(
        "the server did not answer within {} s",
        limit.as_secs()
    ))
}

async fn run(connection: &mut PgConnection, text: String) -> Result<(), StoreError> {
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(text)))
        .await?;
    Ok(())
}

/// Opens a connection to the first host that takes writes, and returns the name of that.
pub(super) async fn open(address: &Address) -> Result<(String, PgConnection), StoreError> {
    let mut faults = Vec::new();
    for (index, (name, host)) in address.hosts()?.into_iter().enumerate() {
        let opened = timeout(CONNECT, async {
            let mut connection = host.connect().await?;
            prepare(&mut connection).await?;
            let takes_writes = AssertSqlSafe(format!("SELECT {TAKES_WRITES}"));
            let row = connection.fetch_one(takes_writes).await?;
            Ok::<_, sqlx::Error>((row.try_get::<bool, _>(0)?, connection))
        });
        let fault = match opened.await {
            Ok(Ok((true, connection))) => {
                address.found(index);
                return Ok((name, connection));
            }
            Ok(Ok((false, _))) => "it is a standby, and takes no writes".to_owned(),
            Ok(Err(error)) => StoreError::from(error).problem(),
            Err(_) => "it does not answer".to_owned(),
        };
        faults.push(format!("{name}: {fault}"));
    }
    Err(StoreError::Unavailable(faults.join("; ")))
}

/// Sets what every connection needs.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(SETTINGS).await.map(drop)
}
