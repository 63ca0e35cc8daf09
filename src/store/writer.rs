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
use std::time::Instant;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::activity::Tally;
use super::batch::Batch;
use super::claims::Place;
use super::counts::Counts;
use super::error::StoreError;
use super::group::{Done, Group, Job, Reply};
use super::hand_off::Handing;
use crate::metrics::Metrics;

/// Writes that wait at most; one more is refused.
pub(super) const QUEUE: usize = 4096;
/// Writes that share one commit at most.
const GROUP: usize = 512;

/// A future that borrows the transaction.
pub(super) type WriteFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The open transaction, as a write sees it.
pub(super) struct Tx {
    /// The writing connection.
    connection: SqliteConnection,
    /// Statements that nobody waits for: they go ahead of the next one.
    later: Batch,
    /// What the transaction changed in the number of events by source and state.
    pub(super) counts: Counts,
    /// What the transaction adds to the activity.
    pub(super) tally: Tally,
    /// Whether events became due, so that the worker should look.
    pub(super) wake: bool,
    /// What is claimed for the worker as it is stored.
    pub(super) handing: Handing,
    /// Whether pairs are to be taken apart.
    pub(super) asks_to_disconnect: bool,
    /// The id of the next event.
    pub(super) next_event: i64,
    /// Whether the transaction is begun.
    is_open: bool,
    /// Before that moment no claim runs out.
    pub(super) claims_last_until: i64,
    /// Where the next claim goes on. Webhooks and pairs that are connected leave it be where they
    /// can; any other write forgets it.
    pub(super) place: Option<Place>,
    /// What a claim makes of it.
    pub(super) next_place: Option<Place>,
}

impl Tx {
    /// Nothing is begun on `connection`; the next event gets the id `next_event`.
    pub(super) fn new(connection: SqliteConnection, next_event: i64) -> Self {
        Self {
            connection,
            later: Batch::default(),
            counts: Counts::default(),
            tally: Tally::default(),
            wake: false,
            handing: Handing::default(),
            asks_to_disconnect: false,
            next_event,
            is_open: false,
            claims_last_until: 0,
            place: None,
            next_place: None,
        }
    }

    /// Forgets the transaction before; the next one may hand off what `handing` says.
    fn clear(&mut self, handing: Handing) {
        self.handing = handing;
        self.later = Batch::default();
        self.is_open = false;
        self.wake = false;
        self.asks_to_disconnect = false;
        self.counts.clear();
        self.tally.clear();
    }

    /// The connection inside the transaction, for one statement, after all that came before.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let before = std::mem::take(self.later());
        before.run(&mut self.connection).await?;
        Ok(&mut self.connection)
    }

    /// Takes statements inside the transaction whose answers nobody waits for.
    pub(super) fn later(&mut self) -> &mut Batch {
        if !self.is_open {
            self.later.push("BEGIN IMMEDIATE");
            self.is_open = true;
        }
        &mut self.later
    }

    /// Runs what was put into [`Tx::later`] and answers its rows.
    pub(super) async fn fetch_all(&mut self) -> Result<Vec<SqliteRow>, StoreError> {
        let batch = std::mem::take(self.later());
        batch.fetch_all(&mut self.connection).await
    }

    /// Commits, with the numbers of what was changed.
    async fn commit(&mut self) -> Result<(), StoreError> {
        const COUNT: &str = "\
            -- store::counts::add
            INSERT INTO counts (source, state, n)
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE TRUE
            ON CONFLICT (source, state) DO UPDATE SET n = n + excluded.n;
            -- store::activity::add
            INSERT INTO activity (at, source, stored, connected)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE TRUE
            ON CONFLICT (at, source) DO UPDATE
            SET stored = stored + excluded.stored, connected = connected + excluded.connected";
        let (counts, tally) = (self.counts.rows(), self.tally.rows());
        if counts.is_some() || tally.is_some() {
            let or_nothing = |rows: Option<String>| rows.unwrap_or_else(|| "[]".to_owned());
            let later = self.later();
            later.push(COUNT);
            later.bind(or_nothing(counts))?;
            later.bind(or_nothing(tally))?;
        }
        self.later().push("COMMIT");
        self.connection().await?;
        Ok(())
    }

    /// Gives it up. SQLite may have done so by itself; then this fails, and that is fine.
    async fn roll_back(&mut self) {
        drop(sqlx::query("ROLLBACK").execute(&mut self.connection).await);
        self.claims_last_until = 0;
        self.place = None;
    }
}

/// A write that is not an ingest.
pub(super) trait Write: Send {
    /// Does it. May be called again after a rollback.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> WriteFuture<'a, ()>;
    /// Hears that the transaction ended.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A write given as a closure, with the value it answers.
pub(super) struct Closure<F, T> {
    pub(super) run: F,
    pub(super) value: Option<T>,
    pub(super) reply: Reply<T>,
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
    pub(super) metrics: Metrics,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Tells `metrics` of its commits.
    #[must_use]
    pub fn telling(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Writes until `stop`, then what is still queued, then closes the database.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut jobs = Vec::with_capacity(GROUP);
        loop {
            // What was just answered makes room for more, and what is at the door comes in: a group
            // costs little more than a lone write.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                n = self.queue.recv_many(&mut jobs, GROUP) => {
                    if n == 0 { break; }
                    let mut group = Group::default();
                    jobs.drain(..).for_each(|job| group.add(job));
                    self.commit(group).await;
                }
                () = stop.cancelled() => self.queue.close(),
            }
        }
        if let Err(error) = self.tx.connection.close().await {
            tracing::warn!(%error, "closing the database failed");
        }
    }

    async fn commit(&mut self, group: Group) {
        match self.write_all(group).await {
            Ok(()) => {}
            Err((group, error)) if group.len() == 1 => {
                self.note_failure(&error);
                group.fail(&error);
            }
            // One of them may be the cause: each alone, so that it fails alone.
            Err((group, error)) => {
                tracing::debug!(%error, "a group of writes failed; trying each alone");
                for alone in group.split() {
                    if let Err((alone, error)) = self.write_all(alone).await {
                        self.note_failure(&error);
                        alone.fail(&error);
                    }
                }
            }
        }
    }

    /// One transaction over all of them, and their answers. Gives the group back when it failed.
    async fn write_all(&mut self, mut group: Group) -> Result<(), (Group, StoreError)> {
        self.tx.clear(self.shared.hand_off.begin());
        let started = Instant::now();
        match self.fill_transaction(&mut group).await {
            Ok(done) => {
                self.metrics.committed(group.len(), started.elapsed());
                self.shared.growth.add(group.bytes());
                self.note_success();
                if self.tx.asks_to_disconnect {
                    self.shared.asked.again();
                }
                let handing = std::mem::take(&mut self.tx.handing);
                let is_more_due = self.tx.wake || handing.left_some;
                self.shared.hand_off.end(handing, is_more_due);
                if is_more_due {
                    self.shared.wake.notify_one();
                }
                group.answer(done);
                Ok(())
            }
            Err(error) => {
                self.tx.roll_back().await;
                Err((group, error))
            }
        }
    }

    async fn fill_transaction(&mut self, group: &mut Group) -> Result<Done, StoreError> {
        let done = group.run(&mut self.tx).await?;
        self.tx.commit().await?;
        Ok(done)
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
