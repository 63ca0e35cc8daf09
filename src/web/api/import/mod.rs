//! `POST /api/v1/mappings/import`: many mappings from one file, all or nothing.
//!
//! Rows go to a staging table as they arrive. When all are correct, the store writes the mappings in steps.
//! Invariant: at most one row and one batch of the file are in memory.

mod advice;
mod columns;
mod csv;
mod decode;
mod faults;
mod formula;
mod header;
mod names;
mod ndjson;
mod object;
mod reader;
mod row;
mod separator;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::SourceName;
use crate::operators::{Operator, Refusal, ServalNames, Why};
use crate::store::{Clash, Import};
use crate::web::extract::Query;
use crate::web::openapi::CsvFile;
use crate::web::problem::Problem;
use crate::web::state::AppState;
pub(super) use columns::COLUMNS;
use faults::Faults;
pub(super) use formula::defused;
use reader::{NumberedRow, Reader};
use row::{Configured, ReadRow};

/// Size limit of a file, in bytes.
pub const MAX_FILE: usize = 64 << 20;
/// Size of the pieces in which a file is read, in bytes.
const PIECE: usize = 16 << 10;
/// Number of rows after which they are staged. Small, since webhooks wait for that transaction.
const BATCH_ROWS: usize = 500;
/// Number of bytes after which the rows are staged.
const BATCH_BYTES: usize = 1 << 20;
/// Limit of rows in a file.
const MAX_ROWS: u64 = 200_000;

/// Result of an import.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportAnswer {
    /// Number of mappings in the file.
    imported: u64,
    /// Number of mappings that are new.
    created: u64,
    /// Number of mappings that existed, changed or not.
    replaced: u64,
    /// Names of columns or members that were not read, if there were any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    passed_over: Vec<String>,
    /// Number of pairs with other Serval tickets that Serval has, and keeps. See `/links`.
    still_connected: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// True to unlink the pairs at Serval whose mappings are replaced.
    #[serde(default)]
    #[param(required = false)]
    disconnect_others: bool,
}

/// Import mappings
///
/// All rows are imported, or none. CSV has a header line with the columns `source`, `external_id` and
/// `ticket_id` in any order and case. The column `accounted_for_message_ids` is optional; its ids are separated
/// by spaces or semicolons. Fields are separated by commas, semicolons, tabs, or what a line `sep=` says. NDJSON
/// has one object with these members per line. The text is UTF-8 or UTF-16. Other columns and members are
/// passed over; the answer names them. The limit is 64 MiB and 200,000 rows.
#[utoipa::path(
    post,
    path = "/mappings/import",
    operation_id = "import_mappings",
    tag = "mappings",
    params(ImportQuery),
    request_body(content(
        (CsvFile = "text/csv"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, body = ImportAnswer),
        (status = 400, description = "The file did not arrive whole"),
        (status = 408, description = "The file took too long to arrive"),
        (status = 413, description = "The file is too large"),
        (status = 415, description = "The file is neither CSV nor NDJSON"),
        (status = 422, description = "Some rows are faulty; `errors` lists the first hundred"),
    )
)]
pub(super) async fn import(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImportAnswer>, Problem> {
    let reader = Reader::for_type(&headers)?;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_FILE as u64) {
        return Err(too_large());
    }
    let store = state.operators.by(&operator, &Why::default());
    let import = store.begin_import().await?;
    // One value for the whole file: a reload meanwhile must not judge its rows by other rules.
    let in_force = state.operators.rules();
    let one_per_ticket = one_per_ticket(&in_force.sources);
    let intake = Intake {
        state: &state,
        sources: &in_force.sources,
        import: &import,
        batch: Vec::new(),
        faults: Faults::default(),
        rows: 0,
        serval: ServalNames::new(&state.operators),
        disconnects_others: query.disconnect_others,
        failed: None,
    };
    let passed_over = intake.stage_all(reader, body, &one_per_ticket).await?;
    let applied = import.apply(&one_per_ticket, state.clock.now()).await?;
    let imported = match applied {
        Ok(imported) => imported,
        Err(taken) => return Err(Faults::of_taken(taken).into_problem()),
    };
    let (created, replaced) = (imported.created, imported.replaced);
    tracing::info!(created, replaced, "mappings imported");
    Ok(Json(ImportAnswer {
        imported: created + replaced,
        created,
        replaced,
        passed_over,
        still_connected: imported.still_connected,
    }))
}

/// The sources for which a Serval ticket has at most one external ticket.
fn one_per_ticket(sources: &Configured) -> Vec<SourceName> {
    let names = sources.iter();
    let names = names.filter(|(_, source)| !source.policy.several_per_ticket);
    names.map(|(name, _)| name.clone()).collect()
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the file is larger than 64 MiB; import it in parts",
    )
    .because("body_too_large")
}

/// A file on its way into the staging table.
struct Intake<'a> {
    state: &'a AppState,
    sources: &'a Configured,
    import: &'a Import,
    /// Rows that will be staged together.
    batch: Vec<ReadRow>,
    faults: Faults,
    rows: u64,
    serval: ServalNames<'a>,
    disconnects_others: bool,
    /// Why the rows could not be looked up or staged.
    failed: Option<Refusal>,
}

impl Intake<'_> {
    /// Stages the whole file, and returns the names of what was not read. It is refused if it does not arrive, or if
    /// any row is faulty.
    async fn stage_all(
        mut self,
        mut reader: Reader,
        body: Body,
        one_per_ticket: &[SourceName],
    ) -> Result<Vec<String>, Problem> {
        let mut body = Limited::new(body, MAX_FILE);
        let mut bytes = 0;
        while let Some(chunk) = self.chunk(&mut body).await? {
            if self.failed.is_some() {
                // Only read: a sender that is writing would not see an early answer.
                continue;
            }
            // A chunk may be large. Pieces bound the number of rows that are in memory.
            for piece in chunk.chunks(PIECE) {
                self.check(reader.read(piece));
                bytes += piece.len();
                if self.batch.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                    bytes = 0;
                    self.stage().await;
                }
            }
        }
        self.check(reader.read(&[]));
        self.stage().await;
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        if self.rows > MAX_ROWS {
            let detail = format!("the file has more than {MAX_ROWS} rows; import it in parts");
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail);
            return Err(problem.because("body_too_large"));
        }
        for clash in self.import.shared_tickets(one_per_ticket).await? {
            let (line, first) = (clash.line, clash.first_line);
            let detail = format!(
                "lines {first} and {line} map two external tickets to one Serval ticket; set \
                 several_per_ticket for the source to allow it"
            );
            self.faults.add(line, detail);
        }
        if self.faults.is_empty() {
            Ok(reader.passed_over())
        } else {
            Err(self.faults.into_problem())
        }
    }

    fn check(&mut self, rows: Vec<NumberedRow>) {
        for (line, raw) in rows {
            match raw.and_then(|raw| row::check(self.sources, line, raw)) {
                Ok(mut row) => {
                    row.unlinks_old |= self.disconnects_others;
                    self.batch.push(row);
                }
                Err(detail) => self.faults.add(line, detail),
            }
        }
    }

    async fn chunk(&self, body: &mut Limited<Body>) -> Result<Option<Bytes>, Problem> {
        loop {
            // The time limit is for each piece, not for the whole file: a large file may come over a slow line.
            let frame = tokio::time::timeout(self.state.read_timeout, body.frame()).await;
            let (status, cause, detail) = match frame {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => return Ok(Some(chunk)),
                    // Trailers hold no part of the file.
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) if error.is::<LengthLimitError>() => return Err(too_large()),
                Ok(Some(Err(_))) => (
                    StatusCode::BAD_REQUEST,
                    "body_incomplete",
                    "did not arrive whole",
                ),
                Err(_) => (
                    StatusCode::REQUEST_TIMEOUT,
                    "body_slow",
                    "took too long to arrive",
                ),
            };
            let detail = format!("the file {detail}; nothing was imported");
            return Err(Problem::new(status, detail).because(cause));
        }
    }

    async fn stage(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.rows += batch.len() as u64;
        // The rest of the file is still read: a sender that is writing would not see an early answer.
        if batch.is_empty() || self.rows > MAX_ROWS || self.failed.is_some() {
            return;
        }
        let clashes = match self.resolve_and_stage(batch).await {
            Ok(clashes) => clashes,
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        };
        for clash in clashes {
            let (line, first) = (clash.line, clash.first_line);
            let detail = format!(
                "lines {first} and {line} map the same external ticket to different Serval tickets"
            );
            self.faults.add(line, detail);
        }
    }

    async fn resolve_and_stage(&mut self, batch: Vec<ReadRow>) -> Result<Vec<Clash>, Refusal> {
        let (store, serval) = (&self.state.store, &mut self.serval);
        let rows = names::resolve(store, serval, batch, &mut self.faults).await?;
        Ok(self.import.stage(&rows).await?)
    }
}
