//! Readiness: webhooks are stored, and what is stored moves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use crate::delivery::line::Mode;
use crate::operator;
use crate::store::Levels;

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
    let problems = operator::problems(&state.store, &state.monitor, &levels, now).await;
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
