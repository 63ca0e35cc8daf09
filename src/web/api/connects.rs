//! `/api/v1/connects`: pauses and resumes all calls to Serval.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::operators::{Operator, Why};
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// State of the calls to Serval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Switch {
    /// True if the calls are paused.
    paused: bool,
}

/// Pause the calls to Serval
///
/// Webhooks are still stored. The pause survives restarts.
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

/// Resume the calls to Serval
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
    state
        .operators
        .pause(operator, paused, &Why::default())
        .await?;
    Ok(Json(Switch { paused }))
}
