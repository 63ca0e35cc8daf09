//! The import that the writer writes: one step after each group of jobs, until the last row is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::group::Group;
use super::job::{Closure, Job};
use crate::store::error::StoreError;
use crate::store::links::import::decided::Decided;
use crate::store::links::import::step::step;

/// Time that a step should take. Webhooks wait for it.
const AIM: Duration = Duration::from_millis(50);
/// Number of rows of the first step.
const FIRST_ROWS: u32 = 500;
/// Fewest and most rows of a step. On a busy machine most of a step is waiting for the processor, which fewer
/// rows do not shorten.
const ROWS: (u32, u32) = (200, 2000);
/// Pause after a step that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The import that is written now.
#[derive(Debug)]
pub(crate) struct Importing {
    decided: Arc<Decided>,
    /// Number of rows of the next step.
    pub(super) rows: u32,
    /// The next step waits until then.
    not_before: Option<Instant>,
}

/// Answer to a step: true if it wrote the last row.
type Answer = oneshot::Receiver<Result<bool, StoreError>>;

impl Importing {
    pub(super) fn new(decided: Arc<Decided>) -> Self {
        Self {
            decided,
            rows: FIRST_ROWS,
            not_before: None,
        }
    }

    /// True if the next step can be written now.
    pub(super) fn is_due(&self) -> bool {
        self.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// Returns the next step as a group, and the place of its answer.
    pub(super) fn next_step(&self, now: Timestamp) -> (Group, Answer) {
        let (id, rows) = (self.decided.id, self.rows);
        let (reply, answer) = oneshot::channel();
        let write = Closure::new(move |tx| Box::pin(step(tx, id, rows, now)), reply);
        (Group::from_iter([Job::Write(Box::new(write))]), answer)
    }

    /// A step that took `took` is written.
    pub(super) fn stepped(&mut self, is_last: bool, took: Duration) {
        self.decided.stepped(is_last);
        self.rows = next_rows(self.rows, took);
        self.not_before = None;
    }

    /// A step failed. It is tried again.
    pub(super) fn failed(&mut self, error: &StoreError) {
        if self.decided.failed() {
            tracing::error!(%error, "an import cannot be written further now; no calls are made until it is");
        }
        self.not_before = Some(Instant::now() + PAUSE);
    }
}

/// Returns the number of rows of the next step, after one of `rows` rows that took `took`: a machine may be slow or
/// busy, and the pages of a large database are not all in memory.
fn next_rows(rows: u32, took: Duration) -> u32 {
    let fits = u128::from(rows) * AIM.as_micros() / took.as_micros().max(1);
    let fits = u32::try_from(fits).unwrap_or(u32::MAX);
    // One quick step tells little.
    fits.min(rows * 2).clamp(ROWS.0, ROWS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_as_many_rows_as_take_its_time() {
        for (rows, took_ms, next) in [
            (500, 50, 500),
            (500, 40, 625),
            (500, 0, 1_000),
            (500, 100, 250),
            (500, 1_000, 200),
            (200, 1_000, 200),
            (2_000, 1, 2_000),
            (200, 10, 400),
        ] {
            let took = Duration::from_millis(took_ms);
            assert_eq!(next_rows(rows, took), next, "{rows} in {took:?}");
        }
    }
}
