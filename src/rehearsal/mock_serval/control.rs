//! The stand-in's own paths: its faults and its journal.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;

use super::fault::Fault;
use super::reply::data;
use super::state::Shared;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_faults", get(faults).put(set_faults).delete(clear_faults))
        .route("/_requests", get(requests).delete(clear))
        .route("/_connects", get(connects))
}

async fn faults(State(shared): State<Arc<Shared>>) -> Response {
    data(&shared.state().faults)
}

/// Takes a JSON list of faults, each in its text form.
async fn set_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Vec<Fault>>(&body) {
        Ok(faults) => {
            shared.state().faults.clone_from(&faults);
            data(&faults)
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.state().faults.clear();
    StatusCode::NO_CONTENT
}

async fn requests(State(shared): State<Arc<Shared>>) -> Response {
    let requests = shared.state().journal.requests.clone();
    data(&requests)
}

async fn connects(State(shared): State<Arc<Shared>>) -> Response {
    let connects = shared.state().journal.connects.clone();
    data(&connects)
}

async fn clear(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.state().journal.clear();
    shared.changed();
    StatusCode::NO_CONTENT
}
