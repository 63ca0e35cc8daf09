//! What is turned away before anything of it is read: requests beyond the limit, and bodies that
//! would have to be unpacked.
//!
//! Invariant: liveness, readiness and metrics are not counted, so that they answer in any crowd. Nor is
//! what nothing is done for, such as a path that leads nowhere.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::Problem;
use crate::metrics::Metrics;

/// Marks the requests of a connection beyond the listener's limit.
#[derive(Debug, Clone, Copy)]
pub struct Crowded;

/// The places for requests of one listener. Clones share them.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    limit: usize,
    free: Semaphore,
    /// Whether it has been said that there is none left.
    is_said: AtomicBool,
    metrics: Metrics,
}

impl Places {
    /// So many for the listener of this name.
    pub fn new(name: &'static str, limit: usize, metrics: Metrics) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            name,
            limit,
            free: Semaphore::new(limit),
            is_said: AtomicBool::new(false),
            metrics,
        }))
    }

    /// The listener, and how many of its places are taken.
    pub(super) fn taken(&self) -> (&'static str, usize) {
        let free = self.0.free.available_permits();
        (self.0.name, self.0.limit.saturating_sub(free))
    }

    /// Has a request answered that has a place, and tells others to come back.
    pub(super) async fn admit<F: Future<Output = Response>>(
        &self,
        request: Request,
        answer: impl FnOnce(Request) -> F,
    ) -> Response {
        let inner = &*self.0;
        if request.extensions().get::<Crowded>().is_some() {
            inner.metrics.turned_away(inner.name, "connection");
            let mut response = turned_away("connections");
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            return response;
        }
        let Ok(_place) = inner.free.try_acquire() else {
            inner.metrics.turned_away(inner.name, "request");
            if !inner.is_said.swap(true, Ordering::Relaxed) {
                let (listener, limit) = (inner.name, inner.limit);
                tracing::warn!(listener, limit, "request_limit is reached: more get 503");
            }
            return turned_away("requests");
        };
        let response = answer(request).await;
        if inner.free.available_permits() > inner.limit / 2 {
            inner.is_said.store(false, Ordering::Relaxed);
        }
        response
    }
}

/// Lets the requests pass that have a place.
pub(super) async fn admit(State(places): State<Places>, request: Request, next: Next) -> Response {
    places.admit(request, |request| next.run(request)).await
}

fn turned_away(of: &str) -> Response {
    let detail = format!("too many {of} at once; nothing of it was kept, send it again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}

/// Refuses packed bodies: a signature covers the bytes that came, and a small body must not become
/// a large one.
pub(super) async fn unpacked(request: Request, next: Next) -> Response {
    let is_packed = request
        .headers()
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| {
            let codings = value.as_bytes().split(|byte| *byte == b',');
            let mut codings = codings
                .map(<[u8]>::trim_ascii)
                .filter(|coding| !coding.is_empty());
            codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
        });
    if is_packed {
        let detail = "compressed bodies are not taken: send it without Content-Encoding";
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).into_response();
    }
    next.run(request).await
}
