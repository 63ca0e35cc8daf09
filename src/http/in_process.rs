//! The admin API without a socket, for commands that hold the database themselves.
//!
//! Invariant: the same routes and handlers as behind the listener, so the same answers.

use std::error::Error;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use tower::ServiceExt as _;

use super::{AppState, admin_router};
use crate::live::Live;

/// A body as it comes, one piece after the other.
pub type Pieces = BoxStream<'static, Result<Bytes, Box<dyn Error + Send + Sync>>>;

/// The operators' listener as a function.
#[derive(Debug)]
pub struct InProcess(Router);

impl InProcess {
    /// Over this state, without the console. Whose tokens are empty asks for none.
    pub fn new(state: AppState) -> Self {
        Self(admin_router(Live::new(state), Router::new()))
    }

    /// Answers a request with its status and its body. An answer that breaks off is a 500 without
    /// a body.
    pub async fn call(&self, request: Request<Bytes>) -> (StatusCode, Bytes) {
        let Ok(response) = self.0.clone().oneshot(request.map(Body::from)).await;
        let status = response.status();
        match to_bytes(response.into_body(), usize::MAX).await {
            Ok(body) => (status, body),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
        }
    }

    /// The same for bodies that are too large to be held.
    pub async fn exchange(&self, request: Request<Pieces>) -> Response<Pieces> {
        let request = request.map(Body::from_stream);
        let Ok(response) = self.0.clone().oneshot(request).await;
        response.map(|body| body.into_data_stream().map_err(Into::into).boxed())
    }
}
