//! `/api/v1/connects`: the switch of all calls to Serval. Webhooks are stored all the same.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{AppState, Problem};
use crate::operator::{Operator, Why};

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
pub(super) async fn pause(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Switch>, Problem> {
    set(&state, &operator, true).await
}

/// Restart the calls to Serval
#[utoipa::path(
    post,
    path = "/connects/resume",
    operation_id = "resume_connects",
    tag = "connects",
    responses((status = 200, body = Switch))
)]
pub(super) async fn resume(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Switch>, Problem> {
    set(&state, &operator, false).await
}

async fn set(state: &AppState, operator: &Operator, paused: bool) -> Result<Json<Switch>, Problem> {
    state.desk.pause(operator, paused, &Why::default()).await?;
    Ok(Json(Switch { paused }))
}
