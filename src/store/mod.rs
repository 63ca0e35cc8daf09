//! The store: the inbox, its deliveries, the mappings. Where the rest of the program meets.
//!
//! Invariant: the only module that names sqlx. A write is one transaction, made by the one
//! [`Writer`]; readers have connections of their own. No transaction is open while the network is
//! waited for.
//!
//! Why no sqlx macros: they bind a crate to one engine and read a database while compiling.
//! Why `synchronous=FULL`: an acknowledged webhook is on the disk, not in a cache.
//! Why `INDEXED BY`: without statistics `SQLite` prefers the index over all states to the small one
//! over those that wait, and sorts the whole backlog for one claim.

mod activity;
mod audit;
mod backup;
mod batch;
mod change;
mod checkpoint;
mod claims;
mod conflicts;
mod counts;
mod damage;
mod dead;
mod disconnects;
mod erase;
mod error;
mod find;
mod group;
mod hand_off;
mod import;
mod inbox;
mod inspect;
mod learning;
mod levels;
mod mappings;
mod motion;
mod moves;
mod open;
mod parked;
mod replay;
mod reports;
mod retention;
mod schema;
mod settings;
mod settle;
mod sized;
mod ticket;
mod tickets;
mod version;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqlitePool;
use tokio::sync::{Notify, mpsc, oneshot};

pub use activity::{Activity, Bucket, Range};
pub use audit::{Action, AuditFilter, AuditRow, By};
pub use backup::{Backup, BackupError, back_up, restore};
pub use claims::{Claim, ClaimScope, ClaimToken};
pub use conflicts::{Conflict, Decided, Decision, Replacement};
pub use dead::{DeadGroup, Failure};
pub use disconnects::{Disconnect, MayDisconnect};
pub use erase::{EraseError, Erased};
pub use error::{OpenError, SettleError, StoreError};
pub use find::{Found, FoundTicket};
pub use hand_off::Offer;
pub use import::{Clash, Import, ImportRow, ImportRules, Imported, Taken};
pub use inbox::{Recorded, Webhook};
pub use learning::Lesson;
pub use levels::{FileSizes, Levels};
pub use mappings::{Mapping, MappingFilter, Origin, PutMapping, Stored};
pub use open::{DatabaseLock, file_of};
pub use parked::ParkedRow;
pub use replay::Replay;
pub use reports::{AttemptRow, ChangeRow, EventDetail, EventFilter, EventRow, Stats};
pub use retention::Purged;
pub use settle::{Attempt, AttemptOutcome, Settlement};
pub use ticket::{Connection, Moment, Pending, TicketPage, What};
pub use version::{Precondition, Stale, Versions};
pub use writer::Writer;

use crate::domain::event::EventState;
use group::Job;
use writer::{Closure, Tx, WriteFuture};

/// A sender waits for its answer; Slack gives it three seconds.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// The size of a long record. On a disk that is almost full a trifle still fits where no event does.
const PROBE_BYTES: usize = 64 * 1024;

/// A handle on the store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    readers: SqlitePool,
    shared: Arc<Shared>,
    /// Who writes; `None`: nobody who is asked about it later.
    by: Option<Arc<By>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// What the writer and the handles share.
struct Shared {
    wake: Notify,
    write_failed: AtomicBool,
    damage: OnceLock<String>,
    growth: checkpoint::Growth,
    asked: disconnects::Asked,
    imports: import::Imports,
    hand_off: hand_off::HandOff,
    /// Held for as long as anybody has the store.
    lock: DatabaseLock,
}

impl Store {
    /// Resolves when events became due by a commit, or at once if some did since the last call.
    pub async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// Closes the connections that read, for a process that ends: the last connection to close
    /// tidies up the database's files. The writer's closes with its task.
    pub async fn close_readers(&self) {
        self.readers.close().await;
    }

    /// Whether the last write failed. `/readyz` asks [`Store::probe`] then.
    pub fn is_failing(&self) -> bool {
        self.shared.write_failed.load(Ordering::Relaxed)
    }

    /// What [`Store::look_for_damage`] found.
    pub fn damage(&self) -> Option<&str> {
        self.shared.damage.get().map(String::as_str)
    }

    /// Writes as much as an event takes, to see whether the database takes events.
    pub async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let value = format!("{} {}", now.as_millisecond(), " ".repeat(PROBE_BYTES));
        self.set("probed_at", value).await
    }

    /// Stores a webhook: its events in one transaction, on the disk when this returns.
    /// Duplicates are answered with the event that is stored already.
    pub async fn record(&self, webhook: Webhook) -> Result<Vec<Recorded>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job::Record(webhook, reply))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        match tokio::time::timeout(WRITE_PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|_| StoreError::Closed)?,
            // It may still be stored; the sender's repetition will be a duplicate then.
            Err(_) => Err(StoreError::Overloaded),
        }
    }

    /// Has the writer run `run` in a transaction and answers its value after the commit. `run` may
    /// be called again after a rollback.
    async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
    where
        F: for<'a> FnMut(&'a mut Tx) -> WriteFuture<'a, T> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write = Box::new(Closure {
            run,
            value: None,
            reply,
        });
        self.send(Job::Write(write)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}

/// The number of the external ticket that a source and an external id name, as a part of a statement.
macro_rules! external {
    ($source:literal, $external_id:literal) => {
        concat!(
            "(SELECT x.id FROM external_tickets AS x WHERE x.source = ",
            $source,
            " AND x.external_id = ",
            $external_id,
            ")"
        )
    };
}
use external;

/// Rows for a statement that takes any number of them through `json_each`.
fn json<T: serde::Serialize>(rows: &[T]) -> String {
    serde_json::to_string(rows).expect("texts and numbers are JSON")
}

/// Milliseconds since the epoch, as stored.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A stored moment. A value out of range can only come from outside of the program.
fn moment(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| StoreError::Corrupt(format!("{millis} is no time in milliseconds")))
}

/// A stored state.
fn state(word: &str) -> Result<EventState, StoreError> {
    EventState::parse(word).ok_or_else(|| StoreError::Corrupt(format!("{word:?} is no state")))
}
