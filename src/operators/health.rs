//! Health: webhooks are stored, and stored events move on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::feeds::Feeds;
use super::service::Operators;
use crate::delivery::Monitor;
use crate::delivery::gate::breaker::Mode;
use crate::delivery::gate::pace::AskedToWait;
use crate::domain::feed::Feed;
use crate::domain::ids::SourceName;
use crate::domain::retry::later;
use crate::store::{Levels, StoreError};

/// A worker that has not looked at its queue for this long is stuck.
const BEAT_LIMIT: Duration = Duration::from_secs(15);
/// Due events that do not move for this long, although Serval answers, are stuck.
const PROGRESS_LIMIT: Duration = Duration::from_mins(2);

/// Time for which a step of the clock is told.
const STEP_TOLD: Duration = Duration::from_hours(24);

/// State of the calls to Serval. By default there is no worker: no call is made or held back.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// State of the circuit breaker.
    pub mode: Mode,
    /// Failure of the last call, if it failed. Holds no text of the answer.
    pub fault: Option<String>,
    /// Serval's wish to be asked later, if calls wait for it now.
    pub asked_to_wait: Option<AskedToWait>,
    /// True while an operator has paused the calls.
    pub is_paused: bool,
    /// Calls in flight.
    pub in_flight: usize,
    /// Current pace in calls per second; `None`: no limit.
    pub rate: Option<f64>,
    /// Token requests since the start.
    pub token_refreshes: u64,
    since_beat: Option<Duration>,
    since_progress: Option<Duration>,
}

impl Calls {
    fn of(worker: &Monitor) -> Self {
        Self {
            mode: worker.mode(),
            fault: worker.fault(),
            asked_to_wait: worker.asked_to_wait(),
            is_paused: worker.is_paused(),
            in_flight: worker.in_flight(),
            rate: worker.rate(),
            token_refreshes: worker.token_refreshes(),
            since_beat: worker.since_beat(),
            since_progress: worker.since_progress(),
        }
    }

    /// True if the worker no longer looks at its queue. A worker without a first look is starting.
    fn is_silent(&self) -> bool {
        self.since_beat.is_some_and(|since| since > BEAT_LIMIT)
    }

    fn is_stuck(&self, oldest_due: Option<Timestamp>, now: Timestamp) -> bool {
        let is_flowing = matches!(self.mode, Mode::Closed) && !self.is_paused;
        let is_overdue = oldest_due.is_some_and(|at| later(at, PROGRESS_LIMIT) < now);
        let has_moved = self
            .since_progress
            .is_some_and(|since| since <= PROGRESS_LIMIT);
        is_flowing && is_overdue && !has_moved
    }
}

impl Operators {
    /// State of the calls to Serval.
    pub fn calls(&self) -> Calls {
        self.worker.as_ref().map(Calls::of).unwrap_or_default()
    }

    /// Reasons why the daemon is not ready; empty if it is.
    pub async fn problems(
        &self,
        levels: &Result<Levels, StoreError>,
        now: Timestamp,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.can_store(now).await {
            problems.push(format!("nothing can be stored: {error}"));
        }
        if let Some(problem) = self.store.damage() {
            problems.push(format!(
                "the database is damaged: {problem}; restore a backup"
            ));
        }
        if let Some(error) = self.store.stuck_import() {
            problems.push(format!(
                "an import of mappings cannot be written further, and no call is made before it is: {error}"
            ));
        }
        let calls = self.calls();
        if let Mode::Held(hold) = &calls.mode {
            problems.push(format!("calls to Serval are held: {}", hold.reason));
        }
        if calls.is_silent() {
            problems.push("the delivery worker has stopped looking at its queue".to_owned());
        }
        // A queue that stands still although Serval answers is our own fault. While Serval is down,
        // waiting is right, and no restart would help.
        let oldest_due = levels.as_ref().ok().and_then(|levels| levels.oldest_due);
        if calls.is_stuck(oldest_due, now) {
            problems.push("due events do not move although Serval answers".to_owned());
        }
        if let Err(error) = levels {
            problems.push(format!("the database cannot be read: {error}"));
        }
        problems
    }

    /// Fails if nothing can be stored.
    async fn can_store(&self, now: Timestamp) -> Result<(), StoreError> {
        // The answer must not wait for another process that holds the database.
        if let Some(refused) = self.store.refuses() {
            return Err(refused);
        }
        // A probe writes to the database. It is made only while writes fail, so that a healthy
        // daemon does not write for each question.
        if self.store.is_failing() {
            return self.store.probe(now).await;
        }
        Ok(())
    }

    /// Says that another program wrote to the database within the last day.
    pub fn other_writer(&self) -> Option<&'static str> {
        const FOUND: &str = "another program wrote to the database within the last day; only the daemon may: find that \
                             program and end it";
        self.store.has_other_writer().then_some(FOUND)
    }

    /// A step that the clock made within the last day, and what waits because of it.
    pub fn clock_step(&self, now: Timestamp) -> Option<String> {
        let (at, step) = self.store.last_step()?;
        (now < later(at, STEP_TOLD)).then(|| in_words(at, step))
    }

    /// Arrivals and refusals of the sources.
    pub fn heard(&self) -> &Feeds {
        &self.feeds
    }

    /// Returns the feeds of the configured sources at `now`.
    pub async fn feeds(&self, now: Timestamp) -> Result<BTreeMap<SourceName, Feed>, StoreError> {
        let kept = self.store.feeds().await?;
        Ok(self.feeds.of(&self.rules.now().sources, &kept, now))
    }
}

fn in_words(at: Timestamp, step_ms: i64) -> String {
    let minutes = step_ms.unsigned_abs().saturating_add(30_000) / 60_000;
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    let length = format!("{days} d {hours} h {} min", minutes % 60);
    let happened = if step_ms < 0 {
        format!("the clock went back by {length} to {at:.0}")
    } else {
        format!(
            "the clock went ahead by {length} to {at:.0}, or the daemon was off for so long; retention keeps \
             what came before longer by as much"
        )
    };
    format!(
        "{happened}; waiting events keep what is left of their time; while the clock is wrong, signed webhooks \
         are refused"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn ago(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW - seconds).unwrap()
    }

    #[test]
    fn a_step_of_the_clock_is_told_with_its_length() {
        let at = Timestamp::from_second(NOW).unwrap();
        let day = 86_400_000;
        for (step, expected) in [
            (
                40 * day + 61_000,
                "the clock went ahead by 40 d 0 h 1 min to 1970-01-12T13:46:40Z, or the daemon was \
                 off for so long; retention keeps what came before longer by as much; waiting events ",
            ),
            (
                -3_600_000,
                "the clock went back by 0 d 1 h 0 min to 1970-01-12T13:46:40Z; waiting events ",
            ),
        ] {
            let words = in_words(at, step);
            assert!(words.starts_with(expected), "{words}");
        }
    }

    #[test]
    fn a_worker_that_does_not_beat_or_does_not_move_what_is_due_is_a_problem() {
        let now = Timestamp::from_second(NOW).unwrap();
        for (is_flowing, since_beat, since_progress, oldest_due, is_silent, is_stuck) in [
            (true, None, None, None, false, false),
            (true, Some(1), Some(1), None, false, false),
            (true, Some(15), None, None, false, false),
            (true, Some(16), None, None, true, false),
            // The clock was set back.
            (true, Some(1), Some(1), Some(-3600), false, false),
            (true, Some(1), None, Some(120), false, false),
            (true, Some(1), None, Some(121), false, true),
            (true, Some(1), Some(121), Some(121), false, true),
            // A backlog moves, if slowly.
            (true, Some(1), Some(120), Some(9_999), false, false),
            // During a pause (as in an outage or a hold) the worker is not at fault.
            (false, Some(1), None, Some(9_999), false, false),
            (false, Some(16), None, Some(9_999), true, false),
        ] {
            let calls = Calls {
                is_paused: !is_flowing,
                since_beat: since_beat.map(Duration::from_secs),
                since_progress: since_progress.map(Duration::from_secs),
                ..Calls::default()
            };
            let oldest_due = oldest_due.map(ago);
            let found = (calls.is_silent(), calls.is_stuck(oldest_due, now));
            assert_eq!(found, (is_silent, is_stuck), "{calls:?} {oldest_due:?}");
        }
    }
}
