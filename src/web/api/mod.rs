//! The admin API, `/api/v1`: JSON requests and answers, lists with a cursor, mappings as files.

mod audit;
mod auth;
mod conditions;
mod conflicts;
mod connects;
mod erase;
mod events;
mod export;
mod import;
mod input;
mod links;
mod list;
mod mappings;
mod parked;
mod reload;
mod replicas;
mod stats;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{method_not_allowed, not_found};
use super::state::AppState;
use crate::edge::live::Live;
use auth::Scope;
pub use import::MAX_FILE as MAX_IMPORT;

/// Path of the API.
pub(super) const PREFIX: &str = "/api/v1";

/// All routes, each with a check of the token's scope.
pub(super) fn router(state: &Live<AppState>) -> Router<Live<AppState>> {
    let check = |scope| from_fn_with_state((state.clone(), scope), auth::check);
    let (for_mappings, _) = for_mappings().split_for_parts();
    let (for_all, _) = for_all().split_for_parts();
    let for_mappings = for_mappings
        .method_not_allowed_fallback(method_not_allowed)
        .layer(check(Scope::Mappings));
    let for_all = for_all
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(check(Scope::All));
    for_all.merge(for_mappings)
}

/// Routes that a token for mappings may use.
pub(super) fn for_mappings() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(mappings::list))
        .routes(routes!(import::import))
        .routes(routes!(export::mappings::export))
        .routes(routes!(mappings::put, mappings::get, mappings::delete))
}

/// Routes that need a token for everything. A read-only token may use GET.
pub(super) fn for_all() -> OpenApiRouter<Live<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::replay_many))
        .routes(routes!(events::mentions::find))
        .routes(routes!(events::get))
        .routes(routes!(events::replay))
        .routes(routes!(parked::list))
        .routes(routes!(links::list))
        .routes(routes!(links::remove))
        .routes(routes!(erase::erase))
        .routes(routes!(erase::erase_mentions))
        .routes(routes!(stats::get))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::decide))
        .routes(routes!(audit::list))
        .routes(routes!(export::audit::export))
        .routes(routes!(connects::pause))
        .routes(routes!(connects::resume))
        .routes(routes!(reload::reload))
        .routes(routes!(replicas::list))
}
