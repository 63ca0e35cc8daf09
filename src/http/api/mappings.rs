//! `/api/v1/mappings`

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::input::{self, Page};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::http::{AppState, Problem};
use crate::store::{Mapping, MappingFilter, Origin, PutMapping, Stored};

/// A mapping as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct MappingView {
    source: String,
    external_id: String,
    ticket_id: String,
    accounted_for_message_ids: Vec<String>,
    origin: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    connected_at: Option<Timestamp>,
    taught_by: Option<EventId>,
}

impl From<Mapping> for MappingView {
    fn from(mapping: Mapping) -> Self {
        Self {
            source: mapping.source,
            external_id: mapping.external_id,
            ticket_id: mapping.ticket_id,
            accounted_for_message_ids: mapping.accounted_for,
            origin: mapping.origin,
            created_at: mapping.created_at,
            updated_at: mapping.updated_at,
            connected_at: mapping.connected_at,
            taught_by: mapping.taught_by,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody {
    ticket_id: String,
    #[serde(default)]
    accounted_for_message_ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutQuery {
    /// What the mapping will say of its writer; the command line says `cli`.
    origin: Option<String>,
}

impl PutQuery {
    fn origin(&self) -> Result<Origin, Problem> {
        match self.origin.as_deref() {
            None | Some("api") => Ok(Origin::Api),
            Some("cli") => Ok(Origin::Cli),
            Some(_) => Err(input::bad_request("origin is api or cli")),
        }
    }
}

/// `PUT /mappings/{source}/{external_id}`: 201 when created, 200 when it was there.
pub(super) async fn put(
    State(state): State<AppState>,
    Path((source, external_id)): Path<(String, String)>,
    query: Result<Query<PutQuery>, QueryRejection>,
    body: Bytes,
) -> Result<(StatusCode, Json<MappingView>), Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let origin = query.origin()?;
    let ticket = input::ticket(&state, &source, &external_id)?;
    let body: PutBody = input::json(&body)?;
    let ticket_id: ServalTicketId = body.ticket_id.trim().parse().map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("ticket_id: {error}"),
        )
    })?;
    let mounted = &state.sources[&ticket.source];
    let put = PutMapping {
        ticket,
        ticket_id,
        accounted_for: body.accounted_for_message_ids,
        origin,
        taught_by: None,
        disconnects_old: mounted.disconnects_old,
        several_per_ticket: mounted.several_per_ticket,
    };
    let (status, mapping) = match state.store.put_mapping(put, state.clock.now()).await? {
        Stored::Created(mapping) => (StatusCode::CREATED, mapping),
        Stored::Replaced(mapping) => (StatusCode::OK, mapping),
        Stored::Taken(other) => {
            let detail = format!(
                "the Serval ticket has {other} of this source already; remove that mapping, or set \
                 several_per_ticket for the source"
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
    };
    tracing::info!(
        source = mapping.source,
        ticket.external = mapping.external_id,
        ticket.serval = mapping.ticket_id,
        origin = mapping.origin,
        "mapping written"
    );
    Ok((status, Json(mapping.into())))
}

/// `GET /mappings/{source}/{external_id}`
pub(super) async fn get(
    State(state): State<AppState>,
    Path((source, external_id)): Path<(String, String)>,
) -> Result<Json<MappingView>, Problem> {
    let ticket = input::ticket(&state, &source, &external_id)?;
    let mapping = state.store.mapping(&ticket).await?.ok_or_else(none)?;
    Ok(Json(mapping.into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    #[serde(default)]
    disconnect: bool,
}

/// `DELETE /mappings/{source}/{external_id}`: nothing changes at Serval, unless
/// `?disconnect=true` asks it to let go of the pair.
pub(super) async fn delete(
    State(state): State<AppState>,
    Path((source, external_id)): Path<(String, String)>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let ticket = input::ticket(&state, &source, &external_id)?;
    if !state
        .store
        .delete_mapping(&ticket, query.disconnect, state.clock.now())
        .await?
    {
        return Err(none());
    }
    tracing::info!(ticket.external = %ticket, "mapping removed");
    Ok(StatusCode::NO_CONTENT)
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "this external ticket has no mapping")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    source: Option<String>,
    ticket_id: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /mappings`
pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<MappingView>>, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let limit = input::limit(query.limit)?;
    let filter = MappingFilter {
        source: query
            .source
            .map(|name| input::source(&state, &name))
            .transpose()?,
        ticket_id: query.ticket_id,
        after: query.cursor.as_deref().map(read_cursor).transpose()?,
        limit: limit + 1,
    };
    let rows = state.store.mappings(&filter).await?;
    Ok(Json(Page::new(rows, limit, cursor, MappingView::from)))
}

fn cursor(mapping: &Mapping) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{}", mapping.source, mapping.external_id))
}

fn read_cursor(cursor: &str) -> Result<(String, String), Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| {
            text.split_once('/')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        })
        .ok_or_else(|| input::bad_request("cursor is not one that this list gave out"))
}
