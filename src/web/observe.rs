//! Counts and times every webhook, logs it if it is refused, and makes it a span of its sender's trace.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::admission;
use super::state::AppState;
use crate::domain::ids::SourceName;
use crate::domain::trace::TraceParent;
use crate::edge::outbound;
use crate::edge::telemetry::traces;

/// Cause of an answer that the sender is not to blame for: nothing could be stored.
const FAILED: &str = "not_stored";

/// Parent of the spans of a webhook: its own span if spans are recorded, else the parent that the
/// sender names.
#[derive(Debug, Clone)]
pub(super) struct Trace(pub(super) TraceParent);

/// Middleware of the public listener, outside of [`admission::refuse_compressed`]. It observes only
/// paths below `/webhooks/`: the listener itself logs what else is refused.
pub(super) async fn observe(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let is_page = request.method().is_safe();
    let Some(rest) = path.strip_prefix("/webhooks/") else {
        return admission::refuse_compressed(request, next).await;
    };
    let named = rest.split('/').next().unwrap_or_default();
    let source = named
        .parse::<SourceName>()
        .ok()
        .filter(|name| state.sources.contains_key(name));
    let span = tracing::info_span!(
        "webhook",
        otel.kind = "server",
        source = source.as_ref().map(tracing::field::display),
        http.response.status_code = Empty,
    );
    // Without the export of spans there is no own span, so the sender's is passed on unchanged.
    let sender = traceparent(request.headers());
    traces::continue_from(&span, sender.as_ref());
    if let Some(trace) = traces::traceparent(&span).or(sender) {
        request.extensions_mut().insert(Trace(trace));
    }
    let is_check = request.headers().contains_key(outbound::CHECK);
    let started = Instant::now();
    let answer = admission::refuse_compressed(request, next);
    let mut response = answer.instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    state
        .metrics
        .webhook(source.as_ref(), status, started.elapsed());
    let source = source.as_ref();
    let cause = state.refusals.webhook(source, &path, &mut response);
    // A page that a browser opens is no webhook.
    let is_good = response.status().is_success();
    if let Some(source) = source.filter(|_| !(is_page || is_check && is_good)) {
        let now = state.clock.now();
        let feeds = state.operators.heard();
        feeds.note(source, now, |heard| {
            if is_good {
                heard.accepted(now);
            } else {
                heard.refused(cause.unwrap_or(FAILED), now);
            }
        });
    }
    response
}

fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    headers
        .get("traceparent")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
