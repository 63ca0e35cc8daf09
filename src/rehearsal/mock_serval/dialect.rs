//! Formats of error answers.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use clap::ValueEnum;
use http::StatusCode;
use serde_json::json;

use crate::serval::Code;

/// Format of error answers. It is not known which of the first two Serval uses. The others are those of
/// gateways and proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Dialect {
    /// Connect: `{"code":"not_found","message":"…"}`.
    #[default]
    String,
    /// `google.rpc.Status`: `{"code":5,"message":"…","details":[]}`.
    Numeric,
    /// Plain text.
    Text,
    /// A web page.
    Html,
    /// JSON without a code of Serval's.
    Json,
    /// An empty body.
    Empty,
}

impl Dialect {
    /// An error answer with the status that belongs to the code.
    pub(super) fn refuse(self, code: Code, message: &str) -> Response {
        self.error(code.http_status(), Some(code), message)
    }

    /// An error answer with a given status.
    pub(super) fn error(self, status: u16, code: Option<Code>, message: &str) -> Response {
        let status = StatusCode::from_u16(status).expect("callers have statuses from 200 to 599");
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
            Self::Html => {
                let page = format!("<html><head><title>{message}</title></head></html>");
                (status, Html(page)).into_response()
            }
            Self::Json => (status, Json(json!({"message": message}))).into_response(),
            Self::Empty => status.into_response(),
        }
    }
}
