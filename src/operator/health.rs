//! Whether webhooks are stored, and what is stored moves.

use std::time::Duration;

use jiff::Timestamp;

use crate::delivery::Monitor;
use crate::delivery::line::Mode;
use crate::domain::retry::later;
use crate::store::{Levels, Store, StoreError};

/// A worker that has not looked at the queue for so long is stuck.
const BEAT_LIMIT: Duration = Duration::from_secs(15);
/// Due work that has not moved for so long, though Serval answers, is stuck.
const PROGRESS_LIMIT: Duration = Duration::from_mins(2);

/// What stands in the way; nothing when all is well.
pub async fn problems(
    store: &Store,
    monitor: &Monitor,
    levels: &Result<Levels, StoreError>,
    now: Timestamp,
) -> Vec<String> {
    let mut problems = Vec::new();
    if store.is_failing()
        && let Err(error) = store.probe(now).await
    {
        problems.push(format!("nothing can be stored: {error}"));
    }
    if let Some(problem) = store.damage() {
        problems.push(format!(
            "the database is damaged: {problem}; restore a backup"
        ));
    }
    if let Mode::Held(hold) = monitor.mode() {
        problems.push(format!("calls to Serval are held: {}", hold.reason));
    }
    let motion = Motion {
        is_flowing: matches!(monitor.mode(), Mode::Flowing) && !monitor.is_paused(),
        last_beat: monitor.last_beat(),
        last_progress: monitor.last_progress(),
        oldest_due: levels.as_ref().ok().and_then(|levels| levels.oldest_due),
    };
    if motion.is_silent(now) {
        problems.push("the delivery worker has stopped looking at its queue".to_owned());
    }
    if motion.is_stuck(now) {
        problems.push("due events do not move although Serval answers".to_owned());
    }
    if let Err(error) = levels {
        problems.push(format!("the database cannot be read: {error}"));
    }
    problems
}

/// What the worker has shown of itself, and what waits for it.
#[derive(Debug, Clone, Copy)]
struct Motion {
    /// Calls are made, as far as we know.
    is_flowing: bool,
    last_beat: Option<Timestamp>,
    last_progress: Option<Timestamp>,
    oldest_due: Option<Timestamp>,
}

impl Motion {
    /// A worker that has not begun is not silent: the process starts.
    fn is_silent(self, now: Timestamp) -> bool {
        self.last_beat
            .is_some_and(|beat| later(beat, BEAT_LIMIT) < now)
    }

    fn is_stuck(self, now: Timestamp) -> bool {
        let is_recent = |at: Timestamp| now <= later(at, PROGRESS_LIMIT);
        let is_overdue = self.oldest_due.is_some_and(|at| !is_recent(at));
        self.is_flowing && is_overdue && !self.last_progress.is_some_and(is_recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn ago(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW - seconds).unwrap()
    }

    #[test]
    fn a_worker_that_does_not_beat_or_does_not_move_what_is_due_is_a_problem() {
        let now = Timestamp::from_second(NOW).unwrap();
        for (is_flowing, last_beat, last_progress, oldest_due, is_silent, is_stuck) in [
            (true, None, None, None, false, false),
            (true, Some(1), Some(1), None, false, false),
            (true, Some(15), None, None, false, false),
            (true, Some(16), None, None, true, false),
            // The clock was set back.
            (true, Some(-3600), Some(-3600), Some(-3600), false, false),
            (true, Some(1), None, Some(120), false, false),
            (true, Some(1), None, Some(121), false, true),
            (true, Some(1), Some(121), Some(121), false, true),
            // A backlog moves, if slowly.
            (true, Some(1), Some(120), Some(9_999), false, false),
            // An outage, a hold or a pause: no fault of the worker.
            (false, Some(1), None, Some(9_999), false, false),
            (false, Some(16), None, Some(9_999), true, false),
        ] {
            let motion = Motion {
                is_flowing,
                last_beat: last_beat.map(ago),
                last_progress: last_progress.map(ago),
                oldest_due: oldest_due.map(ago),
            };
            let found = (motion.is_silent(now), motion.is_stuck(now));
            assert_eq!(found, (is_silent, is_stuck), "{motion:?}");
        }
    }
}
