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
    let readiness = Readiness {
        status: word,
        problems,
        paused: state.monitor.is_paused(),
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
    if state
        .monitor
        .last_beat()
        .is_some_and(|beat| later(beat, BEAT_LIMIT) < now)
    {
        problems.push("the delivery worker has stopped looking at its queue".to_owned());
    }
    match levels {
        Ok(levels) if is_stuck(state, levels, now) => {
            problems.push("due events do not move although Serval answers".to_owned());
        }
        Ok(_) => {}
        Err(error) => problems.push(format!("the database cannot be read: {error}")),
    }
    problems
}

fn is_stuck(state: &AppState, levels: &Levels, now: Timestamp) -> bool {
    let is_flowing = matches!(state.monitor.mode(), Mode::Flowing) && !state.monitor.is_paused();
    let is_old = |at: Option<Timestamp>| at.is_some_and(|at| later(at, PROGRESS_LIMIT) < now);
    let has_moved = state
        .monitor
        .last_progress()
        .is_some_and(|at| !is_old(Some(at)));
    is_flowing && is_old(levels.oldest_due) && !has_moved
}
