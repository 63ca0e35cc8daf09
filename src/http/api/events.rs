//! `/api/v1/events`

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::event_views::{EventDetailView, EventView, state_words};
use super::input::{self, Page};
use crate::domain::event::EventState;
use crate::http::extract::{Path, RawBody};
use crate::http::{AppState, Problem};
use crate::operator::{Desk, Operator, Why, one_spelling};
use crate::store::EventFilter;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// In one state.
    #[param(schema_with = state_words)]
    state: Option<String>,
    /// Of one source.
    source: Option<String>,
    /// About one external ticket.
    external_id: Option<String>,
    /// With one reason.
    reason: Option<String>,
    /// At most so many; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List events
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "list_events",
    tag = "events",
    params(ListQuery),
    responses(
        (status = 200, body = Page<EventView>),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<EventView>>, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let limit = input::limit(query.limit)?;
    let before = query.cursor.as_deref().map(str::parse).transpose();
    let filter = EventFilter {
        state: query.state.as_deref().map(read_state).transpose()?,
        source: query
            .source
            .map(|name| input::source(&state, &name))
            .transpose()?,
        external_id: query.external_id.map(one_spelling),
        reason: query.reason,
        before: before
            .map_err(|_| input::bad_request("cursor is not one that this list gave out"))?,
        limit: limit + 1,
    };
    let rows = state.store.events(&filter).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        EventView::from,
    )))
}

fn read_state(word: &str) -> Result<EventState, Problem> {
    EventState::parse(word).ok_or_else(|| {
        let words: Vec<_> = EventState::ALL.iter().map(|state| state.as_str()).collect();
        input::bad_request(format!("state {word:?} is none of {}", words.join(", ")))
    })
}

/// Read an event
///
/// With its attempts, its history, the raw body and what is sent to Serval. Those two are left out for
/// a token that may only look, and where `admin.show_payloads` is off.
#[utoipa::path(
    get,
    path = "/events/{id}",
    operation_id = "get_event",
    tag = "events",
    params(("id" = String, Path, description = "Such as `evt_42`")),
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
    let id = state.desk.event_id(&id)?;
    let detail = state.store.event(id).await?.ok_or_else(none)?;
    let shows_payload = state.desk.shows_payloads() && operator.may_act();
    Ok(Json(EventDetailView::new(detail, shows_payload)))
}

fn none() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such event; an event id looks like evt_42",
    )
}

/// How to replay one event.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Replay)]
pub(crate) struct ReplayBody {
    /// Why, for the event's history; at most 200 characters.
    reason: Option<String>,
}

/// Replay an event
///
/// A dead or expired one goes to the queue again. The body may be left out.
#[utoipa::path(
    post,
    path = "/events/{id}/replay",
    operation_id = "replay_event",
    tag = "events",
    params(("id" = String, Path, description = "Such as `evt_42`")),
    request_body = Option<ReplayBody>,
    responses(
        (status = 202, description = "In the queue", body = EventDetailView),
        (status = 400, description = "The body is not JSON"),
        (status = 404, description = "No such event"),
        (status = 409, description = "It is neither dead nor expired"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn replay(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<EventDetailView>), Problem> {
    let id = state.desk.event_id(&id)?;
    let body: ReplayBody = if body.is_empty() {
        ReplayBody::default()
    } else {
        input::json(&body)?
    };
    let why = Why::read(body.reason.as_deref())?;
    state.desk.replay(&operator, id, &why).await?;
    let detail = state.store.event(id).await?.ok_or_else(none)?;
    let view = EventDetailView::new(detail, state.desk.shows_payloads());
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Which events to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayMany)]
pub(crate) struct ReplayManyBody {
    /// `dead` or `expired`; `dead` when left out.
    state: Option<String>,
    /// Of one source.
    source: Option<String>,
    /// About one external ticket.
    external_id: Option<String>,
    /// With one reason.
    #[serde(rename = "event_reason")]
    with_reason: Option<String>,
    /// Why, for the events' histories; at most 200 characters.
    reason: Option<String>,
    /// Whether to count only.
    #[serde(default)]
    dry_run: bool,
    /// At most so many, the oldest first.
    limit: Option<u32>,
}

/// How many events were replayed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Events that matched.
    matched: u64,
    /// Events that went to the queue.
    replayed: u64,
}

/// Replay events
///
/// All dead (or expired) ones that match go to the queue again.
#[utoipa::path(
    post,
    path = "/events/replay",
    operation_id = "replay_events",
    tag = "events",
    request_body = ReplayManyBody,
    responses(
        (status = 200, body = Replayed),
        (status = 400, description = "The body is not JSON, or there is no such state"),
        (status = 404, description = "No such source"),
        (status = 422, description = "The body is not what is expected"),
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
    Desk::replayable(from)?;
    let filter = EventFilter {
        state: Some(from),
        source: body
            .source
            .map(|name| input::source(&state, &name))
            .transpose()?,
        external_id: body.external_id.map(one_spelling),
        reason: body.with_reason,
        before: None,
        limit: body.limit.unwrap_or(u32::MAX),
    };
    let why = Why::read(body.reason.as_deref())?;
    let matched = state.store.count_replayable(&filter).await?;
    let replayed = if body.dry_run {
        0
    } else {
        state.desk.replay_many(&operator, filter, &why).await?
    };
    Ok(Json(Replayed { matched, replayed }))
}
