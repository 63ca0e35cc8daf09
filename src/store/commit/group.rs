//! Jobs that share one transaction. Webhooks share their statements, and so do settlements; other
//! writes run one by one.
//!
//! Invariant: every job of a group is answered exactly once.

use super::growth::BYTES_PER_WRITE;
use super::job::{Job, Reply, Write};
use super::tx::Tx;
use crate::store::error::StoreError;
use crate::store::inbox;
use crate::store::inbox::webhook::{Recorded, Webhook};
use crate::store::queue::settle;
use crate::store::queue::settle::types::Settle;

/// Jobs by kind, with their replies and results at the same index.
#[derive(Default)]
pub(crate) struct Group {
    webhooks: Vec<Webhook>,
    recorders: Vec<Reply<Vec<Recorded>>>,
    recorded: Vec<Vec<Recorded>>,
    settles: Vec<Settle>,
    settlers: Vec<Reply<bool>>,
    settled: Vec<bool>,
    /// These keep their own results.
    writes: Vec<Box<dyn Write>>,
    /// True if jobs that come before it runs may be added.
    pub(super) takes_more: bool,
}

impl FromIterator<Job> for Group {
    fn from_iter<I: IntoIterator<Item = Job>>(jobs: I) -> Self {
        let mut group = Self::default();
        group.extend(jobs);
        group
    }
}

impl Extend<Job> for Group {
    fn extend<I: IntoIterator<Item = Job>>(&mut self, jobs: I) {
        // Jobs of one kind run together, so that one statement serves many rows. Their order among
        // each other stays.
        for job in jobs {
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
    }
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.webhooks.len() + self.settles.len() + self.writes.len()
    }

    /// Estimates how much this adds to the write-ahead log.
    pub(super) fn bytes(&self) -> u64 {
        let bodies: usize = self.webhooks.iter().map(|webhook| webhook.body.len()).sum();
        bodies as u64 + self.len() as u64 * BYTES_PER_WRITE
    }

    /// Runs all jobs in `tx`. May be called again after a rollback.
    pub(super) async fn run(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.recorded = inbox::record_all(tx, &self.webhooks).await?;
        self.settled = settle::settle_all(tx, &self.settles).await?;
        for write in &mut self.writes {
            write.run(tx).await?;
        }
        Ok(())
    }

    /// Answers all callers after the commit. A failed send means that the caller was cancelled.
    pub(super) fn answer(self) {
        for (reply, recorded) in self.recorders.into_iter().zip(self.recorded) {
            drop(reply.send(Ok(recorded)));
        }
        for (reply, is_settled) in self.settlers.into_iter().zip(self.settled) {
            drop(reply.send(Ok(is_settled)));
        }
        for write in self.writes {
            write.answer(Ok(()));
        }
    }

    /// Answers all callers that nothing was written.
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

    /// Makes a group of each job.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let webhooks = self.webhooks.into_iter().zip(self.recorders);
        let settles = self.settles.into_iter().zip(self.settlers);
        webhooks
            .map(|(webhook, reply)| Job::Record(webhook, reply))
            .chain(settles.map(|(settle, reply)| Job::Settle(settle, reply)))
            .chain(self.writes.into_iter().map(Job::Write))
            .map(|job| Self::from_iter([job]))
    }
}
