//! How answers are written: JSON, errors in the dialect in force, pages of lists.

use std::str::FromStr;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::RetryAfter;
use crate::clock::{Clock, SystemClock};
use crate::serval::Code;

/// How errors are written. Which one Serval uses is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Connect: `{"code":"not_found","message":"…"}`.
    #[default]
    String,
    /// `google.rpc.Status`: `{"code":5,"message":"…","details":[]}`.
    Numeric,
    /// Plain text, as a proxy does.
    Text,
}

impl Dialect {
    /// The word in a fault.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Numeric => "numeric",
            Self::Text => "text",
        }
    }

    /// An error answer with the code's own status.
    pub(super) fn refuse(self, code: Code, message: &str) -> Response {
        self.error(code.http_status(), Some(code), message)
    }

    /// An error answer with a given status.
    pub(super) fn error(self, status: u16, code: Option<Code>, message: &str) -> Response {
        let status = StatusCode::from_u16(status).expect("callers have statuses from 300 to 599");
        let code = code.unwrap_or(Code::Unknown);
        match self {
            Self::String => {
                let body = json!({"code": code.as_str(), "message": message});
                (status, Json(body)).into_response()
            }
            Self::Numeric => {
                let body = json!({"code": code.number(), "message": message, "details": []});
                (status, Json(body)).into_response()
            }
            Self::Text => (status, format!("{message}\n")).into_response(),
        }
    }
}

impl FromStr for Dialect {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, &'static str> {
        [Self::String, Self::Numeric, Self::Text]
            .into_iter()
            .find(|dialect| dialect.as_str() == word)
            .ok_or("a dialect is string, numeric or text")
    }
}

impl RetryAfter {
    /// The header's value.
    pub(super) fn add_to(self, response: &mut Response) {
        let text = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => {
                let wait = jiff::SignedDuration::from_secs(seconds.into());
                let date = SystemClock.now().saturating_add(wait);
                httpdate::fmt_http_date(date.unwrap_or(jiff::Timestamp::UNIX_EPOCH).into())
            }
            Self::Date(date) => httpdate::fmt_http_date(date.into()),
        };
        let value = HeaderValue::try_from(text).expect("digits and HTTP dates are plain ASCII");
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}

/// `{"data": …}`
pub(super) fn data(value: impl Serialize) -> Response {
    Json(json!({"data": value})).into_response()
}

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageQuery {
    page_size: Option<usize>,
    page_token: Option<String>,
    pub(super) team_id: Option<String>,
}

impl PageQuery {
    /// The page that is asked for. Tokens are offsets; `None` for one that is none.
    pub(super) fn page(&self, items: &[Value]) -> Option<Response> {
        let start: usize = match self.page_token.as_deref() {
            None | Some("") => 0,
            Some(token) => token.parse().ok().filter(|start| *start <= items.len())?,
        };
        let size = self
            .page_size
            .filter(|size| *size > 0)
            .unwrap_or(1000)
            .min(1000);
        let end = start.saturating_add(size).min(items.len());
        let next = (end < items.len()).then(|| end.to_string());
        let body = json!({"data": items[start..end], "nextPageToken": next});
        Some(Json(body).into_response())
    }
}
