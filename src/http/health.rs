//! Liveness: the process answers.

use axum::Json;
use serde_json::{Value, json};

/// `GET /healthz`
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}
