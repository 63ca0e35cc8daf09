//! The admin API, `/api/v1`: JSON in and out, lists by cursor, mappings as files.

#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
mod audit;
mod auth;
mod conditions;
#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
mod conflicts;
mod connects;
mod erase;
mod event_views;
#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
mod events;
#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
mod export;
mod import;
mod input;
#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
mod mappings;
#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
mod parked;
mod reload;
mod stats;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::problem::{method_not_allowed, not_found};
use crate::live::Live;
pub(super) use conditions::failed;
pub(super) use event_views::state_words;
pub use import::MAX_FILE as MAX_IMPORT;

/// Where it is served.
pub(super) const PREFIX: &str = "/api/v1";

/// The routes, each behind the tokens of its scope.
pub(super) fn router(state: &Live<AppState>) -> Router<Live<AppState>> {
    let (for_mappings, _) = for_mappings().split_for_parts();
    let (for_all, _) = for_all().split_for_parts();
    let for_mappings = for_mappings
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), auth::for_mappings));
    let for_all = for_all
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), auth::for_all));
    for_all.merge(for_mappings)
}

/// What a token for mappings opens.
pub(super) fn for_mappings() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(mappings::list))
        .routes(routes!(import::import))
        .routes(routes!(export::export))
        .routes(routes!(mappings::put, mappings::get, mappings::delete))
}

/// What only a token that may do all opens.
pub(super) fn for_all() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::replay_many))
        .routes(routes!(events::get))
        .routes(routes!(events::replay))
        .routes(routes!(parked::list))
        .routes(routes!(erase::erase))
        .routes(routes!(stats::get))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::decide))
        .routes(routes!(audit::list))
        .routes(routes!(connects::pause))
        .routes(routes!(connects::resume))
        .routes(routes!(reload::reload))
}
