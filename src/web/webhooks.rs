//! Receives webhooks: verify, interpret, store, acknowledge, in this order.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::admission::bodies::{Unread, announced, discard};
use super::extract::Path;
use super::listener;
use super::observe::Trace;
use super::openapi::WebhookBody;
use super::problem::Problem;
use super::state::AppState;
use crate::domain::event::EventState;
use crate::domain::feed::Trouble;
use crate::domain::ids::{EventId, ExternalId, SourceName};
use crate::sources::{
    Acknowledgement, MountedSource, Receipt, Refused, SourceKind, Unreadable, Unverified,
};
use crate::store::{Recorded, Webhook};

/// Deliver a webhook
///
/// Signed as the kind of the source requires: Standard Webhooks for ServiceNow, `X-Slack-Signature`
/// for Slack. An authentic webhook of Slack is answered with an empty 200, or with its challenge.
#[utoipa::path(
    post,
    path = "/webhooks/{source}",
    operation_id = "receive_webhook",
    tag = "webhooks",
    params(("source" = String, Path, description = "The name of a configured source")),
    request_body(content = WebhookBody, content_type = "application/json", description = "The body as signed by the sender"),
    responses(
        (status = 200, description = "Slack: stored, or the challenge"),
        (status = 202, description = "ServiceNow: stored, or stored before", body = Answer),
    ),
    security(())
)]
pub(super) async fn receive(
    State(state): State<Arc<AppState>>,
    Path(source): Path<String>,
    request: Request,
) -> Response {
    handle(&state, &source, None, request).await
}

/// Deliver a webhook of a table
///
/// For senders that can name the table of a record only in the path.
#[utoipa::path(
    post,
    path = "/webhooks/{source}/{table}",
    operation_id = "receive_webhook_of_table",
    tag = "webhooks",
    params(
        ("source" = String, Path, description = "The name of a configured source"),
        ("table" = String, Path, example = "incident", description = "A table of ServiceNow"),
    ),
    request_body(content = WebhookBody, content_type = "application/json", description = "The body as signed by the sender"),
    responses(
        (status = 200, description = "Slack: stored, or the challenge"),
        (status = 202, description = "ServiceNow: stored, or stored before", body = Answer),
    ),
    security(())
)]
pub(super) async fn receive_table(
    State(state): State<Arc<AppState>>,
    Path((source, table)): Path<(String, String)>,
    request: Request,
) -> Response {
    // A second slash at the end of a URL names no table.
    let table = Some(table.as_str()).filter(|table| !table.is_empty());
    handle(&state, &source, table, request).await
}

async fn handle(state: &AppState, name: &str, table: Option<&str>, request: Request) -> Response {
    let started = Instant::now();
    if let Some(refused) = state.webhook_limit.refuse_beyond(&request) {
        return refused;
    }
    let found = name
        .parse::<SourceName>()
        .ok()
        .and_then(|name| state.sources.get_key_value(&name));
    let Some((name, mounted)) = found else {
        let detail = "no such source; the path is /webhooks/ and the name of a configured source";
        let problem = Problem::new(StatusCode::NOT_FOUND, detail);
        return problem.because("no_such_source").into_response();
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
        Ok(Accepted::Stored(recorded, trouble)) => {
            report(name, &recorded, trace.as_deref(), started);
            if let Some(trouble) = trouble.filter(|_| recorded.iter().any(|event| !event.duplicate))
            {
                let now = state.clock.now();
                let line = state.refusals.line(name.as_str(), trouble.as_str());
                state.operators.heard().report(name, trouble, now, line);
            }
            note_reused_name(name, state, &recorded);
            acknowledge(mounted.kind, recorded)
        }
        Err(problem) => problem.into_response(),
    }
}

enum Accepted {
    Challenge(String),
    Stored(Vec<Recorded>, Option<Trouble>),
}

async fn accept(
    state: &AppState,
    name: &SourceName,
    mounted: &MountedSource,
    table: Option<&str>,
    request: Request,
) -> Result<Accepted, Problem> {
    let (parts, mut body) = request.into_parts();
    let refused = |refused: Refused| {
        state.metrics.verification_failed(name, refused.cause());
        Problem::new(StatusCode::UNAUTHORIZED, refused.to_string()).because(refused.cause())
    };
    let (limit, length) = (state.body_limit, announced(&parts.headers));
    if length.is_some_and(|length| length > limit as u64) {
        discard(&parts.headers, body, limit, state.read_timeout);
        return Err(Unread::TooLarge.problem(limit));
    }
    // Memory is taken only for who may be known: a stranger without a credential is refused before.
    if let Err(stranger) = mounted.screen(&parts.headers, state.clock.shown()) {
        discard(&parts.headers, body, limit, state.read_timeout);
        return Err(refused(stranger));
    }
    listener::screened(&parts.extensions);
    let read = state
        .bodies
        .read(&mut body, length, limit, state.read_timeout);
    let body = match read.await {
        Ok(read) => read,
        Err(unread) => {
            if matches!(unread, Unread::TooLarge | Unread::NoMemory) {
                discard(&parts.headers, body, limit, state.read_timeout);
            }
            return Err(unread.problem(limit));
        }
    };
    // Not before: strangers with slow bodies would hold all permits.
    let _permit = state.webhook_limit.permit()?;
    let received_at = state.clock.now();
    // Nothing is parsed before the credential was verified over the raw bytes.
    let unverified = Unverified {
        headers: &parts.headers,
        table,
        body: &body,
    };
    let verified = mounted
        .verify(unverified, state.clock.shown())
        .map_err(refused)?;
    listener::keep(&parts.extensions);
    if let (Some(counter), Some(word)) = (mounted.kind.counter(), mounted.counted(&parts.headers)) {
        state.metrics.count(counter, name, word);
    }
    let receipt = mounted.interpret(&verified, body.clone());
    let (receipt, body) = receipt.map_err(|error| unreadable(&error))?;
    let events = match receipt {
        // A challenge proves that we hold the secret. There is nothing to store.
        Receipt::Challenge(challenge) => return Ok(Accepted::Challenge(challenge)),
        Receipt::Events(events) => events,
    };
    let policy = &mounted.policy;
    let sign = mounted.sign(&events);
    let webhook = Webhook {
        source: name.clone(),
        received_at,
        park_for_ms: i64::try_from(policy.park_for.as_millis()).unwrap_or(i64::MAX),
        keep_ignored_bodies: policy.keep_ignored_bodies,
        reconnects: policy.reconnects(),
        sign,
        traceparent: parts.extensions.get().map(|Trace(trace)| trace.clone()),
        body,
        events,
    };
    match state.store.record(webhook).await {
        Ok(recorded) => Ok(Accepted::Stored(recorded, sign.trouble())),
        Err(error) => {
            if let Some(unlogged) = state.refusals.line(name.as_str(), "not_stored") {
                tracing::error!(source = %name, %error, unlogged, "webhook not stored; the sender is told to send it again");
            }
            let detail = "the event could not be stored now; send it again";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
        }
    }
}

fn unreadable(error: &Unreadable) -> Problem {
    match error {
        Unreadable::Body(detail) => {
            Problem::new(StatusCode::BAD_REQUEST, detail).because("not_understood")
        }
        Unreadable::Record { index, detail } => {
            let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
            problem.index = *index;
            problem.because("not_understood")
        }
    }
}

/// Result of a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Acknowledgement)]
pub(super) struct Answer {
    /// One element per record.
    events: Vec<AnswerEvent>,
}

/// Result of one record.
#[derive(Serialize, ToSchema)]
#[schema(as = AcknowledgedEvent)]
pub(super) struct AnswerEvent {
    /// The stored event.
    #[schema(value_type = String, pattern = "^evt_[0-9]{1,18}$", example = "evt_42")]
    id: EventId,
    /// Id of the external ticket.
    #[schema(value_type = Option<String>)]
    external_id: Option<ExternalId>,
    /// State of the event.
    #[schema(schema_with = EventState::schema)]
    state: EventState,
    /// True if this delivery was already stored.
    duplicate: bool,
}

fn acknowledge(kind: SourceKind, recorded: Vec<Recorded>) -> Response {
    match kind.acknowledgement() {
        Acknowledgement::Empty => StatusCode::OK.into_response(),
        Acknowledgement::ListOfEvents => {
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

/// Counts and logs a webhook whose name had come before with another content. It is stored, but its
/// sender should name its webhooks better: by the name, repetitions are told from news.
fn note_reused_name(source: &SourceName, state: &AppState, recorded: &[Recorded]) {
    const LONGEST: usize = 128;
    let mut reused = recorded
        .iter()
        .filter_map(|event| Some((event.id, event.reused_name.as_deref()?)));
    let Some((event, name)) = reused.next() else {
        return;
    };
    state.metrics.name_reused(source);
    if let Some(unlogged) = state.refusals.line(source.as_str(), "reused_id") {
        let delivery: String = name.chars().take(LONGEST).collect();
        tracing::warn!(
            %source,
            %event,
            delivery,
            unlogged,
            "a webhook has the id of an earlier one, with another content; it is stored as a new one"
        );
    }
}

/// Logs an accepted webhook.
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
