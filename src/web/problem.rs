//! Errors of the API and of webhooks: `application/problem+json` (RFC 9457).
//!
//! Invariant: the detail tells what is wrong and what to do. It never holds a body, a secret or the text
//! of an internal error.

use std::any::Any;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::csrf::ProtectionError;
use utoipa::ToSchema;

use crate::operators::Refusal;
use crate::store::StoreError;

/// Value of `Retry-After` in a 503.
const RETRY_SECONDS: u32 = 5;

/// A fault in one line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct LineFault {
    /// Number of the line, from 1. The header line counts.
    pub(super) line: u64,
    /// The fault.
    pub(super) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Type {
    #[serde(rename = "about:blank")]
    Blank,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status tells the kind of error.
    #[schema(value_type = String)]
    r#type: Type,
    /// Name of the status.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// The error, and what to do.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// For a batch: the faulty element, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    /// For an import: the faulty lines, at most the first hundred.
    #[serde(skip_serializing_if = "<[LineFault]>::is_empty")]
    #[schema(required = false, value_type = Vec<LineFault>)]
    pub(super) errors: Box<[LineFault]>,
    /// For an import: number of further faulty lines.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    pub(super) more: u64,
    /// For a reload: the faults of the configuration, as `check` reports them.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(required = false, value_type = Vec<String>)]
    pub(super) problems: Box<[String]>,
    /// Value of `Retry-After`, in seconds.
    #[serde(skip)]
    retry_after: Option<u32>,
    /// Word for the log.
    #[serde(skip)]
    cause: Option<&'static str>,
}

/// Stays with the answer, for the log.
#[derive(Debug, Clone)]
pub(super) struct RefusedFor {
    pub(super) cause: &'static str,
    pub(super) detail: Box<str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Problem {
    /// An error with a status and its explanation.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: Type::Blank,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into().into(),
            index: None,
            errors: Box::default(),
            more: 0,
            problems: Box::default(),
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_SECONDS),
            cause: None,
        }
    }

    /// Has the refusal logged, with this word as the cause.
    pub(super) fn because(mut self, cause: &'static str) -> Self {
        self.cause = Some(cause);
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Refusal::from(error).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        if let Refusal::Stale = refusal {
            // A program sent this condition as a header, so its answer names the header.
            let detail = "the mapping is not what If-Match or If-None-Match asks for; read it again, \
                          then decide";
            return Self::new(StatusCode::PRECONDITION_FAILED, detail);
        }
        Self::new(refusal.status(), refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("it was made of a StatusCode");
        let json = serde_json::to_vec(&self).expect("strings and numbers are JSON");
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // A detail without a cause may repeat words of the request, which no log takes.
        let usual = usual_cause(self.status).map(|cause| (cause, self.title.into()));
        let refused = self.cause.map(|cause| (cause, self.detail)).or(usual);
        if let Some((cause, detail)) = refused {
            response
                .extensions_mut()
                .insert(RefusedFor { cause, detail });
        }
        response
    }
}

/// Cause of a refusal that names no other.
fn usual_cause(status: u16) -> Option<&'static str> {
    match status {
        400 => Some("bad_request"),
        404 => Some("not_found"),
        409 => Some("conflict"),
        412 => Some("precondition"),
        422 => Some("invalid"),
        _ => None,
    }
}

/// Answer for an unknown path.
pub(super) async fn not_found() -> Problem {
    let detail = "nothing is served at this path: webhooks go to /webhooks/<source> of server.listen, and the \
                  API is under /api/v1 of admin.listen";
    Problem::new(StatusCode::NOT_FOUND, detail).because("not_found")
}

/// Answer for a known path with another method.
pub(super) async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!(
        "this path does not take {method}; the header Allow of this answer names what it takes"
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).because("method")
}

/// Answer for a request that a page of another site made a browser send.
pub(super) fn cross_site(_error: ProtectionError) -> Response {
    let detail =
        "a page of another site sent this; the admin API takes it from programs and its own pages";
    let problem = Problem::new(StatusCode::FORBIDDEN, detail);
    problem.because("cross_site").into_response()
}

/// Answer for a panic. The sender should send again: nothing was acknowledged.
pub(super) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has logged it. Its text may quote a body, so it is not sent.
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a fault of ours; it is in the log",
    )
    .into_response()
}
