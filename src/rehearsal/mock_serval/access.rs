//! The token endpoint. It checks the credentials and the form strictly.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use serde_json::json;

use super::reply::has_type;
use super::state::Shared;
use crate::serval::Code;

/// Lifetime of a token in seconds, if the answer does not state it.
const UNSTATED_LIFE: u64 = 3600;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v2/auth/token", post(issue))
}

/// True if the client credentials of a token request are right.
pub(super) fn knows(shared: &Shared, headers: &HeaderMap) -> bool {
    let expected = format!(
        "{}:{}",
        shared.config.client_id,
        shared.config.client_secret.expose_secret()
    );
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|pair| STANDARD.decode(pair).ok())
        .is_some_and(|pair| pair == expected.as_bytes())
}

async fn issue(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let refuse = |code, message: &str| shared.refuse(code, message);
    if !knows(&shared, &headers) {
        return refuse(
            Code::Unauthenticated,
            "HTTP Basic with the client id and the client secret is required",
        );
    }
    if !has_type(&headers, "application/x-www-form-urlencoded") {
        return refuse(
            Code::InvalidArgument,
            "the content type must be application/x-www-form-urlencoded",
        );
    }
    if body != "grant_type=client_credentials" {
        return refuse(
            Code::InvalidArgument,
            "the body must be grant_type=client_credentials",
        );
    }
    let life = Duration::from_secs(shared.config.expires_in.unwrap_or(UNSTATED_LIFE));
    let token = shared.state().issue_token(life);
    let mut answer = json!({"access_token": token, "token_type": "Bearer"});
    if let Some(seconds) = shared.config.expires_in {
        answer["expires_in"] = seconds.into();
    }
    Json(answer).into_response()
}
