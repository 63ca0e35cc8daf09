//! Errors as senders and operators see them: `application/problem+json` (RFC 9457).
//!
//! Invariant: the detail says what is wrong and what to do; it never holds a body, a secret or the
//! inner text of a fault of ours.

use std::any::Any;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::csrf::ProtectionError;
use utoipa::ToSchema;

use crate::operator::Refusal;
use crate::store::StoreError;

/// Seconds after which a sender should try again when nothing could be stored.
const RETRY_SECONDS: u32 = 5;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    index: Option<usize>,
    errors: Vec<LineFault>,
    more: u64,
    problems: Vec<String>,
}

/// What is wrong with one line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LineFault {
    /// Counted from 1, with the header line.
    pub(super) line: u64,
    /// What is wrong with it.
    pub(super) detail: String,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Always `about:blank`: the status says the kind.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status.
    status: u16,
    /// What is wrong and what to do.
    detail: &'a str,
    /// Of a batch: the element that is meant, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// Of an import: the faulty lines, at most the first hundred.
    #[serde(skip_serializing_if = "<[LineFault]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [LineFault],
    /// Of an import: how many more lines are faulty.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    more: u64,
    /// Of a reload: what is wrong with the configuration, as `check` says it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(required = false)]
    problems: &'a [String],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Problem {
    /// An error with a status and its explanation.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            index: None,
            errors: Vec::new(),
            more: 0,
            problems: Vec::new(),
        }
    }

    /// The same about one element of a batch.
    #[must_use]
    pub fn at_index(self, index: Option<usize>) -> Self {
        Self { index, ..self }
    }

    /// The same about lines of a file, and how many more there are.
    #[must_use]
    pub(super) fn about_lines(self, errors: Vec<LineFault>, more: u64) -> Self {
        Self {
            errors,
            more,
            ..self
        }
    }

    /// The same about faults of the configuration.
    #[must_use]
    pub(super) fn about_configuration(self, problems: Vec<String>) -> Self {
        Self { problems, ..self }
    }

    /// Nothing was stored; the sender should try again.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the event could not be stored now; send it again",
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(what) => {
                tracing::error!(
                    what,
                    "the database holds a value that does not belong there"
                );
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "a stored value is damaged; see the log",
                )
            }
            StoreError::Unavailable(_) | StoreError::Overloaded | StoreError::Closed => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not take this now; try again",
            ),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Store(error) => return error.into(),
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::Missing(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Stale => return super::api::failed(),
        };
        Self::new(status, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            index: self.index,
            errors: &self.errors,
            more: self.more,
            problems: &self.problems,
        };
        let json = serde_json::to_vec(&body).expect("strings and numbers are JSON");
        let mut response = (self.status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// For paths that do not exist.
pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nothing is served at this path")
}

/// For paths that exist, with another method.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path takes another method; see Allow",
    )
}

/// For what a page of another site has a browser send.
pub(super) fn cross_site(_error: ProtectionError) -> Response {
    let detail =
        "a page of another site sent this; the admin API takes it from programs and its own pages";
    Problem::new(StatusCode::FORBIDDEN, detail).into_response()
}

/// For a fault of ours. The sender should send again: nothing was acknowledged.
pub(super) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has logged it; its text may hold anything, so it goes no further.
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a fault of ours; it is in the log",
    )
    .into_response()
}
