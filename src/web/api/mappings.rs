//! `/api/v1/mappings`

use std::fmt::{self, Display};
use std::str::FromStr;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};

use super::conditions::{etag, precondition};
use super::input;
use super::list::{List, Page, Paging};
use crate::operators::{MapTicket, Mapped, Operator, Why};
use crate::store::{Idle, Mapping, MappingFilter, Origin};
use crate::web::extract::{Path, Query, RawBody};
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// A mapping to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMapping)]
pub(crate) struct PutBody {
    /// Serval ticket: its id, its identifier such as `ACM-10`, or its address. The id is stored.
    ticket_id: String,
    /// Serval messages that the external ticket already has; at most 1000.
    #[serde(default, deserialize_with = "input::or_default")]
    #[schema(value_type = Option<Vec<String>>)]
    accounted_for_message_ids: Vec<String>,
}

/// Path of an external ticket.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "describes the path, which axum reads into a tuple"
)]
pub(crate) struct TicketPath {
    /// The name of a configured source.
    source: String,
    /// The external ticket: its id (a `sys_id`, or a Slack `channel:thread_ts`), the link of a Slack
    /// message, or a `ServiceNow` number that a webhook has named.
    external_id: String,
}

/// Conditions on the existing mapping.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "describes header fields, which `precondition` reads"
)]
pub(crate) struct Conditions {
    /// `ETag` of the mapping as it was read, or `*` for any. If it differs: 412.
    #[param(rename = "If-Match", schema_with = tags)]
    if_match: Option<String>,
    /// `*`: only if no mapping exists. Else: 412.
    #[param(rename = "If-None-Match", schema_with = tags)]
    if_none_match: Option<String>,
}

fn tags() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$"#))
        .examples(["*"])
        .build()
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PutQuery {
    /// Writer in the mapping: `api` (default), or `cli` for the command line.
    #[param(schema_with = origins)]
    origin: Option<String>,
    /// True to unlink the external ticket from all other Serval tickets, before it is connected to this one.
    #[serde(default)]
    #[param(required = false)]
    disconnect_others: bool,
}

/// A mapping that was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WrittenMapping)]
pub(crate) struct PutAnswer {
    #[serde(flatten)]
    mapping: Mapping,
    /// Other Serval tickets that have the external ticket, without those that are about to be unlinked. See `/links`.
    still_connected: Vec<String>,
    /// Number of events that the mapping sets in motion.
    waiting: i64,
    /// Why there are none: `already_connected`, `no_event` (no webhook has named the external ticket),
    /// `body_deleted` (nothing can be sent before its next webhook), or `nothing_to_send`.
    #[schema(schema_with = idle)]
    idle: Option<Idle>,
    /// Remark about the name of the Serval ticket, which is taken all the same.
    warning: Option<String>,
}

fn idle() -> Object {
    let words = Idle::ALL.map(|idle| Some(idle.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.into_iter().chain([None])))
        .build()
}

fn origins() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["api", "cli"]))
        .build()
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
type Tagged = ([(HeaderName, HeaderValue); 1], Json<Mapping>);

fn tagged(mapping: Mapping) -> Tagged {
    ([(ETAG, etag(&mapping))], Json(mapping))
}

/// Write a mapping
///
/// Creates or replaces the mapping, and releases the events that wait for it. Idempotent.
#[utoipa::path(
    put,
    path = "/mappings/{source}/{external_id}",
    operation_id = "put_mapping",
    tag = "mappings",
    params(TicketPath, PutQuery, Conditions),
    request_body = PutBody,
    responses(
        (status = 200, description = "The mapping existed", body = PutAnswer, headers(("ETag" = String))),
        (status = 201, description = "The mapping is new", body = PutAnswer, headers(("ETag" = String))),
        (status = 400, description = "The body is not JSON, or the query or a condition cannot be read"),
        (status = 404, description = "No such source"),
        (status = 409, description = "The Serval ticket has another external ticket of the source, or several records have the number"),
        (status = 412, description = "The condition does not hold; nothing was written"),
        (status = 422, description = "An id is not valid, no webhook has named the number, or Serval does not know the ticket"),
    )
)]
pub(super) async fn put(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path((source, external_id)): Path<(String, String)>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<PutAnswer>), Problem> {
    let origin = query.origin()?;
    let ticket = state.operators.ticket(&source, &external_id).await?;
    let body: PutBody = input::json(&body)?;
    let map = MapTicket {
        ticket,
        ticket_id: body.ticket_id,
        accounted_for: body.accounted_for_message_ids,
        origin,
        condition: precondition(&headers)?,
        disconnects_others: query.disconnect_others,
    };
    let Mapped {
        written,
        is_new,
        warning,
    } = state.operators.map(&operator, map, &Why::default()).await?;
    // PUT tells whether it created the resource (RFC 9110, section 9.3.4).
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let tag = [(ETAG, etag(&written.mapping))];
    let answer = PutAnswer {
        mapping: written.mapping,
        still_connected: written.still_connected,
        waiting: written.waiting,
        idle: written.idle,
        warning,
    };
    Ok((status, tag, Json(answer)))
}

/// Read a mapping
#[utoipa::path(
    get,
    path = "/mappings/{source}/{external_id}",
    operation_id = "get_mapping",
    tag = "mappings",
    params(TicketPath),
    responses(
        (status = 200, body = Mapping, headers(("ETag" = String))),
        (status = 404, description = "No such source, or no mapping"),
        (status = 409, description = "Several records have the number"),
        (status = 422, description = "An id is not valid, or no webhook has named the number"),
    )
)]
pub(super) async fn get(
    State(state): State<AppState>,
    Path((source, external_id)): Path<(String, String)>,
) -> Result<Tagged, Problem> {
    let ticket = state.operators.known_ticket(&source, &external_id).await?;
    let mapping = state.store.mapping(&ticket).await?.ok_or_else(none)?;
    Ok(tagged(mapping))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// True to unlink the pair at Serval.
    #[serde(default)]
    #[param(required = false)]
    disconnect: bool,
}

/// Remove a mapping
///
/// Nothing changes at Serval, unless `disconnect` is true.
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
        (status = 409, description = "Several records have the number"),
        (status = 412, description = "The condition does not hold; nothing was removed"),
        (status = 422, description = "An id is not valid, or no webhook has named the number"),
    )
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path((source, external_id)): Path<(String, String)>,
    Query(query): Query<DeleteQuery>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let ticket = state.operators.known_ticket(&source, &external_id).await?;
    let condition = precondition(&headers)?;
    let why = Why::default();
    state
        .operators
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
    /// Only this source.
    source: Option<String>,
    /// Only this Serval ticket, named by id, identifier or address.
    ticket_id: Option<String>,
}

/// List mappings
#[utoipa::path(
    get,
    path = "/mappings",
    operation_id = "list_mappings",
    tag = "mappings",
    params(ListQuery, Paging),
    responses(
        (status = 200, body = Page<Mapping>),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
        (status = 422, description = "The Serval ticket is not valid, or Serval does not know it"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    list: List<ListQuery, Key>,
) -> Result<Json<Page<Mapping>>, Problem> {
    let source = input::source(&state, list.filter.source.clone())?;
    let ticket_id = list.filter.ticket_id.as_deref();
    let filter = MappingFilter {
        ticket_id: input::serval_ticket(&state, source.as_ref(), ticket_id).await?,
        source,
        after: list.after.as_ref().map(|Key(key)| key.clone()),
        limit: list.rows(),
    };
    let rows = state.store.mappings(&filter).await?;
    let key = |row: &Mapping| Key((row.source.clone(), row.external_id.clone()));
    Ok(list.page(rows, key, |row| row))
}

/// Key of a mapping in the list: source and external id.
pub(super) struct Key((String, String));

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, external_id) = &self.0;
        write!(f, "{source}/{external_id}")
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(cursor: &str) -> Result<Self, ()> {
        let (source, external_id) = cursor.split_once('/').ok_or(())?;
        Ok(Self((source.to_owned(), external_id.to_owned())))
    }
}
