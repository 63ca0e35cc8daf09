//! Protects operators whose browser shows a hostile page, on every path of the admin listener.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::state::AppState;
use crate::edge::live::Live;
use crate::operators::is_loopback_host;

/// Middleware: a listener without tokens answers only under the names of this machine. No cache keeps an
/// answer, and no browser takes it for another type. An answer may have a cache header of its own.
pub(super) async fn protect(
    State(state): State<Live<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let is_open = state.now().operators.is_open();
    let mut response = if is_open && is_rebound(request.headers()) {
        let detail = "without admin.tokens only the names of this machine are answered, such as \
                      localhost; configure a token to use another";
        let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, detail);
        problem.because("foreign_host").into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// True if the request names another machine: after DNS rebinding, a foreign page would count as one of
/// ours. A call within the process has no `Host`.
fn is_rebound(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST);
    host.is_some_and(|host| !host.to_str().is_ok_and(is_loopback_host))
}
