//! `/api/v1/events`

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::input::{self, Page};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::http::{AppState, Problem};
use crate::store::{AttemptRow, ChangeRow, EventDetail, EventFilter, EventRow, Replay};

/// The longest reason of a replay.
const MAX_REASON: usize = 200;

/// An event in a list.
#[derive(Debug, Serialize)]
pub(super) struct EventView {
    id: EventId,
    source: String,
    external_id: Option<String>,
    subtype: Option<String>,
    event_type: String,
    state: EventState,
    reason: Option<String>,
    ticket_id: Option<String>,
    received_at: Timestamp,
    updated_at: Timestamp,
    due_at: Option<Timestamp>,
    attempts: i64,
    last_error: Option<String>,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            source: row.source,
            external_id: row.external_id,
            subtype: row.subtype,
            event_type: row.event_type,
            state: row.state,
            reason: row.reason,
            ticket_id: row.ticket_id,
            received_at: row.received_at,
            updated_at: row.updated_at,
            due_at: (!row.state.is_terminal()).then_some(row.due_at),
            attempts: row.attempts,
            last_error: row.last_error,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<String>,
    source: Option<String>,
    external_id: Option<String>,
    reason: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /events`, newest first.
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

/// A `sys_id` is stored in lower case.
fn one_spelling(external_id: String) -> String {
    let is_sys_id = external_id.len() == 32 && external_id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_sys_id {
        external_id.to_ascii_lowercase()
    } else {
        external_id
    }
}

/// `GET /events/{id}`: with its attempts, its history, the raw body and what is sent.
pub(super) async fn get(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = event_id(&id)?;
    let detail = state.store.event(id).await?.ok_or_else(none)?;
    Ok(Json(show(detail)))
}

fn show(detail: EventDetail) -> Value {
    let EventDetail {
        row,
        attempts,
        changes,
        payload,
        accounted_for,
    } = detail;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let sent = payload.as_ref().map(|(body, object)| {
        json!({
            "externalTicketId": row.external_id,
            "externalTicketSubtype": row.subtype,
            "externalTicketData": text(&body[object.clone()]),
            "accountedForMessageIds": accounted_for,
        })
    });
    let mut view = json!(EventView::from(row));
    view["attempts"] = attempts.iter().map(attempt).collect();
    view["history"] = changes.iter().map(change).collect();
    view["body"] = json!(payload.as_ref().map(|(body, _)| text(body)));
    view["sent"] = json!(sent);
    view
}

fn attempt(row: &AttemptRow) -> Value {
    json!({
        "started_at": row.started_at,
        "duration_ms": row.duration_ms,
        "ticket_id": row.ticket_id,
        "outcome": row.outcome,
        "status": row.status,
        "code": row.code,
        "answer": row.answer,
        "request_id": row.request_id,
        "retry_after_ms": row.retry_after_ms,
        "probe": row.is_probe,
    })
}

fn change(row: &ChangeRow) -> Value {
    json!({ "at": row.at, "state": row.state, "reason": row.reason })
}

fn event_id(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|_| none())
}

fn none() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such event; an event id looks like evt_42",
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReplayBody {
    reason: Option<String>,
}

/// `POST /events/{id}/replay`: a dead or expired event goes to the queue again.
pub(super) async fn replay(
    State(state): State<AppState>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let id = event_id(&id)?;
    let body: ReplayBody = if body.is_empty() {
        ReplayBody::default()
    } else {
        input::json(&body)?
    };
    let reason = replay_reason(body.reason)?;
    let replay = state.store.replay(id, reason, state.clock.now()).await?;
    let refusal = match replay.ok_or_else(none)? {
        Replay::Queued => None,
        Replay::NotFinished(before) => Some(format!(
            "the event is {}; only dead and expired events are replayed",
            before.as_str()
        )),
        Replay::Refused(why) => Some(format!("the event is never replayed: {why}")),
    };
    if let Some(detail) = refusal {
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let detail = state.store.event(id).await?.ok_or_else(none)?;
    tracing::info!(event = %id, "event replayed by an operator");
    Ok((StatusCode::ACCEPTED, Json(show(detail))))
}

fn replay_reason(reason: Option<String>) -> Result<String, Problem> {
    let reason = reason.unwrap_or_default();
    let reason = reason.trim();
    if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        let detail = format!("reason: at most {MAX_REASON} characters in one line");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(if reason.is_empty() {
        "replayed".to_owned()
    } else {
        format!("replayed: {reason}")
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayManyBody {
    state: Option<String>,
    source: Option<String>,
    external_id: Option<String>,
    #[serde(rename = "event_reason")]
    with_reason: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
    limit: Option<u32>,
}

/// `POST /events/replay`: all dead (or expired) events that match.
pub(super) async fn replay_many(
    State(state): State<AppState>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let body: ReplayManyBody = input::json(&body)?;
    let from = body
        .state
        .as_deref()
        .map_or(Ok(EventState::Dead), read_state)?;
    if !matches!(from, EventState::Dead | EventState::Expired) {
        let detail = "state: only dead and expired events are replayed";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
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
    let reason = replay_reason(body.reason)?;
    let matched = state.store.count_replayable(&filter).await?;
    let replayed = if body.dry_run {
        0
    } else {
        state
            .store
            .replay_many(filter, reason, state.clock.now())
            .await?
    };
    if replayed > 0 {
        tracing::info!(
            replayed,
            state = from.as_str(),
            "events replayed by an operator"
        );
    }
    Ok(Json(json!({ "matched": matched, "replayed": replayed })))
}
