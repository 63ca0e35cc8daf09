//! The admin API, `/api/v1`: JSON in and out, lists by cursor.

mod auth;
mod conflicts;
mod connects;
mod erase;
mod events;
mod input;
mod mappings;
mod parked;
mod stats;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

use super::AppState;
pub use auth::AdminTokens;

/// The routes, behind the tokens.
pub(super) fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/mappings", get(mappings::list))
        .route(
            "/mappings/{source}/{external_id}",
            put(mappings::put)
                .get(mappings::get)
                .delete(mappings::delete),
        )
        .route("/events", get(events::list))
        .route("/events/replay", post(events::replay_many))
        .route("/events/{id}", get(events::get))
        .route("/events/{id}/replay", post(events::replay))
        .route("/erase", post(erase::erase))
        .route("/parked", get(parked::list))
        .route("/stats", get(stats::get))
        .route("/conflicts", get(conflicts::list))
        .route("/conflicts/{id}", post(conflicts::decide))
        .route("/connects/pause", post(connects::pause))
        .route("/connects/resume", post(connects::resume))
        .fallback(super::problem::not_found)
        .method_not_allowed_fallback(super::problem::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), auth::require_token))
}
