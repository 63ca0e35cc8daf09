//! Refuses requests before any of their body is read: those beyond a limit, and compressed ones.
//!
//! Invariant: liveness, readiness and metrics do not count towards the request limit, so that they
//! answer under any load. Unknown paths do not count either, since they cost almost nothing.

pub(super) mod bodies;
mod buffer;

use std::future::Future;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::edge::metrics::Metrics;

/// Marks each request on a connection beyond the listener's connection limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverLimit;

/// Limit of concurrent requests of one listener. Clones share it.
///
/// Why not tower's `ConcurrencyLimit` with `LoadShed`: the limit is also a metric, and does not apply to
/// all routes of a listener.
#[derive(Debug, Clone)]
pub struct RequestLimit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listener: &'static str,
    limit: usize,
    free: Semaphore,
    metrics: Metrics,
}

impl RequestLimit {
    /// Allows `limit` requests at once on the listener of this name.
    pub fn new(listener: &'static str, limit: usize, metrics: Metrics) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            listener,
            limit,
            free: Semaphore::new(limit),
            metrics,
        }))
    }

    /// Name of the listener, and its number of running requests.
    pub(super) fn in_flight(&self) -> (&'static str, usize) {
        let free = self.0.free.available_permits();
        (self.0.listener, self.0.limit.saturating_sub(free))
    }

    /// Runs the handler if a permit is free, else answers 503 with `Retry-After`.
    pub(super) async fn admit<F: Future<Output = Response>>(
        &self,
        request: Request,
        handler: impl FnOnce(Request) -> F,
    ) -> Response {
        let inner = &*self.0;
        if request.extensions().get::<OverLimit>().is_some() {
            inner.metrics.turned_away(inner.listener, "connection");
            let mut response = turned_away("connections", "connection_limit");
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            return response;
        }
        let Ok(_permit) = inner.free.try_acquire() else {
            inner.metrics.turned_away(inner.listener, "request");
            return turned_away("requests", "request_limit");
        };
        handler(request).await
    }
}

/// Middleware for [`RequestLimit::admit`].
pub(super) async fn admit(
    State(limit): State<RequestLimit>,
    request: Request,
    next: Next,
) -> Response {
    limit.admit(request, |request| next.run(request)).await
}

fn turned_away(of: &str, limit: &'static str) -> Response {
    let detail = format!("too many {of} at once; nothing was stored, send it again");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    problem.because(limit).into_response()
}

/// Refuses compressed bodies: a signature covers the bytes as sent, and a small body must not expand
/// to a large one.
pub(super) async fn refuse_compressed(request: Request, next: Next) -> Response {
    let fields = request.headers().get_all(CONTENT_ENCODING).iter();
    let mut codings = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let is_plain = codings.all(|coding| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    });
    if is_plain {
        return next.run(request).await;
    }
    let detail = "compressed bodies are not accepted: send it without Content-Encoding";
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    problem.because("compressed").into_response()
}
