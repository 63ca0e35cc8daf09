//! `GET /api/v1/mappings/export`: all mappings as a file that imports again.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::{Format, PAGE, Pages, csv_rows, file};
use crate::store::{Mapping, MappingFilter, Store, StoreError};
use crate::web::api::import::{COLUMNS, defused};
use crate::web::api::input;
use crate::web::extract::Query;
use crate::web::problem::Problem;
use crate::web::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web::api) struct ExportQuery {
    /// Format of the file. Default `csv`.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Only this source.
    source: Option<String>,
    /// Only this Serval ticket.
    ticket_id: Option<String>,
}

/// The rest of an export.
struct Rest {
    store: Store,
    format: Format,
    filter: MappingFilter,
    is_over: bool,
}

impl Pages for Rest {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.store.mappings(&self.filter).await?;
        let text = write(self.format, &page);
        self.is_over = page.len() < PAGE as usize;
        let last = page.into_iter().last();
        self.filter.after = last.map(|last| (last.source, last.external_id));
        Ok((!text.is_empty()).then_some(text))
    }
}

fn write(format: Format, mappings: &[Mapping]) -> Vec<u8> {
    match format {
        Format::Csv => csv_rows(mappings.iter().map(|mapping| {
            [
                mapping.source.clone(),
                mapping.external_id.clone(),
                mapping.ticket_id.clone(),
                mapping.accounted_for.join(" "),
            ]
            .map(defused)
        })),
        Format::Ndjson => mappings.iter().flat_map(json_line).collect(),
    }
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
pub(in crate::web::api) async fn export(
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let source = input::source(&state, query.source)?;
    let ticket_id = query.ticket_id.as_deref();
    let ticket_id = input::serval_ticket(&state, source.as_ref(), ticket_id).await?;
    let format = query.format;
    let pages = Rest {
        store: state.store.clone(),
        format,
        filter: MappingFilter {
            source,
            ticket_id,
            limit: PAGE,
            ..MappingFilter::default()
        },
        is_over: false,
    };
    file(format, "mappings", format.head(COLUMNS), pages).await
}
