//! What shares a commit: webhooks and settlements by the handful, other writes one by one.
//!
//! Invariant: whatever enters a group hears how it ended, exactly once.

use tokio::sync::oneshot;

use super::checkpoint::BYTES_PER_WRITE;
use super::error::StoreError;
use super::inbox::{self, Recorded, Webhook};
use super::settle::{self, Settle};
use super::writer::{Tx, Write};

/// What a caller is told.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the queue carries.
pub(super) enum Job {
    /// A webhook to store; these share their statements.
    Record(Webhook, Reply<Vec<Recorded>>),
    /// A claim to settle; so do these. Answers whether the claim was held.
    Settle(Settle, Reply<bool>),
    /// Anything else.
    Write(Box<dyn Write>),
}

/// Jobs of one commit, by kind.
#[derive(Default)]
pub(super) struct Group {
    webhooks: Vec<Webhook>,
    recorders: Vec<Reply<Vec<Recorded>>>,
    settles: Vec<Settle>,
    settlers: Vec<Reply<bool>>,
    writes: Vec<Box<dyn Write>>,
}

/// What a group's transaction came to; the writes keep their own.
pub(super) struct Done {
    recorded: Vec<Vec<Recorded>>,
    settled: Vec<bool>,
}

impl Group {
    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Record(webhook, reply) => {
                self.webhooks.push(webhook);
                self.recorders.push(reply);
            }
            Job::Settle(settle, reply) => {
                self.settles.push(settle);
                self.settlers.push(reply);
            }
            Job::Write(write) => self.writes.push(write),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.webhooks.len() + self.settles.len() + self.writes.len()
    }

    /// About how much it adds to the write-ahead log.
    pub(super) fn bytes(&self) -> u64 {
        let bodies: usize = self.webhooks.iter().map(|webhook| webhook.body.len()).sum();
        bodies as u64 + self.len() as u64 * BYTES_PER_WRITE
    }

    /// Does it all.
    pub(super) async fn run(&mut self, tx: &mut Tx) -> Result<Done, StoreError> {
        let recorded = inbox::record_all(tx, &self.webhooks).await?;
        let settled = settle::settle_all(tx, &self.settles).await?;
        for write in &mut self.writes {
            tx.next_place = None;
            write.run(tx).await?;
            tx.place = tx.next_place.take();
        }
        Ok(Done { recorded, settled })
    }

    /// Tells everybody, after the commit. Who has gone away does not want to know.
    pub(super) fn answer(self, done: Done) {
        for (reply, recorded) in self.recorders.into_iter().zip(done.recorded) {
            drop(reply.send(Ok(recorded)));
        }
        for (reply, is_settled) in self.settlers.into_iter().zip(done.settled) {
            drop(reply.send(Ok(is_settled)));
        }
        for write in self.writes {
            write.answer(Ok(()));
        }
    }

    /// Tells everybody that nothing was written.
    pub(super) fn fail(self, error: &StoreError) {
        for reply in self.recorders {
            drop(reply.send(Err(error.clone())));
        }
        for reply in self.settlers {
            drop(reply.send(Err(error.clone())));
        }
        for write in self.writes {
            write.answer(Err(error.clone()));
        }
    }

    /// A group for each job.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let webhooks = self.webhooks.into_iter().zip(self.recorders);
        let settles = self.settles.into_iter().zip(self.settlers);
        let jobs = webhooks
            .map(|(webhook, reply)| Job::Record(webhook, reply))
            .chain(settles.map(|(settle, reply)| Job::Settle(settle, reply)))
            .chain(self.writes.into_iter().map(Job::Write));
        jobs.map(|job| {
            let mut group = Self::default();
            group.add(job);
            group
        })
    }
}
