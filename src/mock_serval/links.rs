//! Tickets, their links to external tickets, and their messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::{TEAM, page};
use super::reply::{PageQuery, data};
use super::state::Shared;
use crate::clock::{Clock, SystemClock};
use crate::serval::Code;

/// A link between a Serval ticket and an external ticket, as `external-tickets` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Its own id.
    pub id: String,
    /// The id over there.
    pub external_ticket_id: String,
    /// The Serval ticket.
    pub ticket_id: String,
    /// `EXTERNAL_TICKET_SOURCE_TYPE_…`
    pub source_type: String,
    /// The integration it was made with.
    pub source_id: String,
    /// Whether the Serval ticket was made from the external one.
    pub is_origin: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was made or made again.
    pub updated_at: Timestamp,
    /// Always null here.
    pub url: Option<String>,
}

/// A message of a Serval ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its text.
    pub content: String,
}

/// The links of all tickets. At most one for each pair.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_ticket: BTreeMap<String, Vec<Link>>,
    made: u64,
}

impl Links {
    /// Adds a link; `false` when the pair is linked already.
    pub(super) fn add(
        &mut self,
        ticket_id: &str,
        external_id: &str,
        source_type: &str,
        source_id: &str,
    ) -> bool {
        let now = SystemClock.now();
        let links = self.by_ticket.entry(ticket_id.to_owned()).or_default();
        if let Some(link) = links
            .iter_mut()
            .find(|link| link.external_ticket_id == external_id)
        {
            link.updated_at = now;
            return false;
        }
        self.made += 1;
        links.push(Link {
            id: format!("link-{:08}", self.made),
            external_ticket_id: external_id.to_owned(),
            ticket_id: ticket_id.to_owned(),
            source_type: source_type.to_owned(),
            source_id: source_id.to_owned(),
            is_origin: false,
            created_at: now,
            updated_at: now,
            url: None,
        });
        true
    }

    /// Removes the links of a ticket to a source; `false` when there was none.
    pub(super) fn remove(&mut self, ticket_id: &str, source_id: &str) -> bool {
        let Some(links) = self.by_ticket.get_mut(ticket_id) else {
            return false;
        };
        let before = links.len();
        links.retain(|link| link.source_id != source_id);
        links.len() < before
    }

    /// Every link, oldest first.
    pub(super) fn all(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.by_ticket.values().flatten().cloned().collect();
        links.sort_by(|a, b| a.id.cmp(&b.id));
        links
    }

    fn of(&self, ticket_id: &str) -> &[Link] {
        self.by_ticket.get(ticket_id).map_or(&[], Vec::as_slice)
    }
}

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

/// The tickets that are known by name: the configured ones and those with links.
async fn tickets(State(shared): State<Arc<Shared>>, Query(query): Query<PageQuery>) -> Response {
    let state = shared.state();
    let known = state.known_tickets.iter().flatten();
    let mut ids: Vec<&String> = known.chain(state.links.by_ticket.keys()).collect();
    ids.sort();
    ids.dedup();
    ids.retain(|id| state.has_ticket(id) && query.team_id.as_deref().is_none_or(|t| t == TEAM));
    let tickets: Vec<Value> = ids.into_iter().map(|id| ticket_json(id)).collect();
    drop(state);
    page(&shared, &query, &tickets)
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
    page(&shared, &query, &messages)
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

/// Answers as if the messages were stored; nobody reads them back.
async fn add_external_messages(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let refuse = |message: &str| shared.dialect.refuse(Code::InvalidArgument, message);
    if !shared.state().has_ticket(&id) {
        return unknown(&shared, &id);
    }
    match serde_json::from_slice::<ExternalMessages>(&body) {
        Err(error) => refuse(&error.to_string()),
        Ok(request) if !request.channel_target.is_object() => {
            refuse("channelTarget: must be an object")
        }
        Ok(request)
            if request
                .messages
                .iter()
                .any(|message| !(message.data.is_null() || message.data.is_object())) =>
        {
            refuse("externalMessageData: must be an object")
        }
        Ok(request) => data(request.messages),
    }
}

fn ticket_json(id: &str) -> Value {
    json!({
        "id": id, "friendlyIdentifier": friendly(id), "teamId": TEAM, "name": format!("Ticket {id}"),
        "description": "", "createdAt": CREATED_AT, "type": "TICKET_TYPE_REQUEST", "labelIds": [],
    })
}

/// A stable number for any id, so that a ticket always has the same name.
pub(super) fn friendly(id: &str) -> String {
    let number = id.bytes().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("ACM-{}", number % 100_000)
}

fn unknown(shared: &Shared, id: &str) -> Response {
    shared
        .dialect
        .refuse(Code::NotFound, &format!("no ticket {id}"))
}
