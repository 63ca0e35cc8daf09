//! Reading what a caller of the API sent, with errors that name the field.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use utoipa::ToSchema;

use crate::domain::ids::{ExternalTicket, SourceName};
use crate::http::{AppState, Problem};
pub(super) use crate::operator::{message_ids, taken};

/// Elements of a list, when the caller does not say.
const DEFAULT_LIMIT: u32 = 100;
/// Elements of a list at most.
const MAX_LIMIT: u32 = 1000;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The elements.
    data: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of `limit` elements out of `rows`, of which one more than that was asked for.
    /// `cursor` names an element.
    pub(super) fn new<R>(
        mut rows: Vec<R>,
        limit: u32,
        cursor: impl Fn(&R) -> String,
        show: impl FnMut(R) -> T,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(cursor);
        Self {
            data: rows.into_iter().map(show).collect(),
            next_cursor,
        }
    }
}

/// The number of elements asked for.
pub(super) fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => Err(bad_request(format!(
            "limit {limit} is not from 1 to {MAX_LIMIT}"
        ))),
    }
}

/// Something in the query or path is wrong.
pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// Reads a JSON object: 400 when the body is no JSON, 422 when it is not what is expected.
pub(super) fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    // The parser would take a list for an object, field by field.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body is a list, expected an object",
            ),
            Err(error) => not_json(&error),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                let place = if path == "." {
                    String::new()
                } else {
                    format!("{path}: ")
                };
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{place}{inner}"))
            }
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => not_json(&inner),
        }
    })?;
    // Whatever stands behind the value was not meant to be overlooked.
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    bad_request(format!("the body is not JSON: {error}"))
}

/// A configured source.
pub(super) fn source(state: &AppState, name: &str) -> Result<SourceName, Problem> {
    Ok(state.desk.source(name)?)
}

/// An external ticket of a configured source.
pub(super) fn ticket(
    state: &AppState,
    name: &str,
    external_id: &str,
) -> Result<ExternalTicket, Problem> {
    Ok(state.desk.ticket(name, external_id)?)
}
