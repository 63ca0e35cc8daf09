//! One HTTP exchange with Serval, its answer read within a limit.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde::de::IgnoredAny;

use super::error::ServalError;
use super::{network, refusal};
use crate::clock::SharedClock;

/// Bytes that are read of an answer that says little: to connect, a token, an error.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Bytes that are read of a list.
pub(super) const MAX_LIST: usize = 8 * 1024 * 1024;

/// An HTTP client, and a clock for the dates in its answers.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) client: reqwest::Client,
    pub(super) clock: SharedClock,
}

/// A body, as far as it was read.
pub(super) enum Body {
    /// To its end.
    Whole(Bytes),
    /// Up to the limit. The connection is given up with it.
    Cut(Bytes),
}

impl Exchange {
    /// Sends a request; any answer is a success.
    pub(super) async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ServalError> {
        request.send().await.map_err(|error| network::fault(&error))
    }

    /// Reads the answer into an error, whatever its body is. `secrets` are blotted out of it.
    pub(super) async fn refused(
        &self,
        response: reqwest::Response,
        secrets: &[&str],
    ) -> ServalError {
        let status = response.status();
        let headers = response.headers().clone();
        let now = self.clock.now();
        // The status was received, so it counts even if the body breaks off.
        let body = match read(response, MAX_ANSWER).await {
            Ok(Body::Whole(body) | Body::Cut(body)) => body,
            Err(_) => Bytes::new(),
        };
        refusal::read(status.as_u16(), &headers, &body, now, secrets)
    }
}

/// Reads a body up to `limit` bytes.
pub(super) async fn read(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Body, ServalError> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(Body::Whole(body.freeze())),
            Ok(Some(chunk)) => {
                let room = limit.saturating_sub(body.len());
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return Ok(Body::Cut(body.freeze()));
                }
            }
            Err(error) => return Err(network::fault(&error)),
        }
    }
}

/// Reads a 2xx that has nothing to say: an empty body, or any JSON object.
pub(super) async fn read_empty_or_json(
    response: reqwest::Response,
    limit: usize,
) -> Result<(), ServalError> {
    let status = response.status();
    let body = read_whole(response, limit).await?;
    // Only its end shows that a body is empty: one that comes in chunks states no length.
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    parse::<IgnoredAny>(status, &body).map(drop)
}

/// Reads a 2xx whose body must be a JSON object.
pub(super) async fn read_json<T: serde::de::DeserializeOwned>(
    response: reqwest::Response,
    limit: usize,
) -> Result<T, ServalError> {
    let status = response.status();
    let body = read_whole(response, limit).await?;
    parse(status, &body)
}

async fn read_whole(response: reqwest::Response, limit: usize) -> Result<Bytes, ServalError> {
    let status = response.status();
    match read(response, limit).await? {
        Body::Whole(body) => Ok(body),
        Body::Cut(_) => Err(bad(
            status,
            format!("its body is longer than {limit} bytes"),
        )),
    }
}

fn bad(status: StatusCode, detail: String) -> ServalError {
    ServalError::BadAnswer {
        status: status.as_u16(),
        detail,
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    status: StatusCode,
    body: &[u8],
) -> Result<T, ServalError> {
    // The parser would take a list for an object, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad(status, "its body is no JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        // The parser's own text may quote the body; the place is enough.
        let (line, column) = (error.line(), error.column());
        bad(
            status,
            format!("its body is not the JSON expected (line {line}, column {column})"),
        )
    })
}

/// Whether the answer says that the bearer token is not good.
pub(super) fn is_unauthenticated(response: &reqwest::Response) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
}
