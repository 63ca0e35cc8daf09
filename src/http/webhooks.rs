//! Webhooks: receive, verify, interpret, store, acknowledge - in this order, on every path.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Path;
use super::observe::Trace;
use super::{AppState, MountedSource, Problem};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalId, SourceKind, SourceName};
use crate::sources::{Receipt, Unreadable, Unverified};
use crate::store::{Recorded, Webhook};

/// Deliver a webhook
///
/// Signed as the kind of the source asks: Standard Webhooks for ServiceNow, `X-Slack-Signature`
/// for Slack. A source of the latter kind gets an empty 200 for all that is authentic, and its
/// challenge back.
#[utoipa::path(
    post,
    path = "/webhooks/{source}",
    operation_id = "receive_webhook",
    tag = "webhooks",
    params(("source" = String, Path, description = "The name of a configured source")),
    request_body(content = String, content_type = "application/json", description = "As the sender writes it; its bytes are signed"),
    responses(
        (status = 200, description = "Slack: stored, or the challenge"),
        (status = 202, description = "ServiceNow: stored, or stored before", body = Answer),
        (status = 400, description = "Not JSON, or no record in it"),
        (status = 401, description = "Authentication is missing, wrong or stale"),
        (status = 404, description = "No such source"),
        (status = 408, description = "The body took too long to arrive"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is compressed"),
        (status = 422, description = "ServiceNow: a record without a usable sys_id"),
        (status = 503, description = "It could not be stored, or too many come at once; send it again"),
    ),
    security(())
)]
pub(super) async fn receive(
    State(state): State<Arc<AppState>>,
    Path(source): Path<String>,
    request: Request,
) -> Response {
    let answer = |request| handle(&state, &source, None, request);
    state.webhook_places.admit(request, answer).await
}

/// Deliver a webhook of a table
///
/// The same, for senders that can tell the table of a record in the path only.
#[utoipa::path(
    post,
    path = "/webhooks/{source}/{table}",
    operation_id = "receive_webhook_of_table",
    tag = "webhooks",
    params(
        ("source" = String, Path, description = "The name of a configured source"),
        ("table" = String, Path, description = "A ServiceNow table, such as `incident`"),
    ),
    request_body(content = String, content_type = "application/json", description = "As the sender writes it; its bytes are signed"),
    responses(
        (status = 200, description = "Slack: stored, or the challenge"),
        (status = 202, description = "ServiceNow: stored, or stored before", body = Answer),
        (status = 400, description = "Not JSON, or no record in it"),
        (status = 401, description = "Authentication is missing, wrong or stale"),
        (status = 404, description = "No such source"),
        (status = 408, description = "The body took too long to arrive"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is compressed"),
        (status = 422, description = "ServiceNow: a record without a usable sys_id"),
        (status = 503, description = "It could not be stored, or too many come at once; send it again"),
    ),
    security(())
)]
pub(super) async fn receive_table(
    State(state): State<Arc<AppState>>,
    Path((source, table)): Path<(String, String)>,
    request: Request,
) -> Response {
    let answer = |request| handle(&state, &source, Some(&table), request);
    state.webhook_places.admit(request, answer).await
}

async fn handle(state: &AppState, name: &str, table: Option<&str>, request: Request) -> Response {
    let started = Instant::now();
    let found = name
        .parse::<SourceName>()
        .ok()
        .and_then(|name| state.sources.get_key_value(&name));
    let Some((name, mounted)) = found else {
        let detail = "no such source; the path is /webhooks/ and the name of a configured source";
        return Problem::new(StatusCode::NOT_FOUND, detail).into_response();
    };
    let trace = request.extensions().get::<Trace>();
    let trace = trace.map(|Trace(trace)| trace.trace_id().to_owned());
    match accept(state, name, mounted, table, request).await {
        Ok(Accepted::Challenge(challenge)) => {
            tracing::info!(source = %name, "answered the url_verification challenge");
            (
                [(CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
                challenge,
            )
                .into_response()
        }
        Ok(Accepted::Stored(recorded)) => {
            report(name, &recorded, trace.as_deref(), started);
            warn_of_the_end(name, &recorded);
            acknowledge(mounted.source.kind(), recorded)
        }
        Err(problem) => problem.into_response(),
    }
}

enum Accepted {
    Challenge(String),
    Stored(Vec<Recorded>),
}

async fn accept(
    state: &AppState,
    name: &SourceName,
    mounted: &MountedSource,
    table: Option<&str>,
    request: Request,
) -> Result<Accepted, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_body(state, &parts.headers, body).await?;
    let received_at = state.clock.now();
    let unverified = Unverified {
        headers: &parts.headers,
        table,
        body: &body,
    };
    let verified = mounted.source.verify(unverified, received_at).map_err(|refused| {
        tracing::warn!(source = %name, cause = refused.cause(), error = %refused, "webhook refused");
        state.metrics.verification_failed(name, refused.cause());
        Problem::new(StatusCode::UNAUTHORIZED, refused.to_string())
    })?;
    if mounted.source.kind() == SourceKind::Slack {
        count_retry(state, name, &parts.headers);
    }
    let receipt = mounted.source.interpret(&verified).map_err(|error| {
        tracing::warn!(source = %name, %error, bytes = body.len(), "webhook not understood");
        unreadable(&error)
    })?;
    let mut events = match receipt {
        Receipt::Challenge(challenge) => return Ok(Accepted::Challenge(challenge)),
        Receipt::Events(events) => events,
    };
    // From here on the dropped fields do not exist: the store is the first to keep anything.
    let Some(body) = mounted.drop_fields.apply(body, &mut events) else {
        let detail = "the object cannot be read for the fields that are dropped of it";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    };
    let webhook = Webhook {
        source: name.clone(),
        received_at,
        park_for_ms: mounted.park_for_ms,
        keep_ignored_bodies: mounted.keep_ignored_bodies,
        reconnects: mounted.reconnects,
        traceparent: parts.extensions.get().map(|Trace(trace)| trace.clone()),
        body,
        events,
    };
    match state.store.record(webhook).await {
        Ok(recorded) => Ok(Accepted::Stored(recorded)),
        Err(error) => {
            tracing::error!(source = %name, %error, "webhook not stored; the sender is told to send it again");
            Err(Problem::unavailable())
        }
    }
}

/// Slack numbers its repetitions and says why it makes them.
fn count_retry(state: &AppState, source: &SourceName, headers: &HeaderMap) {
    let reason = headers.get("x-slack-retry-reason");
    if reason.is_some() || headers.contains_key("x-slack-retry-num") {
        let reason = reason.and_then(|reason| reason.to_str().ok());
        state.metrics.slack_retried(source, reason);
    }
}

async fn read_body(state: &AppState, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!(
            "the body is larger than the {} bytes of server.body_limit",
            state.body_limit
        );
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = announced.filter(|length| *length > state.body_limit as u64) {
        discard(state, headers, length, body).await;
        return Err(too_large());
    }
    let read = Limited::new(body, state.body_limit).collect();
    match tokio::time::timeout(state.read_timeout, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the body did not arrive whole",
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        )),
    }
}

/// Lets a body of `length` go by that is somewhat too large: a sender that is still writing when the
/// connection closes reads no answer, and learns nothing. One that asks first has sent nothing yet.
async fn discard(state: &AppState, headers: &HeaderMap, length: u64, mut body: Body) {
    const TIMES_THE_LIMIT: u64 = 4;
    let most = TIMES_THE_LIMIT.saturating_mul(state.body_limit as u64);
    if length > most || headers.contains_key(EXPECT) {
        return;
    }
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    drop(tokio::time::timeout(state.read_timeout, read).await);
}

fn unreadable(error: &Unreadable) -> Problem {
    match error {
        Unreadable::Body(detail) => Problem::new(StatusCode::BAD_REQUEST, detail),
        Unreadable::Record { index, detail } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).at_index(*index)
        }
    }
}

/// What became of a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Acknowledgement)]
pub(super) struct Answer {
    /// One for each record.
    events: Vec<AnswerEvent>,
}

/// What became of one record.
#[derive(Serialize, ToSchema)]
#[schema(as = AcknowledgedEvent)]
pub(super) struct AnswerEvent {
    /// The stored event.
    #[schema(value_type = String)]
    id: EventId,
    /// The external ticket that it is about.
    #[schema(value_type = Option<String>)]
    external_id: Option<ExternalId>,
    /// Where it stands.
    #[schema(schema_with = super::api::state_words)]
    state: EventState,
    /// Whether the same delivery was stored before.
    duplicate: bool,
}

fn acknowledge(kind: SourceKind, recorded: Vec<Recorded>) -> Response {
    match kind {
        SourceKind::Slack => StatusCode::OK.into_response(),
        SourceKind::ServiceNow => {
            let events = recorded
                .into_iter()
                .map(|event| AnswerEvent {
                    id: event.id,
                    external_id: event.external_id,
                    state: event.state,
                    duplicate: event.duplicate,
                })
                .collect();
            (StatusCode::ACCEPTED, Json(Answer { events })).into_response()
        }
    }
}

/// What ends Slack's deliveries altogether is said loudly: from then on silence looks like calm.
fn warn_of_the_end(source: &SourceName, recorded: &[Recorded]) {
    for event in recorded {
        match event.reason.as_deref() {
            Some("app_uninstalled" | "tokens_revoked") => tracing::error!(
                %source,
                event = %event.id,
                reason = event.reason,
                "the Slack app was removed or lost its tokens: no more events will come until it is installed again"
            ),
            Some("app_rate_limited") => tracing::warn!(
                %source,
                event = %event.id,
                "Slack holds events back: the app is over its rate limit, and what it held back is lost"
            ),
            _ => {}
        }
    }
}

/// One line for each accepted webhook.
fn report(source: &SourceName, recorded: &[Recorded], trace: Option<&str>, started: Instant) {
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match recorded {
        [event] => tracing::info!(
            %source,
            event = %event.id,
            ticket.external = event.external_id.as_ref().map(tracing::field::display),
            state = event.state.as_str(),
            reason = event.reason.as_deref(),
            duplicate = event.duplicate,
            trace,
            duration_ms,
            "webhook stored"
        ),
        events => tracing::info!(
            %source,
            events = events.len(),
            states = summary(events),
            trace,
            duration_ms,
            "batch stored"
        ),
    }
}

/// `3 queued, 1 ignored`
fn summary(events: &[Recorded]) -> String {
    let mut text = String::new();
    for state in EventState::ALL {
        let n = events.iter().filter(|event| event.state == state).count();
        if n > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            write!(text, "{comma}{n} {}", state.as_str()).expect("a String takes all");
        }
    }
    text
}
