//! `GET /api/v1/mappings/export`: all mappings as a file that imports again.
//!
//! Invariant: one page is in memory. A fault on the way cuts the answer off, so that no one takes a
//! part for the whole.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::import::csv::write_row;
use super::import::row::COLUMNS;
use super::input;
use crate::http::{AppState, Problem};
use crate::store::{Mapping, MappingFilter, Store, StoreError};

/// Mappings that are read at once.
const PAGE: u32 = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// `csv` when left out.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Of one source.
    source: Option<String>,
    /// Of one Serval ticket.
    ticket_id: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Csv,
    Ndjson,
}

impl Format {
    /// The header fields of the answer.
    fn fields(self) -> [(HeaderName, &'static str); 2] {
        let (content_type, disposition) = match self {
            Self::Csv => (
                "text/csv; charset=utf-8; header=present",
                "attachment; filename=\"mappings.csv\"",
            ),
            Self::Ndjson => (
                "application/x-ndjson",
                "attachment; filename=\"mappings.ndjson\"",
            ),
        };
        [
            (CONTENT_TYPE, content_type),
            (CONTENT_DISPOSITION, disposition),
        ]
    }

    fn head(self) -> String {
        let mut text = String::new();
        match self {
            Self::Csv => write_row(&mut text, COLUMNS),
            Self::Ndjson => {}
        }
        text
    }

    fn write(self, text: &mut String, mapping: &Mapping) {
        match self {
            Self::Csv => write_row(
                text,
                [
                    mapping.source.as_str(),
                    &mapping.external_id,
                    &mapping.ticket_id,
                    &mapping.accounted_for.join(" "),
                ],
            ),
            Self::Ndjson => {
                let row = json!({
                    "source": mapping.source,
                    "external_id": mapping.external_id,
                    "ticket_id": mapping.ticket_id,
                    "accounted_for_message_ids": mapping.accounted_for,
                });
                text.push_str(&row.to_string());
                text.push('\n');
            }
        }
    }
}

/// What is left to send.
struct Rest {
    store: Store,
    format: Format,
    filter: MappingFilter,
    /// What was written, to be sent before more is read.
    text: String,
    is_over: bool,
}

impl Rest {
    /// Reads a page and writes it down.
    async fn read(&mut self) -> Result<(), StoreError> {
        let page = self.store.mappings(&self.filter).await?;
        for mapping in &page {
            self.format.write(&mut self.text, mapping);
        }
        self.is_over = page.len() < PAGE as usize;
        let last = page.into_iter().last();
        self.filter.after = last.map(|last| (last.source, last.external_id));
        Ok(())
    }

    async fn next(mut self) -> Result<Option<(String, Self)>, StoreError> {
        if self.text.is_empty() && !self.is_over {
            self.read().await?;
        }
        let text = std::mem::take(&mut self.text);
        Ok((!text.is_empty()).then_some((text, self)))
    }
}

/// Export mappings
///
/// All of them, or those of one source or Serval ticket, as a file that can be imported as it is.
#[utoipa::path(
    get,
    path = "/mappings/export",
    operation_id = "export_mappings",
    tag = "mappings",
    params(ExportQuery),
    responses(
        (status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
    )
)]
pub(super) async fn export(
    State(state): State<AppState>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let source = query
        .source
        .map(|name| input::source(&state, &name))
        .transpose()?;
    let mut rest = Rest {
        store: state.store.clone(),
        format: query.format,
        filter: MappingFilter {
            source,
            ticket_id: query.ticket_id,
            limit: PAGE,
            ..MappingFilter::default()
        },
        text: query.format.head(),
        is_over: false,
    };
    // A database that cannot be read is said in the status, not by a file that breaks off.
    rest.read().await?;
    let body = Body::from_stream(stream::try_unfold(rest, Rest::next));
    Ok((query.format.fields(), body).into_response())
}
