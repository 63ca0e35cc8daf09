//! Shows the problems of the whole listener as pages to browsers.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::fault::{Fault, sentence};
use super::headers;

/// Larger than any problem document of ours, in bytes.
const MAX_PROBLEM: usize = 1 << 20;

/// The part of a problem document that a page shows.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Turns a problem document into a page, if the client accepts HTML.
pub(crate) async fn as_page(request: Request, next: Next) -> Response {
    // A browser can also ask the API, which answers every caller with the document.
    let is_api = request.uri().path().starts_with("/api/");
    let reads_pages = !is_api && accepts_html(request.headers());
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    if !reads_pages || kind.is_none_or(|kind| kind != "application/problem+json") {
        return response;
    }
    let status = response.status();
    let detail = match to_bytes(response.into_body(), MAX_PROBLEM).await {
        Ok(body) => serde_json::from_slice(&body)
            .map(|problem: Problem| problem.detail)
            .unwrap_or_default(),
        Err(_) => String::new(),
    };
    let mut response = Fault::new(status, sentence(&detail)).into_response();
    headers::add(response.headers_mut());
    response
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
