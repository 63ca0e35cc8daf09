//! Every webhook is counted and timed, and is a span of its sender's trace.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::{AppState, limits};
use crate::domain::ids::SourceName;
use crate::domain::trace::TraceParent;
use crate::telemetry::traces;

/// Where a webhook belongs in a trace: below its own span where spans are recorded, else where its
/// sender says.
#[derive(Debug, Clone)]
pub(super) struct Trace(pub(super) TraceParent);

/// Around every request of the public listener, and around what turns away packed bodies. Only
/// those below `/webhooks/` are looked at: what else the internet asks for is nobody's number.
pub(super) async fn observe(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(rest) = request.uri().path().strip_prefix("/webhooks/") else {
        return limits::unpacked(request, next).await;
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
    let sender = traceparent(request.headers());
    traces::continue_from(&span, sender.as_ref());
    if let Some(trace) = traces::traceparent(&span).or(sender) {
        request.extensions_mut().insert(Trace(trace));
    }
    let started = Instant::now();
    let answer = limits::unpacked(request, next);
    let response = answer.instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    state
        .metrics
        .webhook(source.as_ref(), status, started.elapsed());
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
