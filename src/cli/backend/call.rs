//! A call of the admin API, before it is sent to a daemon or answered in this process.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::Method;
use reqwest::Url;
use serde_json::Value;

use crate::web::Pieces;

/// Time limit of a call. A replay of a great many events needs a while.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Time limit of a call with a file, which a slow program may produce.
const TRANSFER_TIMEOUT: Duration = Duration::from_hours(1);

/// A call of the admin API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    json: Option<Value>,
    pub(super) content_type: &'static str,
    pub(super) timeout: Duration,
}

impl Call {
    /// A call of `/api/v1/{path}`.
    pub(crate) fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(ToString::to_string).collect(),
            query: Vec::new(),
            json: None,
            content_type: "application/json",
            timeout: CALL_TIMEOUT,
        }
    }

    /// Adds a query parameter if it has a value.
    pub(crate) fn with(mut self, key: &'static str, value: Option<&str>) -> Self {
        let value = value.map(str::to_owned);
        self.query.extend(value.map(|value| (key, value)));
        self
    }

    /// Sets the JSON body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.json = Some(body);
        self
    }

    /// Allows the time that a file needs, and sets the type of the file that is sent, if one is.
    pub(crate) fn transfer(mut self, content_type: Option<&'static str>) -> Self {
        self.timeout = TRANSFER_TIMEOUT;
        self.content_type = content_type.unwrap_or(self.content_type);
        self
    }

    /// The JSON body in the form in which files are sent, too.
    pub(super) fn pieces(&self) -> Pieces {
        let body = self
            .json
            .as_ref()
            .map(|body| Ok(Bytes::from(body.to_string())));
        stream::iter(body).boxed()
    }

    /// The URL of this call below `base`, with every path segment encoded.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}
