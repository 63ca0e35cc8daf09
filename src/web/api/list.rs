//! Lists: their filter, page size and cursor in the query, and a page as the answer.

use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::bad_request;
use crate::web::plain::plain;
use crate::web::problem::Problem;

const DEFAULT_LIMIT: u32 = 100;
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
    /// A list that fits into one page.
    pub(super) fn whole(data: Vec<T>) -> Self {
        let next_cursor = None;
        Self { data, next_cursor }
    }
}

/// Query parameters that all lists have.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Page size, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// Query of a list with the parameters of `F`. A `C` is the key of an element, used as a cursor.
pub(super) struct List<F, C> {
    pub(super) filter: F,
    /// Key of the last element of the previous page.
    pub(super) after: Option<C>,
    limit: u32,
}

impl<F, C: Display> List<F, C> {
    /// Number of rows to read: one more than the page size shows if there is a next page.
    pub(super) fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// Makes a page of the rows that were read. `key` returns the key of a row.
    pub(super) fn page<R, T>(
        &self,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> C,
        show: impl FnMut(R) -> T,
    ) -> Json<Page<T>> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        // One row more than the page was read: whether it is there tells whether a next page
        // exists.
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| has_more)
            .map(|row| key(row).to_string());
        Json(Page {
            data: rows.into_iter().map(show).collect(),
            next_cursor,
        })
    }
}

impl<S: Send + Sync, F: DeserializeOwned, C: FromStr> FromRequestParts<S> for List<F, C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // serde cannot combine `flatten` with `deny_unknown_fields`, so the query is split here.
        let (paging, filter): (Vec<_>, Vec<_>) = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .partition(|pair| matches!(pair.split('=').next(), Some("limit" | "cursor")));
        let Paging { limit, cursor } = read(&paging)?;
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let detail = format!("limit {limit} is not from 1 to {MAX_LIMIT}");
            return Err(bad_request(detail));
        }
        // A cursor is opaque to the caller: only its own list can read it.
        let after = cursor.map(|cursor| cursor.parse()).transpose();
        Ok(Self {
            filter: read(&filter)?,
            after: after.map_err(|_| bad_request("cursor is not one that this list gave out"))?,
            limit,
        })
    }
}

fn read<T: DeserializeOwned>(pairs: &[&str]) -> Result<T, Problem> {
    let uri = Uri::try_from(format!("/?{}", pairs.join("&")));
    let uri = uri.map_err(|error| bad_request(error.to_string()))?;
    let query = axum::extract::Query::try_from_uri(&uri);
    query
        .map(|axum::extract::Query(query)| query)
        // `limit` and `cursor` are known, too: they were split off before.
        .map_err(|error| {
            let text = plain(&error.body_text());
            bad_request(text.replace("expected one of ", "expected one of `limit`, `cursor`, "))
        })
}
