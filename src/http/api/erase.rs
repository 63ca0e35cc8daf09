//! `/api/v1/erase`

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::input;
use crate::domain::ids::{ExternalId, ExternalTicket};
use crate::http::{AppState, Problem};
use crate::store::EraseError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    source: String,
    external_id: String,
}

/// `POST /erase`: everything that is stored about one external ticket. 409 while a call about it is
/// under way. Nothing changes at Serval.
pub(super) async fn erase(
    State(state): State<AppState>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Body {
        source,
        external_id,
    } = input::json(&body)?;
    let ticket = ticket(&state, &source, &external_id)?;
    let erased = state
        .store
        .erase(&ticket, state.clock.now())
        .await
        .map_err(|error| match error {
            EraseError::InHand => Problem::new(StatusCode::CONFLICT, error.to_string()),
            EraseError::Store(error) => error.into(),
        })?;
    let removed: Map<String, Value> = erased
        .tables()
        .map(|(table, n)| (table.to_owned(), json!(n)))
        .into_iter()
        .collect();
    let rows: u64 = erased.tables().map(|(_, n)| n).iter().sum();
    // Without the id: the log is kept by others, and for longer.
    tracing::info!(source, rows, left = erased.left, "external ticket erased");
    Ok(Json(json!({
        "source": ticket.source,
        "external_id": ticket.external_id,
        "removed": removed,
        "mentions_cleared": erased.mentions,
        "left": erased.left,
        "log_emptied": erased.is_log_empty,
    })))
}

/// The external ticket. What is left of a source that is not configured any more is erased as it
/// was stored.
fn ticket(state: &AppState, name: &str, external_id: &str) -> Result<ExternalTicket, Problem> {
    match name.parse() {
        Ok(source) if !state.sources.contains_key(&source) => Ok(ExternalTicket {
            source,
            external_id: ExternalId::from_store(external_id.to_owned()),
        }),
        Ok(_) | Err(_) => input::ticket(state, name, external_id),
    }
}
