//! `/api/v1/mappings`

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::conditions::{etag, precondition};
use super::input::{self, Page};
use crate::domain::ids::EventId;
use crate::http::extract::{Path, RawBody};
use crate::http::{AppState, Problem};
use crate::operator::{MapTicket, Operator, Why};
use crate::store::{Mapping, MappingFilter, Origin};

/// A mapping as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mapping)]
pub(crate) struct MappingView {
    /// The source of the external ticket.
    source: String,
    /// The external ticket's id over there.
    external_id: String,
    /// The Serval ticket.
    ticket_id: String,
    /// Serval messages that the external ticket has already.
    accounted_for_message_ids: Vec<String>,
    /// Who wrote it: `api`, `import`, `payload`, `cli` or `console`.
    origin: String,
    /// When it was first written.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
    /// When Serval took the pair; null: not yet.
    connected_at: Option<Timestamp>,
    /// The event whose payload taught it.
    #[schema(value_type = Option<String>)]
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

/// A mapping to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMapping)]
pub(crate) struct PutBody {
    /// The Serval ticket.
    ticket_id: String,
    /// Serval messages that the external ticket has already; at most 1000.
    #[serde(default)]
    accounted_for_message_ids: Vec<String>,
}

/// Names an external ticket.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "describes the path, which axum reads into a tuple"
)]
pub(crate) struct TicketPath {
    /// The name of a configured source.
    source: String,
    /// The external ticket's id: a `sys_id`, or a Slack `channel:thread_ts`.
    external_id: String,
}

/// What must be true of the mapping that is there.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "describes header fields, which `precondition` reads"
)]
pub(crate) struct Conditions {
    /// `ETag` of the mapping as it was read, or `*` for any; else 412.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// `*`: only if there is none; else 412.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PutQuery {
    /// What the mapping will say of its writer: `api`, or `cli` for the command line.
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

/// A mapping with its tag.
type Tagged = ([(HeaderName, HeaderValue); 1], Json<MappingView>);

fn tagged(mapping: Mapping) -> Tagged {
    ([(ETAG, etag(&mapping))], Json(mapping.into()))
}

/// Write a mapping
///
/// Creates or replaces it, and releases the events that waited for it. Idempotent.
#[utoipa::path(
    put,
    path = "/mappings/{source}/{external_id}",
    operation_id = "put_mapping",
    tag = "mappings",
    params(TicketPath, PutQuery, Conditions),
    request_body = PutBody,
    responses(
        (status = 200, description = "It was there", body = MappingView, headers(("ETag" = String))),
        (status = 201, description = "It was not there", body = MappingView, headers(("ETag" = String))),
        (status = 400, description = "The body is not JSON, or the query or a condition cannot be read"),
        (status = 404, description = "No such source"),
        (status = 409, description = "The Serval ticket has another external ticket of the source"),
        (status = 412, description = "The condition does not hold; nothing was written"),
        (status = 422, description = "An id that is none"),
    )
)]
pub(super) async fn put(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path((source, external_id)): Path<(String, String)>,
    query: Result<Query<PutQuery>, QueryRejection>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Tagged), Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let origin = query.origin()?;
    let ticket = input::ticket(&state, &source, &external_id)?;
    let body: PutBody = input::json(&body)?;
    let map = MapTicket {
        ticket,
        ticket_id: body.ticket_id,
        accounted_for: body.accounted_for_message_ids,
        origin,
        condition: precondition(&headers)?,
    };
    let (mapping, is_new) = state.desk.map(&operator, map, &Why::default()).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, tagged(mapping)))
}

/// Read a mapping
#[utoipa::path(
    get,
    path = "/mappings/{source}/{external_id}",
    operation_id = "get_mapping",
    tag = "mappings",
    params(TicketPath),
    responses(
        (status = 200, body = MappingView, headers(("ETag" = String))),
        (status = 404, description = "No such source, or no mapping"),
        (status = 422, description = "An id that is none"),
    )
)]
pub(super) async fn get(
    State(state): State<AppState>,
    Path((source, external_id)): Path<(String, String)>,
) -> Result<Tagged, Problem> {
    let ticket = input::ticket(&state, &source, &external_id)?;
    let mapping = state.store.mapping(&ticket).await?.ok_or_else(none)?;
    Ok(tagged(mapping))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Whether Serval is asked to let go of the pair.
    #[serde(default)]
    #[param(required = false)]
    disconnect: bool,
}

/// Remove a mapping
///
/// Nothing changes at Serval, unless `disconnect` asks for it.
#[utoipa::path(
    delete,
    path = "/mappings/{source}/{external_id}",
    operation_id = "delete_mapping",
    tag = "mappings",
    params(TicketPath, DeleteQuery, Conditions),
    responses(
        (status = 204, description = "Removed"),
        (status = 400, description = "The query or a condition cannot be read"),
        (status = 404, description = "No such source, or no mapping"),
        (status = 412, description = "The condition does not hold; nothing was removed"),
        (status = 422, description = "An id that is none"),
    )
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path((source, external_id)): Path<(String, String)>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let ticket = input::ticket(&state, &source, &external_id)?;
    let condition = precondition(&headers)?;
    let why = Why::default();
    state
        .desk
        .unmap(&operator, &ticket, condition, query.disconnect, &why)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "this external ticket has no mapping")
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of one source.
    source: Option<String>,
    /// Of one Serval ticket.
    ticket_id: Option<String>,
    /// At most so many; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List mappings
#[utoipa::path(
    get,
    path = "/mappings",
    operation_id = "list_mappings",
    tag = "mappings",
    params(ListQuery),
    responses(
        (status = 200, body = Page<MappingView>),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
    )
)]
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
