//! `/api/v1/events`

pub(super) mod mentions;
mod views;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};

use super::input;
use super::list::{List, Page, Paging};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, SourceName};
use crate::edge::window::Window;
use crate::operators::{Operator, Operators, Why};
use crate::store::EventFilter;
use crate::web::extract::{Path, RawBody};
use crate::web::problem::Problem;
use crate::web::state::AppState;
use views::{EventDetailView, EventView};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this state.
    #[param(schema_with = EventState::schema)]
    state: Option<String>,
    /// Only this source.
    source: Option<String>,
    /// Only this external ticket, named by id, link or number.
    external_id: Option<String>,
    /// Only this reason.
    reason: Option<String>,
    /// Only events that arrived from this time on: RFC 3339, or a duration back from now, such as `24h`.
    since: Option<String>,
    /// Only events that arrived before this time, likewise.
    until: Option<String>,
}

/// List events
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "list_events",
    tag = "events",
    params(ListQuery, Paging),
    responses(
        (status = 200, body = Page<EventView>),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
        (status = 409, description = "Several records have the number"),
        (status = 422, description = "The external id is not valid, or no webhook has named the number"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    list: List<ListQuery, EventId>,
) -> Result<Json<Page<EventView>>, Problem> {
    let query = &list.filter;
    let (since, until) = (query.since.as_deref(), query.until.as_deref());
    let window = Window::read(since, until, state.clock.now()).map_err(input::bad_request)?;
    let source = input::source(&state, query.source.clone())?;
    let filter = EventFilter {
        state: query.state.as_deref().map(read_state).transpose()?,
        external_id: external(&state, source.as_ref(), query.external_id.as_deref()).await?,
        source,
        reason: query.reason.clone(),
        arrived: state.store.arrived(&window).await?,
        before: list.after,
        limit: list.rows(),
    };
    let rows = state.store.events(&filter).await?;
    Ok(list.page(rows, |row| row.id, EventView::from))
}

/// The external ticket of a filter.
async fn external(
    state: &AppState,
    source: Option<&SourceName>,
    typed: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(typed) = typed else {
        return Ok(None);
    };
    let id = state.operators.external_filter(source, typed).await?;
    Ok(Some(id.to_string()))
}

fn read_state(word: &str) -> Result<EventState, Problem> {
    EventState::parse(word).ok_or_else(|| {
        let words: Vec<_> = EventState::ALL.iter().map(|state| state.as_str()).collect();
        input::bad_request(format!("state {word:?} is none of {}", words.join(", ")))
    })
}

/// Read an event
///
/// With its attempts, its history, the raw body and the content of the connect call. The last two are
/// null for a read-only token, and if `admin.show_payloads` is off.
#[utoipa::path(
    get,
    path = "/events/{id}",
    operation_id = "get_event",
    tag = "events",
    params(("id" = String, Path, pattern = "^evt_[0-9]{1,18}$", example = "evt_42", description = "Event id")),
    responses(
        (status = 200, body = EventDetailView),
        (status = 404, description = "No such event"),
    )
)]
pub(super) async fn get(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<Json<EventDetailView>, Problem> {
    let id = state.operators.event_id(&id)?;
    let detail = state.store.event(id).await?.ok_or_else(none)?;
    let shows_payload = state.operators.shows_payloads() && operator.may_act();
    Ok(Json(EventDetailView::new(detail, shows_payload)))
}

fn none() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such event; an event id looks like evt_42",
    )
}

/// Options of a replay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Replay)]
pub(crate) struct ReplayBody {
    /// Reason, for the event's history; at most 200 characters.
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reason: Option<String>,
}

/// Replay an event
///
/// Queues a dead or expired event again. An ignored event whose body is kept is read again with the
/// present configuration, and queued if it is an event to connect now. The body is optional.
#[utoipa::path(
    post,
    path = "/events/{id}/replay",
    operation_id = "replay_event",
    tag = "events",
    params(("id" = String, Path, pattern = "^evt_[0-9]{1,18}$", example = "evt_42", description = "Event id")),
    request_body = Option<ReplayBody>,
    responses(
        (status = 202, description = "The event is queued", body = EventDetailView),
        (status = 400, description = "The body is not JSON"),
        (status = 404, description = "No such event"),
        (status = 409, description = "The event cannot be replayed"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn replay(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<EventDetailView>), Problem> {
    let id = state.operators.event_id(&id)?;
    // The body is optional, but one that is sent must be right.
    let body: ReplayBody = input::json_or_default(&body)?;
    let why = Why::read(body.reason.as_deref())?;
    state.operators.replay(&operator, id, &why).await?;
    let detail = state.store.event(id).await?.ok_or_else(none)?;
    let view = EventDetailView::new(detail, state.operators.shows_payloads());
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Filter and options of a replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayMany)]
pub(crate) struct ReplayManyBody {
    /// `dead`, `expired` or `ignored`. Default `dead`.
    #[schema(schema_with = replayable_states)]
    state: Option<String>,
    /// Only this source.
    source: Option<String>,
    /// Only this external ticket.
    external_id: Option<String>,
    /// Only this reason.
    #[serde(rename = "event_reason")]
    with_reason: Option<String>,
    /// Only events that arrived from this time on: RFC 3339, or a duration back from now, such as `24h`.
    since: Option<String>,
    /// Only events that arrived before this time, likewise.
    until: Option<String>,
    /// Reason, for the events' histories; at most 200 characters.
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reason: Option<String>,
    /// True to count the events without a replay.
    #[serde(default, deserialize_with = "input::or_default")]
    #[schema(value_type = Option<bool>)]
    dry_run: bool,
    /// Limit of replayed events; the oldest are first. Default: no limit.
    #[serde(default, deserialize_with = "input::whole")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64)]
    limit: Option<u32>,
}

fn replayable_states() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some([Some("dead"), Some("expired"), Some("ignored"), None]))
        .description(Some("`dead`, `expired` or `ignored`. Default `dead`."))
        .build()
}

/// Result of a replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Number of events that match.
    matched: u64,
    /// Number of events that were queued.
    replayed: u64,
}

/// Replay events
///
/// Queues all dead (or all expired) events that match. Of the ignored events that match and have a
/// body, those are queued that are events to connect with the present configuration.
#[utoipa::path(
    post,
    path = "/events/replay",
    operation_id = "replay_events",
    tag = "events",
    request_body = ReplayManyBody,
    responses(
        (status = 200, body = Replayed),
        (status = 400, description = "The body is not JSON, or the state is unknown"),
        (status = 404, description = "No such source"),
        (status = 409, description = "Several records have the number"),
        (status = 422, description = "The body is not what is expected, or an id is not valid"),
    )
)]
pub(super) async fn replay_many(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    RawBody(body): RawBody,
) -> Result<Json<Replayed>, Problem> {
    let body: ReplayManyBody = input::json(&body)?;
    let from = body
        .state
        .as_deref()
        .map_or(Ok(EventState::Dead), read_state)?;
    Operators::replayable(from)?;
    let (since, until) = (body.since.as_deref(), body.until.as_deref());
    let window = Window::read(since, until, state.clock.now())
        .map_err(|fault| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, fault))?;
    let source = input::source(&state, body.source)?;
    let filter = EventFilter {
        state: Some(from),
        external_id: external(&state, source.as_ref(), body.external_id.as_deref()).await?,
        source,
        reason: body.with_reason,
        arrived: state.store.arrived(&window).await?,
        before: None,
        limit: body.limit.unwrap_or(u32::MAX),
    };
    let why = Why::read(body.reason.as_deref())?;
    // Counted before the replay: afterwards they are queued and match no more.
    let matched = state.store.count_replayable(&filter).await?;
    let replayed = if body.dry_run {
        0
    } else {
        state.operators.replay_many(&operator, filter, &why).await?
    };
    Ok(Json(Replayed { matched, replayed }))
}
