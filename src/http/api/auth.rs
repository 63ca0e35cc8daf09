//! Who may use the admin API: bearers of a configured token, within its scope.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::{AppState, Problem};
use crate::operator::{Access, Operator, is_loopback_host};

/// Lets requests with a token that may do all pass, and those that look with one that may look.
pub(super) async fn for_all(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let operator = match operator(&state, &request, "admin.tokens") {
        Ok(operator) => operator,
        Err(refusal) => return refusal,
    };
    match operator.access() {
        Access::All => run(operator, request, next).await,
        Access::Read if only_looks(&request) => run(operator, request, next).await,
        Access::Read => read_only(),
        Access::Mappings => {
            let detail =
                "this token may only read and write mappings; this needs one of admin.tokens";
            Problem::new(StatusCode::FORBIDDEN, detail).into_response()
        }
    }
}

/// Lets requests with a token for mappings pass, too.
pub(super) async fn for_mappings(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    match operator(&state, &request, "admin.tokens or admin.mapping_tokens") {
        Ok(operator) if operator.access() == Access::Read && !only_looks(&request) => read_only(),
        Ok(operator) => run(operator, request, next).await,
        Err(refusal) => refusal,
    }
}

async fn run(operator: Operator, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(operator);
    next.run(request).await
}

/// Who asks, or the refusal.
#[expect(
    clippy::result_large_err,
    reason = "made once, and sent as it is at once"
)]
fn operator(state: &AppState, request: &Request, keys: &str) -> Result<Operator, Response> {
    let host = request.headers().get(HOST);
    let is_foreign = host.is_some_and(|host| !host.to_str().is_ok_and(is_loopback_host));
    if is_foreign && state.desk.is_open() {
        let detail = "without admin.tokens only the names of this machine are answered, such as \
                      localhost; configure a token to use another";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response());
    }
    // Within the process there is no peer.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip());
    match state.desk.admit(peer, bearer(request)) {
        Ok(Some(operator)) => Ok(operator),
        Ok(None) => {
            let detail = format!("needs the header Authorization: Bearer with one of {keys}");
            Err(Problem::new(StatusCode::UNAUTHORIZED, detail).into_response())
        }
        Err(wait) => Err(throttled(wait)),
    }
}

fn throttled(wait: Duration) -> Response {
    let detail = "too many wrong tokens came from this address; it is not listened to for a while";
    let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

fn only_looks(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn read_only() -> Response {
    let detail = "this token may only look; this needs one of admin.tokens";
    Problem::new(StatusCode::FORBIDDEN, detail).into_response()
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
