//! The handle on the store, and the state that its handles share with the writer.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, Notify, OwnedRwLockReadGuard, RwLock, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::asked::Asked;
use super::by::By;
use super::commit::fault::Faults;
use super::commit::growth::Growth;
use super::commit::job::{Closure, Job, Reply, Waiting};
use super::commit::turn::{OF_OPERATORS, OF_WEBHOOKS, Patience, Turn};
use super::commit::tx::{Tx, WriteFuture};
use super::engine::Readers;
use super::error::StoreError;
use super::file::Files;
use super::inbox::webhook::{Recorded, Webhook};
use super::links::import::leftovers::Leftovers;
use super::queue::offer::HandOff;
use super::server::replica::Replica;
use super::sql::Args;
use crate::domain::uptime::Uptime;

/// A handle on the store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) jobs: mpsc::Sender<Waiting>,
    pub(crate) readers: Readers,
    pub(crate) shared: Arc<Shared>,
    /// The person for whom this handle writes; `None` for webhooks, the worker and upkeep.
    pub(crate) by: Option<Arc<By>>,
    /// Patience of the writes of this handle; `None`: they wait until they are done or failed.
    pub(crate) patience: Option<Patience>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// While this is held, no import begins.
pub(crate) type MappingsTurn = OwnedRwLockReadGuard<()>;

/// State that the writer and the handles share.
pub(crate) struct Shared {
    /// Wakes the worker: events became due.
    pub(crate) wake: Notify,
    /// Bodies were deleted that must leave the write-ahead log, too.
    pub(crate) erased: Notify,
    /// Number of commits that changed or withdrew waiting events.
    pub(crate) revision: AtomicU64,
    pub(crate) faults: Faults,
    pub(crate) damage: OnceLock<String>,
    pub(crate) growth: Growth,
    pub(crate) asked: Asked,
    /// Number of the newest import, locked while an import is staged.
    pub(crate) imports: Arc<Mutex<i64>>,
    pub(crate) leftovers: Leftovers,
    /// Held by all who write mappings; by an import alone, from its last checks to its last row.
    pub(crate) mappings: Arc<RwLock<()>>,
    pub(crate) hand_off: HandOff,
    pub(crate) was_restored: bool,
    /// The uptime that was written last.
    pub(crate) uptime: std::sync::Mutex<Uptime>,
    /// The files of the database; `None`: it is on a server.
    pub(crate) files: Option<Files>,
    /// This process among those that share the database; `None`: it is the only one.
    pub(crate) replica: Option<Replica>,
}

impl Shared {
    /// Fails if the files of the database are not at their places.
    pub(crate) fn check_presence(&self) -> Result<(), StoreError> {
        self.files
            .as_ref()
            .map_or(Ok(()), |files| files.presence.check())
    }
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

    /// True if other processes write to the database, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.replica.is_some()
    }

    /// True if the database was restored from a backup a short time ago: Serval may have pairs that it lacks.
    pub fn was_restored(&self) -> bool {
        let replica = self.shared.replica.as_ref();
        replica.map_or(self.shared.was_restored, Replica::was_restored)
    }

    /// A handle for callers whom somebody waits for: its writes end or fail in time.
    #[must_use]
    pub fn in_time(self) -> Self {
        let patience = Some(OF_OPERATORS);
        Self { patience, ..self }
    }

    /// True if the last write failed, or the next one would. `/readyz` calls [`Store::probe`] then.
    pub fn is_failing(&self) -> bool {
        self.shared.faults.is_failing() || self.shared.check_presence().is_err()
    }

    /// Reason why nothing can be stored, if it is known without a write.
    pub fn refuses(&self) -> Option<StoreError> {
        let gone = self.shared.check_presence().err();
        gone.or_else(|| self.shared.faults.held())
    }

    /// Reason why an import that is decided cannot be written further now.
    pub fn stuck_import(&self) -> Option<StoreError> {
        self.shared.faults.import_failure()
    }

    /// True if another program wrote to the database within the last day.
    pub fn has_other_writer(&self) -> bool {
        self.shared.faults.has_other_writer()
    }

    /// Returns the damage that [`Store::look_for_damage`] found.
    pub fn damage(&self) -> Option<&str> {
        self.shared.damage.get().map(String::as_str)
    }

    /// Stores a webhook. Its events are on the disk when this returns. For a duplicate the answer
    /// names the event that is stored already.
    pub async fn record(&self, webhook: Webhook) -> Result<Vec<Recorded>, StoreError> {
        // A full queue is no place to wait: the sender knows better when to come again.
        if self.jobs.capacity() == 0 {
            return Err(StoreError::Overloaded);
        }
        self.ask(Some(OF_WEBHOOKS), |reply| Job::Record(webhook, reply))
            .await
    }

    /// Runs `run` in a transaction and returns its value after the commit. `run` may be called again
    /// after a rollback.
    pub(crate) async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
    where
        F: for<'a> FnMut(&'a mut Tx) -> WriteFuture<'a, T> + Send + 'static,
        T: Send + 'static,
    {
        self.write_within(self.patience, run).await
    }

    /// Does the same with another patience.
    pub(crate) async fn write_within<T, F>(
        &self,
        patience: Option<Patience>,
        run: F,
    ) -> Result<T, StoreError>
    where
        F: for<'a> FnMut(&'a mut Tx) -> WriteFuture<'a, T> + Send + 'static,
        T: Send + 'static,
    {
        let job = |reply| Job::Write(Box::new(Closure::new(run, reply)));
        self.ask(patience, job).await
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

    /// Has the writer run a job, and returns its answer.
    pub(crate) async fn ask<T>(
        &self,
        patience: Option<Patience>,
        job: impl FnOnce(Reply<T>) -> Job,
    ) -> Result<T, StoreError> {
        let asked = Instant::now();
        let (reply, mut answer) = oneshot::channel();
        let turn = Arc::new(Turn::default());
        let waiting = Waiting {
            job: job(reply),
            turn: Arc::clone(&turn),
        };
        let closed = |_| StoreError::Closed;
        let Some(patience) = patience else {
            self.jobs
                .send(waiting)
                .await
                .map_err(|_| StoreError::Closed)?;
            return answer.await.map_err(closed)?;
        };
        let sent = timeout_at(asked + patience.turn, self.jobs.send(waiting)).await;
        sent.map_err(|_| StoreError::Overloaded)?
            .map_err(|_| StoreError::Closed)?;
        if let Ok(answer) = timeout_at(asked + patience.turn, &mut answer).await {
            return answer.map_err(closed)?;
        }
        if turn.give_up() {
            return Err(StoreError::Overloaded);
        }
        match timeout_at(asked + patience.end, answer).await {
            Ok(answer) => answer.map_err(closed)?,
            Err(_) => Err(StoreError::Unfinished),
        }
    }

    /// Waits for the end of an import, to write mappings for a person.
    pub(crate) async fn mappings_turn(&self) -> Result<MappingsTurn, StoreError> {
        let turn = tokio::time::timeout(OF_OPERATORS.turn, self.any_mappings_turn()).await;
        turn.map_err(|_| StoreError::Importing)
    }

    /// Waits for the end of an import, however long it takes.
    pub(crate) async fn any_mappings_turn(&self) -> MappingsTurn {
        Arc::clone(&self.shared.mappings).read_owned().await
    }

    /// Does the same as [`Store::write`] with mappings. The write has the turn until it ends, also if its caller
    /// gives up before: no import may begin beside it.
    pub(crate) async fn write_mappings<T, F>(
        &self,
        turn: MappingsTurn,
        mut run: F,
    ) -> Result<T, StoreError>
    where
        F: for<'a> FnMut(&'a mut Tx) -> WriteFuture<'a, T> + Send + 'static,
        T: Send + 'static,
    {
        self.write(move |tx| {
            let _held = &turn;
            // Another process writes one. This process' own has the turn.
            if tx.is_importing {
                return Box::pin(std::future::ready(Err(StoreError::Importing)));
            }
            run(tx)
        })
        .await
    }
}
