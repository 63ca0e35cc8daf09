//! The routes of both listeners, and their description as an OpenAPI document.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::AppState;
use super::{
    admission, api, browsers, health, metrics, observe, openapi, problem, ready, webhooks,
};
use crate::edge::live::Live;

/// Routes of the public listener: webhooks and liveness, nothing else.
pub fn public_router(state: Live<AppState>) -> Router {
    let (routes, _) = public_routes().split_for_parts();
    routes
        // Many senders' forms end a URL with a slash. It is no path of its own, so it is not described.
        .route("/webhooks/{source}/", post(webhooks::receive))
        .route("/webhooks/{source}/{table}/", post(webhooks::receive_table))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // Each layer allocates for every request, so there are only these two.
        .layer((
            // The outer layer also counts the answers to panics.
            from_fn_with_state(state.clone(), observe::observe),
            CatchPanicLayer::custom(problem::panicked),
        ))
        .with_state(state)
}

/// Routes of the admin listener: the API, and the pages of `console`.
pub fn admin_router(state: Live<AppState>, console: Router<Live<AppState>>) -> Router {
    let (open, _) = open_admin_routes().split_for_parts();
    let limit = from_fn_with_state(state.now().admin_limit.clone(), admission::admit);
    let api = api::router(&state).layer(limit.clone());
    open.nest(api::PREFIX, api)
        .merge(console.layer(limit))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // A loopback listener without tokens is open to all programs of this machine. Pages of other
        // sites, which a browser on this machine shows, are still refused.
        .layer(CsrfLayer::new().with_rejection_response(problem::cross_site))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(admission::refuse_compressed))
        .layer(from_fn_with_state(state.clone(), browsers::protect))
        .with_state(state)
}

fn public_routes() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::receive))
        .routes(routes!(webhooks::receive_table))
        .routes(routes!(health::healthz))
}

/// Routes of the admin listener that need no token.
fn open_admin_routes() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(ready::readyz))
        .routes(routes!(metrics::get))
        .routes(routes!(serve_document))
}

/// The OpenAPI document as it is served, printed and checked in.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let document = openapi::describe(openapi::Groups {
            for_mappings: api::for_mappings().into_openapi(),
            for_all: api::for_all().into_openapi(),
            open_admin: open_admin_routes().into_openapi(),
            public: public_routes().into_openapi(),
        });
        let json = document.to_pretty_json();
        json.expect("the description is made of strings and numbers") + "\n"
    });
    &DOCUMENT
}

/// The description of both listeners
///
/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "get_openapi",
    tag = "health",
    responses((status = 200, body = Object)),
    security(())
)]
async fn serve_document() -> Response {
    ([(CONTENT_TYPE, "application/json")], document()).into_response()
}
