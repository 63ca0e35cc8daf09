//! The operator console: pages for the person who is asked why a ticket is not in Serval.
//!
//! Rendered here, by templates that are compiled in and escape what they show. Every page works
//! without a script; ours refreshes, shows times in the viewer's zone and selects many at once.
//!
//! Invariant: a page reads the store and acts through the [`Desk`](crate::operator::Desk), as the API
//! does; no rule about tickets stands here. A form is read only by [`form`], which checks where it
//! comes from. No page, script or style comes from another host, and no payload is shown unasked.

mod access;
mod assets;
mod audit;
mod chart;
mod conflicts;
mod dead;
mod event;
mod events;
mod fault;
mod find;
mod flash;
mod form;
mod headers;
mod href;
mod json;
mod login;
mod mappings;
mod overview;
mod page;
mod paging;
mod parked;
mod payload;
mod sessions;
mod switch;
mod ticket;
mod time;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::operator::Desk;
use sessions::Sessions;

/// The largest form: a page of parked tickets, each with an id.
const FORM_LIMIT: usize = 256 * 1024;

/// What the pages share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Console(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    desk: Desk,
    sessions: Sessions,
}

impl Console {
    /// At this desk. An error: the system has no random bytes.
    pub fn new(desk: Desk) -> Result<Self, getrandom::Error> {
        let sessions = Sessions::new()?;
        Ok(Self(Arc::new(Parts { desk, sessions })))
    }

    fn desk(&self) -> &Desk {
        &self.0.desk
    }

    fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }
}

/// The pages, to stand beside the API.
pub fn routes<S: Clone + Send + Sync + 'static>(console: Console) -> Router<S> {
    let inside = Router::new()
        .route("/", get(overview::show))
        .route("/connects", post(switch::set))
        .route("/find", get(find::show))
        .route("/tickets/{source}/{external_id}", get(ticket::show))
        .route("/tickets/{source}/{external_id}/map", post(ticket::map))
        .route(
            "/tickets/{source}/{external_id}/release",
            post(ticket::release),
        )
        .route(
            "/tickets/{source}/{external_id}/replay",
            post(ticket::replay),
        )
        .route(
            "/tickets/{source}/{external_id}/payload",
            post(ticket::reveal),
        )
        .route(
            "/tickets/{source}/{external_id}/forget",
            get(ticket::confirm_forget).post(ticket::forget),
        )
        .route("/parked", get(parked::show).post(parked::map))
        .route("/dead", get(dead::show).post(dead::replay_selected))
        .route("/dead/replay", get(dead::confirm).post(dead::replay_all))
        .route("/conflicts", get(conflicts::show))
        .route("/conflicts/{id}", post(conflicts::decide))
        .route("/events", get(events::show))
        .route("/events/{id}", get(event::show))
        .route("/events/{id}/replay", post(event::replay))
        .route("/events/{id}/payload", post(event::reveal))
        .route("/mappings", get(mappings::show))
        .route("/audit", get(audit::show))
        .route("/logout", post(login::log_out))
        .layer(from_fn_with_state(console.clone(), access::guard));
    let open = Router::new()
        .route("/login", get(login::show).post(login::log_in))
        .route("/assets/{name}", get(assets::serve));
    inside
        .merge(open)
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(from_fn(headers::secure))
        .with_state(console)
}

/// Shows the problems of `router`, the whole of the listener, as pages to those who read pages.
pub fn with_pages(router: Router) -> Router {
    router.layer(from_fn(fault::as_page))
}
