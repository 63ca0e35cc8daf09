//! The admin API without a socket, for commands that open the database themselves.
//!
//! Invariant: it uses the routes and handlers of the listener, so its answers are equal.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::admission::RequestLimit;
use super::admission::bodies::Bodies;
use super::refusals::Refusals;
use super::routes::admin_router;
use super::state::AppState;
use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::operators::Operators;
use crate::sources::Sources;

/// A body as a stream of pieces.
pub type Pieces = BoxStream<'static, Result<Bytes, Box<dyn Error + Send + Sync>>>;

/// The admin listener as a function.
#[derive(Debug)]
pub struct InProcess(Router);

impl InProcess {
    /// Serves the API without the console. If no token is configured, none is needed.
    pub fn new(operators: Operators) -> Self {
        let state = AppState {
            store: operators.store().clone(),
            sources: Sources::default(),
            clock: operators.clock(),
            body_limit: 0,
            bodies: Bodies::new(0),
            read_timeout: Duration::MAX,
            metrics: Metrics::default(),
            refusals: Refusals::default(),
            webhook_limit: RequestLimit::new("webhooks", 0, Metrics::default()),
            admin_limit: RequestLimit::new("admin", usize::MAX, Metrics::default()),
            // The receiving end is dropped, so a reload is answered: there is no daemon.
            reloads: mpsc::channel(1).0,
            operators,
        };
        Self(admin_router(Live::new(state), Router::new()))
    }

    /// Answers a request. Neither body is held in memory.
    pub async fn exchange(&self, request: Request<Pieces>) -> Response<Pieces> {
        let request = request.map(Body::from_stream);
        let Ok(response) = self.0.clone().oneshot(request).await;
        response.map(|body| body.into_data_stream().map_err(Into::into).boxed())
    }
}
