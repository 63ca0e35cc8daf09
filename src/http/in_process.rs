//! The admin API without a socket, for commands that hold the database themselves.
//!
//! Invariant: the same routes and handlers as behind the listener, so the same answers.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use tower::ServiceExt as _;

use super::{AppState, admin_router};
use crate::live::Live;

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
}
