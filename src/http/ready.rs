//! Readiness: webhooks are stored, and what is stored moves.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use crate::delivery::line::Mode;
use crate::domain::retry::later;
use crate::store::{Levels, StoreError};

/// A worker that has not looked at the queue for so long is stuck.
const BEAT_LIMIT: Duration = Duration::from_secs(15);
/// Due work that has not moved for so long, though Serval answers, is stuck.
const PROGRESS_LIMIT: Duration = Duration::from_mins(2);

/// Whether it works.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// Why not.
    problems: Vec<String>,
    /// Whether an operator stopped the calls to Serval; that is no problem.
    paused: bool,
    /// Whether calls are held back because Serval fails: `closed`, `suspect` or `open`, as in the
    /// numbers. Events wait and lose nothing by it, so it is no problem of ours.
    breaker: &'static str,
    /// Whether calls are held because Serval refuses the credentials.
    held: bool,
    /// For how many seconds the event that is due for the longest is due.
    oldest_due_age_s: Option<i64>,
    /// The age of the oldest parked event in seconds.
    oldest_parked_age_s: Option<i64>,
    /// Calls whose time is over without a result; null: the database cannot be read.
    overdue_claims: Option<i64>,
}

/// Is it working?
///
/// Whether webhooks are stored, and what is stored moves. Without a token.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, body = Readiness),
        (status = 503, description = "Not ready, and why", body = Readiness),
    ),
    security(())
)]
pub(super) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    let now = state.clock.now();
    let levels = state.store.levels(now).await;
    let problems = problems(&state, &levels, now).await;
    let (status, word) = if problems.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let mode = state.monitor.mode();
    let levels = levels.ok();
    let age = |at: fn(&Levels) -> Option<Timestamp>| {
        let at = levels.as_ref().and_then(at)?;
        Some(now.duration_since(at).as_secs().max(0))
    };
    let readiness = Readiness {
        status: word,
        problems,
        paused: state.monitor.is_paused(),
        breaker: mode.breaker(),
        held: matches!(mode, Mode::Held(_)),
        oldest_due_age_s: age(|levels| levels.oldest_due),
        oldest_parked_age_s: age(|levels| levels.oldest_parked),
        overdue_claims: levels.as_ref().map(|levels| levels.overdue_claims),
    };
    (status, Json(readiness))
}

/// What stands in the way; nothing when all is well.
pub(super) async fn problems(
    state: &AppState,
    levels: &Result<Levels, StoreError>,
    now: Timestamp,
) -> Vec<String> {
    let mut problems = Vec::new();
    if state.store.is_failing()
        && let Err(error) = state.store.probe(now).await
    {
        problems.push(format!("nothing can be stored: {error}"));
    }
    if let Some(problem) = state.store.damage() {
        problems.push(format!(
            "the database is damaged: {problem}; restore a backup"
        ));
    }
    if let Mode::Held(hold) = state.monitor.mode() {
        problems.push(format!("calls to Serval are held: {}", hold.reason));
    }
    let motion = Motion {
        is_flowing: matches!(state.monitor.mode(), Mode::Flowing) && !state.monitor.is_paused(),
        last_beat: state.monitor.last_beat(),
        last_progress: state.monitor.last_progress(),
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
            (true, Some(ago(1)), Some(ago(1)), None, false, false),
            (true, Some(ago(15)), None, None, false, false),
            (true, Some(ago(16)), None, None, true, false),
            // The clock was set back.
            (
                true,
                Some(ago(-3600)),
                Some(ago(-3600)),
                Some(ago(-3600)),
                false,
                false,
            ),
            (true, Some(ago(1)), None, Some(ago(120)), false, false),
            (true, Some(ago(1)), None, Some(ago(121)), false, true),
            (
                true,
                Some(ago(1)),
                Some(ago(121)),
                Some(ago(121)),
                false,
                true,
            ),
            // A backlog moves, if slowly.
            (
                true,
                Some(ago(1)),
                Some(ago(120)),
                Some(ago(9_999)),
                false,
                false,
            ),
            // An outage, a hold or a pause: no fault of the worker.
            (false, Some(ago(1)), None, Some(ago(9_999)), false, false),
            (false, Some(ago(16)), None, Some(ago(9_999)), true, false),
        ] {
            let motion = Motion {
                is_flowing,
                last_beat,
                last_progress,
                oldest_due,
            };
            let found = (motion.is_silent(now), motion.is_stuck(now));
            assert_eq!(found, (is_silent, is_stuck), "{motion:?}");
        }
    }
}
