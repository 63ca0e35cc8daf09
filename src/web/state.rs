//! Shared state of the handlers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use tokio::sync::mpsc;

use super::admission::RequestLimit;
use super::admission::bodies::Bodies;
use super::refusals::Refusals;
use crate::edge::clock::SharedClock;
use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::operators::Operators;
use crate::operators::reload::ReloadRequest;
use crate::sources::Sources;
use crate::store::Store;

/// State that both listeners share. A reload replaces it; a request keeps the one with which it began.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The store.
    pub store: Store,
    /// The configured sources.
    pub sources: Sources,
    /// The clock.
    pub clock: SharedClock,
    /// Size limit of a webhook's body, in bytes.
    pub body_limit: usize,
    /// The budget of bytes for all bodies.
    pub bodies: Bodies,
    /// Time limit for reading a body.
    pub read_timeout: Duration,
    /// The metrics.
    pub metrics: Metrics,
    /// Counts and logs refused requests.
    pub refusals: Refusals,
    /// Everything that operators can see and do.
    pub operators: Operators,
    /// Limit of concurrent webhooks.
    pub webhook_limit: RequestLimit,
    /// Limit of concurrent requests of operators.
    pub admin_limit: RequestLimit,
    /// Sends requests to reload.
    pub reloads: mpsc::Sender<ReloadRequest>,
}

impl FromRef<Live<AppState>> for AppState {
    fn from_ref(live: &Live<AppState>) -> Self {
        Self::clone(&live.now())
    }
}

impl FromRef<Live<AppState>> for Arc<AppState> {
    fn from_ref(live: &Live<AppState>) -> Self {
        live.now()
    }
}
