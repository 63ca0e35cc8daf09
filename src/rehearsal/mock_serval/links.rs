//! Tickets, their links to external tickets, and their messages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::TEAM;
use super::pairs::friendly;
use super::reply::{PageQuery, data};
use super::state::Shared;
use crate::serval::Code;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v2/tickets", get(tickets))
        .route("/v2/tickets/{ticket_id}", get(ticket))
        .route(
            "/v2/tickets/{ticket_id}/external-tickets",
            get(external_tickets),
        )
        .route("/v2/tickets/{ticket_id}/messages", get(messages))
        .route(
            "/v2/tickets/{ticket_id}/external-messages",
            axum::routing::post(add_external_messages),
        )
}

/// Lists the configured tickets and those with links.
async fn tickets(State(shared): State<Arc<Shared>>, Query(query): Query<PageQuery>) -> Response {
    let state = shared.state();
    let known = state.known_tickets.iter().flatten();
    let mut ids: Vec<&String> = known.chain(state.links.by_ticket.keys()).collect();
    // A ticket can be both configured and linked.
    ids.sort();
    ids.dedup();
    ids.retain(|id| state.has_ticket(id) && query.team_id.as_deref().is_none_or(|t| t == TEAM));
    let tickets: Vec<Value> = ids.into_iter().map(|id| ticket_json(id)).collect();
    drop(state);
    query.page(shared.config.dialect, &tickets)
}

async fn ticket(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    if shared.state().has_ticket(&id) {
        data(ticket_json(&id))
    } else {
        unknown(&shared, &id)
    }
}

async fn external_tickets(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let state = shared.state();
    if state.has_ticket(&id) {
        data(state.links.of(&id))
    } else {
        drop(state);
        unknown(&shared, &id)
    }
}

async fn messages(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Response {
    let messages = {
        let state = shared.state();
        if !state.has_ticket(&id) {
            return unknown(&shared, &id);
        }
        state.messages.get(&id).cloned().unwrap_or_default()
    };
    let messages: Vec<Value> = messages
        .into_iter()
        .map(|message| {
            json!({
                "id": message.id, "content": message.content, "authorRole": "USER",
                "createdAt": CREATED_AT, "attachments": [],
            })
        })
        .collect();
    query.page(shared.config.dialect, &messages)
}

const CREATED_AT: &str = "2026-01-05T09:00:00Z";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExternalMessages {
    channel_target: Value,
    messages: Vec<ExternalMessage>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ExternalMessage {
    #[serde(rename = "messageId")]
    message: String,
    #[serde(rename = "externalMessageId")]
    external: String,
    #[serde(rename = "externalMessageData", default, skip_serializing)]
    data: Value,
}

/// Answers as if the messages were stored. No test reads them back.
async fn add_external_messages(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let refuse = |message: &str| shared.refuse(Code::InvalidArgument, message);
    if !shared.state().has_ticket(&id) {
        return unknown(&shared, &id);
    }
    let request: ExternalMessages = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(&error.to_string()),
    };
    let is_data = |message: &ExternalMessage| message.data.is_null() || message.data.is_object();
    if !request.channel_target.is_object() {
        refuse("channelTarget: must be an object")
    } else if !request.messages.iter().all(is_data) {
        refuse("externalMessageData: must be an object")
    } else {
        data(request.messages)
    }
}

fn ticket_json(id: &str) -> Value {
    json!({
        "id": id, "friendlyIdentifier": friendly(id), "teamId": TEAM, "name": format!("Ticket {id}"),
        "description": "", "createdAt": CREATED_AT, "type": "TICKET_TYPE_REQUEST", "labelIds": [],
    })
}

fn unknown(shared: &Shared, id: &str) -> Response {
    shared.refuse(Code::NotFound, &format!("no ticket {id}"))
}
