//! `/api/v1/connects`: the switch of all calls to Serval. Webhooks are stored all the same.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::{AppState, Problem};

/// `POST /connects/pause`
pub(super) async fn pause(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    set(&state, true).await
}

/// `POST /connects/resume`
pub(super) async fn resume(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    set(&state, false).await
}

async fn set(state: &AppState, paused: bool) -> Result<Json<Value>, Problem> {
    state.monitor.set_paused(paused).await?;
    tracing::warn!(
        paused,
        "calls to Serval were paused or resumed by an operator"
    );
    Ok(Json(json!({ "paused": paused })))
}
