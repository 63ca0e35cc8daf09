//! `GET /api/v1/mappings/export`: all mappings as a file that imports again.
//!
//! Invariant: at most one page is in memory. A fault in the middle aborts the answer, so that a part is
//! not mistaken for the whole.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::import::{COLUMNS, defused};
use super::input;
use crate::store::{Mapping, MappingFilter, Store, StoreError};
use crate::web::extract::Query;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Number of mappings that are read at once.
const PAGE: u32 = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// Format of the file. Default `csv`.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Only this source.
    source: Option<String>,
    /// Only this Serval ticket.
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
    /// Header fields of the answer.
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

    /// Writes the header line, if the format has one.
    fn head(self) -> Vec<u8> {
        match self {
            Self::Csv => csv_rows([COLUMNS]),
            Self::Ndjson => Vec::new(),
        }
    }

    fn write(self, mappings: &[Mapping]) -> Vec<u8> {
        match self {
            Self::Csv => csv_rows(mappings.iter().map(|mapping| {
                [
                    mapping.source.clone(),
                    mapping.external_id.clone(),
                    mapping.ticket_id.clone(),
                    mapping.accounted_for.join(" "),
                ]
                .map(defused)
            })),
            Self::Ndjson => mappings.iter().flat_map(json_line).collect(),
        }
    }
}

fn csv_rows<T: AsRef<[u8]>>(rows: impl IntoIterator<Item = [T; 4]>) -> Vec<u8> {
    const IN_MEMORY: &str = "a Vec takes everything";
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect(IN_MEMORY);
    }
    writer.into_inner().expect(IN_MEMORY)
}

fn json_line(mapping: &Mapping) -> Vec<u8> {
    let row = json!({
        "source": mapping.source,
        "external_id": mapping.external_id,
        "ticket_id": mapping.ticket_id,
        "accounted_for_message_ids": mapping.accounted_for,
    });
    format!("{row}\n").into_bytes()
}

/// The rest of an export.
struct Rest {
    store: Store,
    format: Format,
    filter: MappingFilter,
    /// Text that is written but not sent.
    text: Vec<u8>,
    is_over: bool,
}

impl Rest {
    /// Reads and writes the next page.
    async fn read(&mut self) -> Result<(), StoreError> {
        let page = self.store.mappings(&self.filter).await?;
        self.text.extend(self.format.write(&page));
        self.is_over = page.len() < PAGE as usize;
        let last = page.into_iter().last();
        self.filter.after = last.map(|last| (last.source, last.external_id));
        Ok(())
    }

    async fn next(mut self) -> Result<Option<(Vec<u8>, Self)>, StoreError> {
        if self.text.is_empty() && !self.is_over {
            self.read().await?;
        }
        let text = std::mem::take(&mut self.text);
        Ok((!text.is_empty()).then_some((text, self)))
    }
}

/// Export mappings
///
/// All mappings, or those of one source or Serval ticket, as a file that can be imported again.
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
        (status = 422, description = "The Serval ticket is not valid, or Serval does not know it"),
    )
)]
pub(super) async fn export(
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let source = input::source(&state, query.source)?;
    let ticket_id = query.ticket_id.as_deref();
    let ticket_id = input::serval_ticket(&state, source.as_ref(), ticket_id).await?;
    let mut rest = Rest {
        store: state.store.clone(),
        format: query.format,
        filter: MappingFilter {
            source,
            ticket_id,
            limit: PAGE,
            ..MappingFilter::default()
        },
        text: query.format.head(),
        is_over: false,
    };
    // The first page is read before the answer begins, so that a fault still gets a status of its own.
    rest.read().await?;
    let body = Body::from_stream(stream::try_unfold(rest, Rest::next));
    Ok((query.format.fields(), body).into_response())
}
