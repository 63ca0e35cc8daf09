//! The two listeners: one that faces the senders, one for operators.
//!
//! Invariant: an answer of 2xx to a webhook is made only from what the store has committed.

pub mod api;
mod extract;
mod health;
mod in_process;
mod limits;
mod metrics;
mod observe;
mod openapi;
mod problem;
mod ready;
mod webhooks;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock::SharedClock;
use crate::delivery::Monitor;
use crate::domain::ids::SourceName;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::operator::{Desk, Policy};
use crate::reload::Reloads;
use crate::sources::{DropFields, Source};
use crate::store::Store;
pub use api::MAX_IMPORT;
pub use in_process::{InProcess, Pieces};
pub use limits::{Crowded, Places};
#[cfg(feature = "otel")]
pub(crate) use metrics::page as metrics_page;
pub use openapi::document;
pub use problem::Problem;

/// A source as the listeners see it.
#[derive(Debug)]
pub struct MountedSource {
    /// How it authenticates and reads.
    pub source: Box<dyn Source>,
    /// What of its objects is neither stored nor sent.
    pub drop_fields: DropFields,
    /// How long its events may be parked, in milliseconds.
    pub park_for_ms: i64,
    /// Whether it keeps the bodies of ignored events.
    pub keep_ignored_bodies: bool,
    /// Whether changed records of a connected external ticket are sent again.
    pub reconnects: bool,
    /// Whether a changed mapping takes the old pair apart at Serval.
    pub disconnects_old: bool,
    /// Whether one Serval ticket may have several external tickets of the source.
    pub several_per_ticket: bool,
}

/// The configured sources by name.
pub type Sources = HashMap<SourceName, MountedSource>;

/// What the listeners share. A reload puts another one in its place; a request is handled with the
/// one that was in force when it came.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The store.
    pub store: Store,
    /// The configured sources.
    pub sources: Arc<Sources>,
    /// Tells the time.
    pub clock: SharedClock,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// How long a sender may take for its body.
    pub read_timeout: std::time::Duration,
    /// The worker, as operators see it.
    pub monitor: Monitor,
    /// What operators watch.
    pub metrics: Metrics,
    /// Where operators act.
    pub desk: Desk,
    /// The places for webhooks.
    pub webhook_places: Places,
    /// The places for calls of operators.
    pub admin_places: Places,
    /// Asks for a reload.
    pub reloads: Reloads,
}

/// What of the sources' configuration decides about what operators do.
pub fn policies(sources: &Sources) -> HashMap<SourceName, Policy> {
    let policy = |source: &MountedSource| Policy {
        kind: source.source.kind(),
        disconnects_old: source.disconnects_old,
        several_per_ticket: source.several_per_ticket,
    };
    let named = sources.iter();
    named
        .map(|(name, source)| (name.clone(), policy(source)))
        .collect()
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

/// The listener that faces the internet: webhooks and liveness, nothing else.
pub fn public_router(state: Live<AppState>) -> Router {
    let (webhooks, _) = webhook_routes().split_for_parts();
    let (health, _) = OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .split_for_parts();
    webhooks
        .merge(health)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // As few layers as will do: each is allocated anew for every request, with all below it.
        .layer((
            // Outside of the panics, so that their answers are counted, too.
            from_fn_with_state(state.clone(), observe::observe),
            CatchPanicLayer::custom(problem::panicked),
        ))
        .with_state(state)
}

/// The listener for operators, with the pages of `console` beside the API.
pub fn admin_router(state: Live<AppState>, console: Router<Live<AppState>>) -> Router {
    let (open, _) = open_admin_routes().split_for_parts();
    let places = state.now().admin_places.clone();
    let crowd = from_fn_with_state(places, limits::admit);
    let api = api::router(&state).layer(crowd.clone());
    open.nest(api::PREFIX, api)
        .merge(console.layer(crowd))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // Without a token a loopback listener is open to whoever reaches it: programs of this machine,
        // but not the pages that a browser on it shows.
        .layer(CsrfLayer::new().with_rejection_response(problem::cross_site))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(limits::unpacked))
        .with_state(state)
}

/// What faces the internet.
fn public_routes() -> OpenApiRouter<Live<AppState>> {
    webhook_routes().routes(routes!(health::healthz))
}

fn webhook_routes() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::receive))
        .routes(routes!(webhooks::receive_table))
}

/// What operators and their machines reach without a token.
fn open_admin_routes() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(ready::readyz))
        .routes(routes!(metrics::get))
        .routes(routes!(openapi::serve))
}

#[cfg(test)]
mod tests;
