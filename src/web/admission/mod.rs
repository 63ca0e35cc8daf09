//! Refuses requests before any of their body is read: those beyond a limit, and compressed ones.
//!
//! Invariant: liveness, readiness and metrics do not count towards the request limit, so that they
//! answer under any load. Unknown paths do not count either, since they cost almost nothing.

pub(super) mod bodies;
mod buffer;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::listener::Place;
use super::problem::Problem;
use crate::edge::metrics::Metrics;

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

    /// The answer to a request on a connection beyond the limit; `None`: it may go on.
    pub(super) fn refuse_beyond(&self, request: &Request) -> Option<Response> {
        let place: &Place = request.extensions().get()?;
        if !place.is_over_limit() {
            return None;
        }
        self.0.metrics.turned_away(self.0.listener, "connection");
        let mut response = turned_away("connections", "connection_limit").into_response();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        Some(response)
    }

    /// Takes a permit for a request, which lasts until it is dropped. The error is the answer.
    pub(super) fn permit(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.0.free.try_acquire().map_err(|_| {
            self.0.metrics.turned_away(self.0.listener, "request");
            turned_away("requests", "request_limit")
        })
    }
}

/// Middleware: lets a request pass if there is a permit for it.
pub(super) async fn admit(
    State(limit): State<RequestLimit>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(refused) = limit.refuse_beyond(&request) {
        return refused;
    }
    match limit.permit() {
        Ok(_permit) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn turned_away(of: &str, limit: &'static str) -> Problem {
    let detail = format!("too many {of} at once; nothing was stored, send it again");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    problem.because(limit)
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
