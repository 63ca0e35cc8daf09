//! `/api/v1/connects`: the switch of all calls to Serval. Webhooks are stored all the same.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{AppState, Problem};

/// How the switch stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Switch {
    /// Whether the calls to Serval are stopped.
    paused: bool,
}

/// Stop the calls to Serval
///
/// Webhooks are stored all the same. Holds across restarts.
#[utoipa::path(
    post,
    path = "/connects/pause",
    operation_id = "pause_connects",
    tag = "connects",
    responses((status = 200, body = Switch))
)]
pub(super) async fn pause(State(state): State<AppState>) -> Result<Json<Switch>, Problem> {
    set(&state, true).await
}

/// Restart the calls to Serval
#[utoipa::path(
    post,
    path = "/connects/resume",
    operation_id = "resume_connects",
    tag = "connects",
    responses((status = 200, body = Switch))
)]
pub(super) async fn resume(State(state): State<AppState>) -> Result<Json<Switch>, Problem> {
    set(&state, false).await
}

async fn set(state: &AppState, paused: bool) -> Result<Json<Switch>, Problem> {
    let now = state.clock.now();
    state.monitor.set_paused(&state.store, paused, now).await?;
    if paused {
        tracing::warn!("an operator paused the calls to Serval; webhooks are stored all the same");
    } else {
        tracing::warn!("an operator resumed the calls to Serval");
    }
    Ok(Json(Switch { paused }))
}
