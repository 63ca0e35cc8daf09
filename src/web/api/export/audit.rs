//! `GET /api/v1/audit/export`: the audit as a file.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Format, PAGE, Pages, csv_rows, file};
use crate::edge::window::Window;
use crate::store::{AuditFilter, Store, StoreError};
use crate::web::api::audit::AuditView;
use crate::web::api::import::defused;
use crate::web::api::input;
use crate::web::extract::Query;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// The columns of a file, which are the members of an entry.
const COLUMNS: [&str; 8] = [
    "id",
    "at",
    "actor",
    "action",
    "source",
    "external_id",
    "subject",
    "reason",
];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web::api) struct ExportQuery {
    /// Format of the file. Default `csv`.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Only actions from this time on: RFC 3339, or a duration back from now, such as `24h`.
    since: Option<String>,
    /// Only actions before this time, likewise.
    until: Option<String>,
}

/// The rest of an export.
struct Rest {
    store: Store,
    format: Format,
    filter: AuditFilter,
    is_over: bool,
}

impl Pages for Rest {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.store.audit(&self.filter).await?;
        self.is_over = page.len() < PAGE as usize;
        self.filter.before = page.last().map(|last| last.id);
        let entries = page.into_iter().map(AuditView::from);
        let text = match self.format {
            Format::Csv => csv_rows(entries.map(|entry| cells(entry).map(defused))),
            Format::Ndjson => entries.flat_map(|entry| json_line(&entry)).collect(),
        };
        Ok((!text.is_empty()).then_some(text))
    }
}

fn cells(entry: AuditView) -> [String; COLUMNS.len()] {
    [
        entry.id.to_string(),
        entry.at.to_string(),
        entry.actor,
        entry.action,
        entry.source.unwrap_or_default(),
        entry.external_id.unwrap_or_default(),
        entry.subject.unwrap_or_default(),
        entry.reason.unwrap_or_default(),
    ]
}

fn json_line(entry: &AuditView) -> Vec<u8> {
    let mut line = serde_json::to_vec(entry).expect("texts and numbers are JSON");
    line.push(b'\n');
    line
}

/// Export the actions of operators
///
/// The same entries as the list, newest first, as a file.
#[utoipa::path(
    get,
    path = "/audit/export",
    operation_id = "export_audit",
    tag = "audit",
    params(ExportQuery),
    responses(
        (status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 400, description = "A wrong query"),
    )
)]
pub(in crate::web::api) async fn export(
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let format = query.format;
    let (since, until) = (query.since.as_deref(), query.until.as_deref());
    let pages = Rest {
        store: state.store.clone(),
        format,
        filter: AuditFilter {
            window: Window::read(since, until, state.clock.now()).map_err(input::bad_request)?,
            limit: PAGE,
            ..AuditFilter::default()
        },
        is_over: false,
    };
    file(format, "audit", format.head(COLUMNS), pages).await
}
