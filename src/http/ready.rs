//! Readiness: webhooks are stored, and what is stored moves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use crate::operator;

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
    let problems = operator::problems(&state.store, &state.monitor, &levels, now).await;
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
