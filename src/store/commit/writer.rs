//! The one writer. Every change goes through its queue, and all jobs that queued up during the last
//! commit share the next one.
//!
//! Why one: `SQLite` has one write lock, and connections that compete for it wait unfairly. Why no
//! delay timer: a lone job is committed at once, and many jobs share one fsync.
//!
//! Invariant: an answer is sent only after the commit of what it reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::effects::Effects;
use super::group::Group;
use super::growth::BYTES_PER_WRITE;
use super::importing::Importing;
use super::job::Waiting;
use super::save::Save;
use super::tx::{Tx, WriteFuture};
use crate::edge::metrics::Metrics;
use crate::store::error::StoreError;
use crate::store::handle::Shared;
use crate::store::links::import::decided::Decided;
use crate::store::server::beat::sign_off;
use crate::store::server::replica::Replica;

/// Largest number of jobs that wait; another one is refused.
pub(crate) const QUEUE: usize = 4096;
/// Largest number of jobs that share one commit.
const GROUP: usize = 512;
/// Time between two looks at the files while nothing is written.
const LOOK: Duration = Duration::from_millis(500);
/// Longest time of a transaction before the writer runs, or after it: a source that is renamed may have many rows.
const TRANSACTION_AT_START: Duration = Duration::from_mins(10);
/// Longest time of a transaction on a server. It is shorter than the fence of a replica.
const TRANSACTION: Duration = Duration::from_secs(8);

/// The writer's task.
pub struct Writer {
    pub(crate) tx: Tx,
    pub(crate) queue: mpsc::Receiver<Waiting>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Metrics,
    pub(crate) save: Save,
    /// The import that is written now.
    pub(crate) import: Option<Importing>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Counts commits in `metrics`.
    #[must_use]
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Writes until `stop`, then what is still queued, then closes the database.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut jobs = Vec::with_capacity(GROUP);
        loop {
            // The tasks that were just answered run first, since they may send their next job: a
            // larger group costs little more than a lone job.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                n = self.queue.recv_many(&mut jobs, GROUP) => {
                    if n == 0 { break; }
                    let mut group: Group = jobs.drain(..).filter_map(Waiting::begin).collect();
                    group.takes_more = self.tx.is_shared();
                    if group.len() > 0 { self.commit(group).await; }
                }
                () = stop.cancelled() => self.queue.close(),
                () = std::future::ready(()), if self.import.as_ref().is_some_and(Importing::is_due) => {}
                () = tokio::time::sleep(LOOK) => self.look().await,
            }
            // After each group, so that neither waits for the whole of the other.
            self.step_import().await;
        }
        if let Some(replica) = &self.shared.replica {
            let id = replica.id().to_owned();
            let signed_off = timeout(TRANSACTION, self.first(|tx| Box::pin(sign_off(tx, id))));
            let signed_off = signed_off.await.unwrap_or(Err(StoreError::Unfinished));
            if let Err(error) = signed_off {
                tracing::warn!(%error, "signing off failed; the other replicas notice by the missing beats");
            }
        }
        if let Err(error) = self.tx.connection.close().await {
            tracing::warn!(%error, "closing the database failed");
        }
    }

    /// Runs `run` in a transaction of its own, before the writer runs.
    pub(crate) async fn first<T>(
        &mut self,
        run: impl for<'a> FnOnce(&'a mut Tx) -> WriteFuture<'a, T>,
    ) -> Result<T, StoreError> {
        self.tx.begin(Effects::default()).await?;
        let tx = &mut self.tx;
        let done = async {
            let value = run(tx).await?;
            tx.commit().await.map(|()| value)
        };
        let done = timeout(TRANSACTION_AT_START, done).await;
        let done = done.unwrap_or_else(|_| Err(self.give_up()));
        if done.is_err() {
            self.tx.roll_back().await;
        }
        done
    }

    /// Looks after the database while nothing is to be written, so that a daemon without traffic notices as
    /// well. The results are logged.
    async fn look(&mut self) {
        if self.check_files().await.is_err() || self.shared.faults.held().is_none() {
            return;
        }
        // Nobody may write for a long time, and `/readyz` has to say that the database is free again.
        let tried = self.first(|_| Box::pin(std::future::ready(Ok(()))));
        if tried.await.is_ok() {
            self.shared.faults.succeeded();
        }
    }

    /// Begins to write an import that is decided. Until it is whole, nothing is claimed.
    pub(crate) fn begin_import(&mut self, decided: Arc<Decided>) {
        self.tx.importing_at = Some(decided.at);
        self.import = Some(Importing::new(decided));
    }

    /// Writes the next step of the import, if one is due.
    async fn step_import(&mut self) {
        let Some(mut import) = self.import.take_if(|import| import.is_due()) else {
            return;
        };
        let started = Instant::now();
        let written = self.write_step(&import).await;
        let failure = written.as_ref().err().cloned();
        self.shared.faults.import_stepped(failure);
        match written {
            Ok(is_last) => {
                import.stepped(is_last, started.elapsed());
                if is_last {
                    self.tx.importing_at = None;
                    return;
                }
            }
            Err(error) => import.failed(&error),
        }
        self.import = Some(import);
    }

    /// Returns true if that was the last step.
    async fn write_step(&mut self, import: &Importing) -> Result<bool, StoreError> {
        let now = self.tx.importing_at.unwrap_or_default();
        let (mut group, mut answer) = import.next_step(now);
        self.check_files().await?;
        self.write(&mut group).await?;
        let bytes = u64::from(import.rows) * BYTES_PER_WRITE;
        self.shared.growth.add(bytes);
        self.check_files().await?;
        group.answer();
        answer.try_recv().map_err(|_| StoreError::Closed)?
    }

    async fn commit(&mut self, mut group: Group) {
        // Before the write, so that no call is made for what may be lost.
        if let Err(error) = self.check_files().await {
            return self.fail(group, &error);
        }
        match self.write(&mut group).await {
            Ok(()) => self.answer(group).await,
            // Alone, each would wait for the same process.
            Err(error) if group.len() == 1 || error.is_held() || self.tx.connection.is_broken() => {
                self.fail(group, &error);
            }
            // One job may be the cause. Each runs alone now, so that only that one fails.
            Err(error) => {
                tracing::debug!(%error, "a group of writes failed; trying each alone");
                let mut held = None;
                for mut alone in group.split() {
                    let written = match &held {
                        Some(error) => Err(StoreError::clone(error)),
                        None => self.write(&mut alone).await,
                    };
                    match written {
                        Ok(()) => self.answer(alone).await,
                        Err(error) => {
                            self.fail(alone, &error);
                            let is_for_all = error.is_held() || self.tx.connection.is_broken();
                            held = Some(error).filter(|_| is_for_all);
                        }
                    }
                }
            }
        }
    }

    /// Answers the callers of a group that was committed: not as stored, if nobody will find the file again.
    async fn answer(&mut self, group: Group) {
        match self.check_files().await {
            Ok(()) => group.answer(),
            Err(error) => self.fail(group, &error),
        }
    }

    /// Fails while a file of the database is gone.
    async fn check_files(&mut self) -> Result<(), StoreError> {
        let conn = &mut self.tx.connection;
        self.save.check(&self.shared, conn).await
    }

    /// Runs a group in one transaction, and delivers the effects of that. If another program took the ids that
    /// were to be given, it runs again with others.
    async fn write(&mut self, group: &mut Group) -> Result<(), StoreError> {
        let first = self.tx.next_event;
        let written = self.write_once(group).await;
        let Err(StoreError::Constraint(problem)) = &written else {
            return written;
        };
        if !self.tx.recount(first).await? {
            return written;
        }
        self.shared.faults.found_other_writer(problem);
        self.write_once(group).await
    }

    async fn write_once(&mut self, group: &mut Group) -> Result<(), StoreError> {
        let started = Instant::now();
        let replica = self.shared.replica.as_ref();
        self.tx.leads = replica.is_some_and(Replica::leads);
        self.tx
            .begin(Effects {
                handing: self.shared.hand_off.begin(),
                ..Effects::default()
            })
            .await?;
        if group.takes_more {
            self.add_waiting(group);
        }
        // The group is still whole, so the caller can run its jobs one by one, and only the faulty
        // one fails.
        if let Err(error) = self.fill_in_time(group).await {
            self.tx.roll_back().await;
            return Err(error);
        }
        self.metrics.committed(group.len(), started.elapsed());
        self.shared.growth.add(group.bytes());
        self.shared.faults.succeeded();
        self.publish();
        Ok(())
    }

    /// Adds the jobs that came while the transaction waited for those of other processes: the fewer transactions,
    /// the less each job waits and costs.
    fn add_waiting(&mut self, group: &mut Group) {
        while group.len() < GROUP
            && let Ok(waiting) = self.queue.try_recv()
        {
            group.extend(waiting.begin());
        }
    }

    async fn fill_in_time(&mut self, group: &mut Group) -> Result<(), StoreError> {
        if !self.tx.is_shared() {
            return self.fill_transaction(group).await;
        }
        let filled = timeout(TRANSACTION, self.fill_transaction(group)).await;
        filled.unwrap_or_else(|_| Err(self.give_up()))
    }

    /// Gives up the connection to a server: a host that is gone does not say so, and a cut network neither.
    fn give_up(&mut self) -> StoreError {
        self.tx.connection.give_up();
        StoreError::Unavailable(format!(
            "the server did not answer within {} s",
            TRANSACTION.as_secs()
        ))
    }

    async fn fill_transaction(&mut self, group: &mut Group) -> Result<(), StoreError> {
        group.run(&mut self.tx).await?;
        self.tx.commit().await
    }

    /// Delivers the messages of the transaction that was just committed.
    fn publish(&mut self) {
        let effects = std::mem::take(&mut self.tx.effects);
        if let Some(decided) = effects.decided {
            self.begin_import(decided);
        }
        if effects.asks_to_disconnect || effects.others_changed {
            self.shared.asked.again();
        }
        if self.tx.is_shared() {
            self.tx.last_revision = self.tx.revision;
        } else if effects.revises {
            self.tx.revision += 1;
            let revision = &self.shared.revision;
            revision.store(self.tx.revision, Ordering::Release);
        }
        if effects.erases {
            self.shared.erased.notify_one();
        }
        let is_more_due = effects.wake || effects.handing.left_some;
        // The hand-off first: a worker that wakes up must not find it open while events are due.
        self.shared.hand_off.end(effects.handing, is_more_due);
        if is_more_due {
            self.shared.wake.notify_one();
        }
    }

    fn fail(&self, group: Group, error: &StoreError) {
        self.shared.faults.failed(error);
        group.fail(error);
    }
}
