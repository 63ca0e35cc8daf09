//! The handle on the store, and the state that its handles share with the writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::by::By;
use super::commit::growth::Growth;
use super::commit::job::{Closure, Job};
use super::commit::tx::{Tx, WriteFuture};
use super::error::StoreError;
use super::file::lock::DatabaseLock;
use super::file::presence::Presence;
use super::inbox::webhook::{Recorded, Webhook};
use super::links::asked::Asked;
use super::queue::offer::HandOff;
use super::sql::Args;
use crate::domain::uptime::Uptime;

/// Longest time that a webhook waits to be stored. Its sender waits too; Slack gives three seconds.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// A handle on the store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) readers: SqlitePool,
    pub(crate) shared: Arc<Shared>,
    /// The person for whom this handle writes; `None` for webhooks, the worker and upkeep.
    pub(crate) by: Option<Arc<By>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// State that the writer and the handles share.
pub(crate) struct Shared {
    /// Wakes the worker: events became due.
    pub(crate) wake: Notify,
    /// Bodies were deleted that must leave the write-ahead log, too.
    pub(crate) erased: Notify,
    /// Number of commits that changed or withdrew waiting events.
    pub(crate) revision: AtomicU64,
    pub(crate) write_failed: AtomicBool,
    pub(crate) damage: OnceLock<String>,
    pub(crate) growth: Growth,
    pub(crate) asked: Asked,
    /// Number of the newest import, locked while an import runs.
    pub(crate) imports: Arc<Mutex<i64>>,
    pub(crate) hand_off: HandOff,
    pub(crate) was_restored: bool,
    /// The uptime that was written last.
    pub(crate) uptime: std::sync::Mutex<Uptime>,
    /// The files of the database.
    pub(crate) presence: Presence,
    /// Held until the last handle is dropped.
    pub(crate) lock: DatabaseLock,
}

impl Store {
    /// Resolves when a commit made events due, or at once if one did since the last call.
    pub async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// Closes the connections that read, before the process ends: the last connection to close
    /// tidies up the database's files. The writer closes its own.
    pub async fn close_readers(&self) {
        self.readers.close().await;
    }

    /// True if the database was restored from a backup a short time before the start: Serval may have pairs
    /// that it lacks.
    pub fn was_restored(&self) -> bool {
        self.shared.was_restored
    }

    /// True if the last write failed, or the next one would. `/readyz` calls [`Store::probe`] then.
    pub fn is_failing(&self) -> bool {
        self.shared.write_failed.load(Ordering::Relaxed) || self.shared.presence.check().is_err()
    }

    /// Returns the damage that [`Store::look_for_damage`] found.
    pub fn damage(&self) -> Option<&str> {
        self.shared.damage.get().map(String::as_str)
    }

    /// Stores a webhook. Its events are on the disk when this returns. For a duplicate the answer
    /// names the event that is stored already.
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
            // It may still be stored. The sender repeats the webhook, and that is a duplicate then.
            Err(_) => Err(StoreError::Overloaded),
        }
    }

    /// Runs `run` in a transaction and returns its value after the commit. `run` may be called again
    /// after a rollback.
    pub(crate) async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
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

    /// Runs one statement in a transaction and returns the number of rows that it changed.
    pub(crate) async fn run(
        &self,
        statement: &'static str,
        args: impl Fn() -> Args + Send + 'static,
    ) -> Result<u64, StoreError> {
        self.write(move |tx| {
            let args = args();
            Box::pin(async move { tx.run(statement, args).await })
        })
        .await
    }

    /// Waits for room in the writer's queue and puts `job` there.
    pub(crate) async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}
