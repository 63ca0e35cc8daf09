//! The operator console: pages for the person who is asked why a ticket is not in Serval.
//!
//! Pages are rendered by templates that are compiled in and escape all values. Every page works without
//! a script. Our script refreshes pages, shows times in the viewer's zone and selects many rows at once.
//!
//! Invariant: a page reads the store and acts through [`Operators`](crate::operators::Operators), as the
//! API does; no rule about tickets is here. Only [`frame::Form`] reads forms, and checks that they come
//! from a page of ours. No page, script or style comes from another host, and a payload is shown only on
//! request.

mod frame;
mod pages;
mod session;
mod state;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};

use frame::Fault;
pub use state::Console;

/// Largest form in bytes: a page of parked tickets, each with an id.
const FORM_LIMIT: usize = 256 * 1024;

/// The pages.
pub fn routes<S: Clone + Send + Sync + 'static>(console: Console) -> Router<S> {
    // Every route here is behind the guard. Only the login and the assets are open.
    let inside = Router::new()
        .route("/", get(pages::overview::show))
        .route("/connects", post(pages::switch::set))
        .route("/find", get(pages::find::show))
        .route("/tickets/{source}/{external_id}", get(pages::ticket::show))
        .route(
            "/tickets/{source}/{external_id}/map",
            post(pages::ticket::map),
        )
        .route(
            "/tickets/{source}/{external_id}/release",
            post(pages::ticket::release),
        )
        .route(
            "/tickets/{source}/{external_id}/disconnect",
            post(pages::ticket::disconnect),
        )
        .route(
            "/tickets/{source}/{external_id}/replay",
            post(pages::ticket::replay),
        )
        .route(
            "/tickets/{source}/{external_id}/payload",
            post(pages::ticket::reveal),
        )
        .route(
            "/tickets/{source}/{external_id}/forget",
            get(pages::ticket::confirm_forget).post(pages::ticket::forget),
        )
        .route("/parked", get(pages::parked::show).post(pages::parked::map))
        .route(
            "/dead",
            get(pages::dead::show).post(pages::dead::replay_selected),
        )
        .route(
            "/dead/replay",
            get(pages::dead::confirm).post(pages::dead::replay_all),
        )
        .route("/conflicts", get(pages::conflicts::show))
        .route("/conflicts/{id}", post(pages::conflicts::decide))
        .route("/events", get(pages::events::show))
        .route("/events/{id}", get(pages::event::show))
        .route("/events/{id}/replay", post(pages::event::replay))
        .route("/events/{id}/payload", post(pages::event::reveal))
        .route("/mappings", get(pages::mappings::show))
        .route("/audit", get(pages::audit::show))
        .route("/logout", post(session::login::log_out))
        .layer(from_fn_with_state(console.clone(), session::access::guard));
    let open = Router::new()
        .route(
            "/login",
            get(session::login::show).post(session::login::log_in),
        )
        .route("/assets/{name}", get(asset));
    inside
        .merge(open)
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(from_fn(frame::headers::secure))
        .with_state(console)
}

/// Shows the problems of `router`, which is the whole listener, as pages to browsers.
pub fn with_pages(router: Router) -> Router {
    router.layer(from_fn(frame::problem_page::as_page))
}

async fn asset(Path(name): Path<String>) -> Result<impl IntoResponse, Fault> {
    frame::assets::find(&name).ok_or_else(|| Fault::missing("No such file."))
}
