//! The jobs that the writer's queue carries, and the replies to their callers.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::turn::Turn;
use super::tx::{Tx, WriteFuture};
use crate::store::error::StoreError;
use crate::store::inbox::webhook::{Recorded, Webhook};
use crate::store::queue::settle::types::Settle;

/// Channel to the caller that waits.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A job in the writer's queue.
pub(crate) struct Waiting {
    pub(crate) job: Job,
    pub(crate) turn: Arc<Turn>,
}

impl Waiting {
    /// Returns the job, unless its caller gave up. Its caller waits for its end then.
    pub(super) fn begin(self) -> Option<Job> {
        self.turn.begin().then_some(self.job)
    }
}

/// Job of the writer.
pub(crate) enum Job {
    /// Stores a webhook.
    Record(Webhook, Reply<Vec<Recorded>>),
    /// Settles a claim; the answer is true if the claim was held.
    Settle(Settle, Reply<bool>),
    /// Runs any other write.
    Write(Box<dyn Write>),
}

/// A write that runs alone.
pub(crate) trait Write: Send {
    /// Runs the write. May be called again after a rollback.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> WriteFuture<'a, ()>;
    /// Answers the caller when the transaction has ended.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A write as a closure, and its value for the caller.
pub(crate) struct Closure<F, T> {
    run: F,
    value: Option<T>,
    reply: Reply<T>,
}

impl<F, T> Closure<F, T>
where
    F: for<'a> FnMut(&'a mut Tx) -> WriteFuture<'a, T> + Send,
{
    pub(crate) fn new(run: F, reply: Reply<T>) -> Self {
        let value = None;
        Self { run, value, reply }
    }
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
        let Self { run, value, reply } = *self;
        // Before the answer: who has it may rely on what the write held being free.
        drop(run);
        // A caller that has gone away does not want the answer.
        drop(reply.send(committed.and_then(|()| value.ok_or(StoreError::Closed))));
    }
}
