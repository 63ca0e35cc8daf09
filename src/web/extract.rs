//! Extractors whose refusals are problems, like all errors.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::plain::plain;
use super::problem::Problem;

/// Parameters of the path, decoded.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        // All parameters are strings, so the only possible fault is text that is not UTF-8.
        found
            .map(|axum::extract::Path(names)| Self(names))
            .map_err(|_| {
                let detail = "the path is not UTF-8, so it names nothing that is served";
                Problem::new(StatusCode::NOT_FOUND, detail)
            })
    }
}

/// Parameters of the query.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Query::from_request_parts(parts, state).await;
        found
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, plain(&error.body_text())))
    }
}

/// A whole body, within axum's limit of 2 MiB.
pub(super) struct RawBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|rejection| {
            let (cause, detail) = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    ("body_too_large", "the body is larger than 2 MiB")
                }
                _ => ("body_incomplete", "the body did not arrive whole"),
            };
            Problem::new(rejection.status(), detail).because(cause)
        })
    }
}
