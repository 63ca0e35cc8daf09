//! What axum takes out of a request, with refusals in the form that all errors have.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;

/// The parameters of a path, decoded.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        // Names are text, so nothing has a name that is none.
        found
            .map(|axum::extract::Path(names)| Self(names))
            .map_err(|_| {
                let detail = "the path is not UTF-8, so it names nothing that is served";
                Problem::new(StatusCode::NOT_FOUND, detail)
            })
    }
}

/// A whole body, within the limit of all bodies of the admin API.
pub(super) struct RawBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|rejection| {
            let detail = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than 2 MiB",
                _ => "the body did not arrive whole",
            };
            Problem::new(rejection.status(), detail)
        })
    }
}
