//! Errors as pages: what is wrong, and where to go from there.

use askama::Template;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::{assets, headers};
use crate::operator::Refusal;
use crate::store::StoreError;

/// More than any problem of ours.
const MAX_PROBLEM: usize = 1 << 20;

/// An error that takes a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    detail: String,
}

#[derive(Template)]
#[template(path = "fault.html", config = "src/console/askama.toml")]
struct FaultPage<'a> {
    assets: &'static assets::Names,
    status: u16,
    title: &'a str,
    detail: &'a str,
    advice: &'a str,
}

impl Fault {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, detail }
    }

    /// There is no such thing.
    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// What was sent cannot be read.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// They may not.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// The host is not one that a listener without tokens answers.
    pub(super) fn misdirected() -> Self {
        let detail = "Without admin.tokens only the names of this machine are answered, such as \
                      localhost. Configure a token to use another name.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Store(error) => return error.into(),
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::Missing(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Conflict(_) | Refusal::Stale => StatusCode::CONFLICT,
        };
        Self::new(status, sentence(&refusal.to_string()))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Corrupt(what) => {
                tracing::error!(
                    what,
                    "the database holds a value that does not belong there"
                );
                StatusCode::INTERNAL_SERVER_ERROR
            }
            StoreError::Unavailable(_) | StoreError::Overloaded | StoreError::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, sentence(&Refusal::Store(error).to_string()))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (title, advice) = words(self.status);
        let page = FaultPage {
            assets: assets::names(),
            status: self.status.as_u16(),
            title,
            detail: &self.detail,
            advice,
        };
        render(self.status, &page)
    }
}

/// What to say beside the detail.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (
            "Nothing here",
            "Search for a number, an id or a link in the box on the overview.",
        ),
        StatusCode::FORBIDDEN => ("Not allowed", "Nothing was changed."),
        StatusCode::METHOD_NOT_ALLOWED => ("Not this way", "Go back and use the page's buttons."),
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            ("Not done", "Nothing was changed. Go back and try again.")
        }
        StatusCode::TOO_MANY_REQUESTS => ("Too many tries", "Wait a little, then try again."),
        StatusCode::SERVICE_UNAVAILABLE => (
            "Not now",
            "Nothing was changed. Try again in a moment; /readyz says what is wrong.",
        ),
        status if status.is_server_error() => {
            ("A fault of ours", "The log of serval-connect says more.")
        }
        _ => ("That did not work", "Go back and try again."),
    }
}

/// Renders a page.
pub(super) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A refusal as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    let dot = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{dot}", first.unwrap_or_default(), chars.as_str())
}

/// Of a problem, what a page shows.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Around the whole listener: a problem becomes a page for whoever reads pages.
pub(super) async fn as_page(request: Request, next: Next) -> Response {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        for (text, expected) in [
            ("no such event", "No such event."),
            ("Done.", "Done."),
            ("é", "É."),
            ("", "."),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }
}
