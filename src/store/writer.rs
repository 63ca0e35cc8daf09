//! The one writer: every change goes through its queue, and whatever queued up during the last
//! commit shares the next one.
//!
//! Why one: `SQLite` has one write lock, and connections that fight for it sleep unfairly. Why a
//! queue without a delay timer: a lone write is committed at once, a crowd shares one fsync.
//!
//! Invariant: an answer leaves only after the commit that it speaks of.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::error::StoreError;
use super::inbox::Webhook;
use super::{Shared, inbox};

/// Writes that wait at most; one more is refused.
pub(super) const QUEUE: usize = 4096;
/// Writes that share one commit at most.
const GROUP: usize = 512;

/// A future that borrows the transaction.
pub(super) type WriteFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The open transaction, as a write sees it.
pub(super) struct Tx {
    /// The writing connection, inside a transaction.
    pub(super) connection: SqliteConnection,
    /// What the transaction changed in the number of events by source and state.
    pub(super) counts: Counts,
    /// Whether events became due, so that the worker should look.
    pub(super) wake: bool,
    /// The id of the next event.
    pub(super) next_event: i64,
}

impl Tx {
    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut self.connection).await?;
        Ok(())
    }
}

/// A write that is not an ingest.
pub(super) trait Write: Send {
    /// Does it. May be called again after a rollback.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> WriteFuture<'a, ()>;
    /// Hears that the transaction ended.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// What the queue carries.
pub(super) enum Job {
    /// A webhook to store; these share their statements, too.
    Record(
        Webhook,
        oneshot::Sender<Result<Vec<inbox::Recorded>, StoreError>>,
    ),
    /// Anything else.
    Write(Box<dyn Write>),
}

/// A write given as a closure, with the value it answers.
pub(super) struct Closure<F, T> {
    pub(super) run: F,
    pub(super) value: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Write for Closure<F, T>
where
    F: for<'a> FnMut(&'a mut Tx) -> WriteFuture<'a, T> + Send,
    T: Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> WriteFuture<'a, ()> {
        let future = (self.run)(tx);
        let value = &mut self.value;
        Box::pin(async move {
            *value = Some(future.await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        // A caller that has gone away does not want the answer.
        drop(reply.send(committed.and_then(|()| value.ok_or(StoreError::Closed))));
    }
}

/// The writer's task.
pub struct Writer {
    pub(super) tx: Tx,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) shared: Arc<Shared>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes until `stop`, then what is still queued, then closes the database.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            tokio::select! {
                biased;
                n = self.queue.recv_many(&mut group, GROUP) => {
                    if n == 0 { break; }
                    self.commit_group(&mut group).await;
                }
                () = stop.cancelled() => self.queue.close(),
            }
        }
        if let Err(error) = self.tx.connection.close().await {
            tracing::warn!(%error, "closing the database failed");
        }
    }

    async fn commit_group(&mut self, group: &mut Vec<Job>) {
        let mut webhooks = Vec::new();
        let mut answers = Vec::new();
        let mut writes = Vec::new();
        for job in group.drain(..) {
            match job {
                Job::Record(webhook, reply) => {
                    webhooks.push(webhook);
                    answers.push(reply);
                }
                Job::Write(write) => writes.push(write),
            }
        }
        match self.try_group(&webhooks, &mut writes).await {
            Ok((recorded, results)) => {
                self.note_success();
                for (reply, recorded) in answers.into_iter().zip(recorded) {
                    drop(reply.send(Ok(recorded)));
                }
                for (write, result) in writes.into_iter().zip(results) {
                    write.answer(result);
                }
            }
            Err(error) if webhooks.len() + writes.len() == 1 => {
                self.note_failure(&error);
                for reply in answers {
                    drop(reply.send(Err(error.clone())));
                }
                for write in writes {
                    write.answer(Err(error.clone()));
                }
            }
            // One of them may be the cause: each alone, so that it fails alone.
            Err(error) => {
                tracing::debug!(%error, "a group of writes failed; trying each alone");
                for (webhook, reply) in webhooks.into_iter().zip(answers) {
                    let result = self
                        .try_group(std::slice::from_ref(&webhook), &mut [])
                        .await;
                    let answer = self
                        .noted(result)
                        .map(|(mut recorded, _)| recorded.remove(0));
                    drop(reply.send(answer));
                }
                for write in writes {
                    let mut alone = [write];
                    let result = self.try_group(&[], &mut alone).await;
                    let [write] = alone;
                    let answer = self
                        .noted(result)
                        .and_then(|(_, mut results)| results.remove(0));
                    write.answer(answer);
                }
            }
        }
    }

    /// One transaction over all of them. A write that fails is rolled back alone; a failed ingest
    /// or commit fails the group.
    async fn try_group(
        &mut self,
        webhooks: &[Webhook],
        writes: &mut [Box<dyn Write>],
    ) -> Result<GroupResult, StoreError> {
        self.tx.wake = false;
        self.tx.counts.clear();
        let result = self.fill_transaction(webhooks, writes).await;
        if result.is_err() {
            // SQLite may have rolled back by itself; then this fails, and that is fine.
            drop(self.tx.run("ROLLBACK").await);
            return result;
        }
        if self.tx.wake {
            self.shared.wake.notify_one();
        }
        result
    }

    async fn fill_transaction(
        &mut self,
        webhooks: &[Webhook],
        writes: &mut [Box<dyn Write>],
    ) -> Result<GroupResult, StoreError> {
        self.tx.run("BEGIN IMMEDIATE").await?;
        let recorded = inbox::record_all(&mut self.tx, webhooks).await?;
        let mut results = Vec::with_capacity(writes.len());
        let alone = webhooks.is_empty() && writes.len() == 1;
        for write in writes.iter_mut() {
            if alone {
                write.run(&mut self.tx).await?;
                results.push(Ok(()));
                continue;
            }
            self.tx.run("SAVEPOINT write_alone").await?;
            let counts = self.tx.counts.clone();
            match write.run(&mut self.tx).await {
                Ok(()) => results.push(Ok(())),
                Err(error) => {
                    self.tx.run("ROLLBACK TO write_alone").await?;
                    self.tx.counts = counts;
                    results.push(Err(error));
                }
            }
            self.tx.run("RELEASE write_alone").await?;
        }
        self.tx.counts.store(&mut self.tx.connection).await?;
        self.tx.run("COMMIT").await?;
        Ok((recorded, results))
    }

    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            Ok(_) => self.note_success(),
            Err(error) => self.note_failure(error),
        }
        result
    }

    fn note_success(&self) {
        if self.shared.write_failed.swap(false, Ordering::Relaxed) {
            tracing::info!("the database takes writes again");
        }
    }

    fn note_failure(&self, error: &StoreError) {
        if !self.shared.write_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the database takes no writes; senders are answered 503");
        }
    }
}

type GroupResult = (Vec<Vec<inbox::Recorded>>, Vec<Result<(), StoreError>>);
