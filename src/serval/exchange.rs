//! One HTTP exchange with Serval. The answer is read up to a limit.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use jiff::Timestamp;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::error::ServalError;
use super::network;
use super::refusal::{self, Received};
use crate::edge::blot::Blot;
use crate::edge::clock::SharedClock;

/// Limit in bytes for a short answer: to a connect, a token, an error.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Limit in bytes for a list.
pub(super) const MAX_LIST: usize = 8 * 1024 * 1024;

/// An HTTP client, a clock for the dates in its answers, and the secrets that these may repeat.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) client: reqwest::Client,
    pub(super) clock: SharedClock,
    pub(super) blot: Blot,
}

/// An answer with its body, of any status.
pub(super) struct Answered {
    call: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Body,
    now: Timestamp,
    blot: Blot,
}

#[derive(Default)]
struct Body {
    bytes: Bytes,
    /// True if the body is longer. The connection is closed then.
    is_cut: bool,
}

impl Exchange {
    /// Makes a call and reads its answer, of a 2xx up to `limit`. Errors name the call by `call`.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        call: &str,
        limit: usize,
    ) -> Result<Answered, ServalError> {
        let fault = |error: reqwest::Error| network::fault(&error);
        let response = request.send().await.map_err(fault)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let now = self.clock.now();
        let body = if status.is_success() {
            read(response, limit).await.map_err(fault)?
        } else {
            // The status was received, so it counts even if the body breaks off.
            read(response, MAX_ANSWER).await.unwrap_or_default()
        };
        Ok(Answered {
            call: call.to_owned(),
            status,
            headers,
            body,
            now,
            blot: self.blot.clone(),
        })
    }
}

impl Answered {
    /// Reads whose word the answer is: a success, or the error that it is. `is_token`: it comes from the
    /// token endpoint.
    pub(super) fn verdict(&self, is_token: bool) -> Result<(), ServalError> {
        if self.status.is_success() && self.body.is_cut {
            return Err(self.foreign("a body that is too long"));
        }
        refusal::verdict(&self.received(is_token), &self.blot)
    }

    /// True if it is an error after which Serval asks to wait.
    pub(super) fn asks_to_wait(&self) -> bool {
        let error = self.verdict(false).err();
        let asked = error.and_then(|error| error.retry_after());
        asked.is_some_and(|wait| !wait.is_zero())
    }

    /// Reads the body of a success, which must be a JSON object of this form.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ServalError> {
        serde_json::from_slice(&self.body.bytes).map_err(|error| {
            // serde's own text may quote the body, so only the position is kept.
            let (line, column) = (error.line(), error.column());
            self.foreign(&format!(
                "something else than the JSON expected (line {line}, column {column})"
            ))
        })
    }

    /// The error for an answer that is `what`.
    pub(super) fn foreign(&self, what: &str) -> ServalError {
        refusal::foreign(&self.received(false), what, "", &self.blot)
    }

    /// The id that the server gave the request.
    pub(super) fn request_id(&self) -> Option<String> {
        refusal::request_id(&self.headers).map(|id| self.blot.apply(&id))
    }

    fn received(&self, is_token: bool) -> Received<'_> {
        Received {
            call: &self.call,
            status: self.status.as_u16(),
            headers: &self.headers,
            body: &self.body.bytes,
            is_token,
            now: self.now,
        }
    }
}

async fn read(mut response: Response, limit: usize) -> reqwest::Result<Body> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        // The limit is checked for each chunk: a Content-Length may be missing or false, and the
        // answer must not fill the memory.
        let room = limit.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok(Body {
                bytes: body.freeze(),
                is_cut: true,
            });
        }
    }
    Ok(Body {
        bytes: body.freeze(),
        is_cut: false,
    })
}
