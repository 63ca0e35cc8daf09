//! Connect and disconnect.

mod reading;
mod record;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;

use super::config::Repeat;
use super::reply::has_type;
use super::state::{Fate, Shared, State as Known};
use crate::serval::Code;
pub(super) use record::record;

use reading::ConnectBody;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v2/tickets/{ticket_id}/connect", post(connect))
        .route(
            "/v2/tickets/{ticket_id}/disconnect/{source_id}",
            delete(disconnect),
        )
}

async fn connect(
    State(shared): State<Arc<Shared>>,
    Path(ticket_id): Path<String>,
    Extension(fate): Extension<Fate>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The body is parsed before the lock is taken, so that other calls do not wait for it.
    let mut record = record(&ticket_id, &body);
    let request = read(&headers, &body);
    let mut state = shared.state();
    let outcome =
        request.and_then(|request| link(&mut state, shared.config.repeat, &ticket_id, &request));
    let status = outcome
        .as_ref()
        .map_or_else(|(code, _)| code.http_status(), |()| 200);
    record.answered = (fate == Fate::Answered).then_some(status);
    record.stored = outcome.is_ok();
    state.journal.add_connect(record);
    drop(state);
    shared.changed();
    match outcome {
        Ok(()) => Json(json!({})).into_response(),
        Err((code, message)) => shared.refuse(code, &message),
    }
}

/// Reason why a connect is refused: the code and the message.
type Refusal = (Code, String);

fn read(headers: &HeaderMap, body: &[u8]) -> Result<ConnectBody, Refusal> {
    if !has_type(headers, "application/json") {
        return Err(invalid(
            "the content type must be application/json".to_owned(),
        ));
    }
    ConnectBody::read(body).map_err(invalid)
}

fn link(
    state: &mut Known,
    repeat: Repeat,
    ticket_id: &str,
    request: &ConnectBody,
) -> Result<(), Refusal> {
    if !state.has_ticket(ticket_id) {
        return Err((Code::NotFound, format!("no ticket {ticket_id}")));
    }
    if let Some(messages) = state.messages.get(ticket_id) {
        let is_foreign = |id: &&String| messages.iter().all(|message| message.id != **id);
        if let Some(id) = request.accounted_for_message_ids.iter().find(is_foreign) {
            return Err(invalid(format!(
                "accountedForMessageIds: message {id} does not belong to this ticket"
            )));
        }
    }
    let is_new = state.links.add(
        ticket_id,
        &request.external_ticket_id,
        request.source_type(),
        request.source_id(),
    );
    if !is_new && repeat == Repeat::Conflict {
        return Err((
            Code::AlreadyExists,
            "the ticket is connected to this external ticket".to_owned(),
        ));
    }
    Ok(())
}

fn invalid(message: String) -> Refusal {
    (Code::InvalidArgument, message)
}

async fn disconnect(
    State(shared): State<Arc<Shared>>,
    Path((ticket_id, source_id)): Path<(String, String)>,
) -> Response {
    if shared.state().links.remove(&ticket_id, &source_id) {
        Json(json!({})).into_response()
    } else {
        shared.refuse(Code::NotFound, "the ticket has no link of this source")
    }
}
