//! Errors as pages: the problem, and where to go from there.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::assets;
use super::render::render_with;
use crate::operators::Refusal;
use crate::store::StoreError;

/// An error that has a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    detail: String,
}

#[derive(Template)]
#[template(path = "fault.html", config = "src/web/console/askama.toml")]
struct FaultPage<'a> {
    assets: &'static assets::Names,
    status: u16,
    title: &'a str,
    detail: &'a str,
    advice: &'a str,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, detail }
    }

    /// The subject does not exist.
    pub(crate) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The request cannot be read.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The operator may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status(), sentence(&refusal.to_string()))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Refusal::from(error).into()
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
        render_with(self.status, &page)
    }
}

/// Title and advice for a status.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (
            "Not found",
            "Search for a number, an id or a link in the box on the overview.",
        ),
        StatusCode::FORBIDDEN => ("Not allowed", "Nothing was changed."),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("Method not allowed", "Go back and use the page's buttons.")
        }
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            ("Not done", "Nothing was changed. Go back and try again.")
        }
        StatusCode::SERVICE_UNAVAILABLE => (
            "Service unavailable",
            "Nothing was changed. Try again in a moment; /readyz shows the cause.",
        ),
        status if status.is_server_error() => (
            "Internal error",
            "The log of serval-connect has the details.",
        ),
        _ => ("Request failed", "Go back and try again."),
    }
}

/// A refusal of the field `ticket_id`, as a sentence to show beside the field.
pub(crate) fn field_error(refusal: &Refusal) -> String {
    let text = refusal.to_string();
    sentence(text.strip_prefix("ticket_id: ").unwrap_or(&text))
}

/// A refusal, as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    let dot = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{dot}", first.unwrap_or_default(), chars.as_str())
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
