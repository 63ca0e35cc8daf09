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
    if monitor
        .last_beat()
        .is_some_and(|beat| later(beat, BEAT_LIMIT) < now)
    {
        problems.push("the delivery worker has stopped looking at its queue".to_owned());
    }
    match levels {
        Ok(levels) if is_stuck(monitor, levels, now) => {
            problems.push("due events do not move although Serval answers".to_owned());
        }
        Ok(_) => {}
        Err(error) => problems.push(format!("the database cannot be read: {error}")),
    }
    problems
}

fn is_stuck(monitor: &Monitor, levels: &Levels, now: Timestamp) -> bool {
    let is_flowing = matches!(monitor.mode(), Mode::Flowing) && !monitor.is_paused();
    let is_old = |at: Option<Timestamp>| at.is_some_and(|at| later(at, PROGRESS_LIMIT) < now);
    let has_moved = monitor.last_progress().is_some_and(|at| !is_old(Some(at)));
    is_flowing && is_old(levels.oldest_due) && !has_moved
}
