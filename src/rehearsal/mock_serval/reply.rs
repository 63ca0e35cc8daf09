//! Answers in JSON, and pages of lists.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dialect::Dialect;
use crate::serval::Code;

/// Largest page of a list.
const MAX_PAGE: usize = 1000;

/// `{"data": …}`
pub(super) fn data(value: impl Serialize) -> Response {
    Json(json!({"data": value})).into_response()
}

/// True if the content type of a request is `expected`, whatever its parameters.
pub(super) fn has_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers.get(CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

/// Query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageQuery {
    page_size: Option<usize>,
    page_token: Option<String>,
    pub(super) team_id: Option<String>,
}

impl PageQuery {
    /// The page that is asked for, or a refusal of its token. Tokens are offsets.
    pub(super) fn page(&self, dialect: Dialect, items: &[Value]) -> Response {
        let start = match self.page_token.as_deref() {
            None | Some("") => Some(0),
            Some(token) => token.parse().ok().filter(|start| *start <= items.len()),
        };
        let Some(start) = start else {
            return dialect.refuse(Code::InvalidArgument, "pageToken: is unknown");
        };
        let size = self.page_size.filter(|size| *size > 0);
        let size = size.map_or(MAX_PAGE, |size| size.min(MAX_PAGE));
        let end = start.saturating_add(size).min(items.len());
        let next = (end < items.len()).then(|| end.to_string());
        Json(json!({"data": items[start..end], "nextPageToken": next})).into_response()
    }
}
