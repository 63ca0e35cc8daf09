//! `POST /api/v1/mappings/import`: many mappings from one file, all or nothing.
//!
//! Invariant: of the file, one row and one batch are in memory. Its rows go to a staging table as
//! they arrive, and to the mappings in one transaction when all of them are right.

pub(super) mod csv;
mod faults;
mod ndjson;
mod reader;
pub(super) mod row;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{AppState, Problem};
use crate::operator::{Operator, Why};
use crate::store::{Import, ImportRow, ImportRules};
use faults::Faults;
use reader::Reader;
use row::RawRow;

/// The largest file of mappings, in bytes.
pub const MAX_FILE: usize = 64 << 20;
/// The longest row, in bytes.
const MAX_ROW: usize = 512 << 10;
const TOO_LONG: &str = "this is longer than 512 KiB";
/// A chunk of the body is worked on in pieces of so many bytes, so that a batch stays one.
const PIECE: usize = 16 << 10;
/// Rows that are staged in one transaction at most: briefly, since webhooks wait meanwhile.
const BATCH_ROWS: usize = 1000;
/// Bytes of a file after which its rows are staged.
const BATCH_BYTES: usize = 1 << 20;
/// Rows that are applied in one transaction at most: webhooks wait for that one, too.
const MAX_ROWS: u64 = 200_000;

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportAnswer {
    /// Mappings that the file holds.
    imported: u64,
    /// Of these, mappings that there were not.
    created: u64,
    /// Of these, mappings that there were, whether or not they said the same.
    replaced: u64,
}

/// Import mappings
///
/// All rows or none. CSV has a header line with the columns `source`, `external_id` and
/// `ticket_id` in any order, and perhaps `accounted_for_message_ids`, separated by spaces or
/// semicolons. NDJSON has one object with these members a line. At most 64 MiB and 200,000 rows.
#[utoipa::path(
    post,
    path = "/mappings/import",
    operation_id = "import_mappings",
    tag = "mappings",
    request_body(content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, body = ImportAnswer),
        (status = 400, description = "The file did not arrive whole"),
        (status = 408, description = "The file took too long to arrive"),
        (status = 413, description = "The file is too large"),
        (status = 415, description = "Neither CSV nor NDJSON"),
        (status = 422, description = "Some rows are faulty; `errors` tells the first hundred"),
    )
)]
pub(super) async fn import(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
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
    let store = state.desk.by(&operator, &Why::default());
    let import = store.begin_import().await?;
    let intake = Intake {
        state: &state,
        import: &import,
        reader,
        batch: Batch::default(),
        faults: Faults::default(),
        rows: 0,
    };
    let rules = rules(&state);
    if let Err(problem) = intake.take(body, &rules).await {
        import.discard().await;
        return Err(problem);
    }
    let applied = import.apply(rules, state.clock.now()).await?;
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
    }))
}

fn rules(state: &AppState) -> ImportRules {
    let mut rules = ImportRules::default();
    for (name, mounted) in state.sources.iter() {
        if !mounted.several_per_ticket {
            rules.one_per_ticket.push(name.clone());
        }
        if mounted.disconnects_old {
            rules.disconnects_old.push(name.clone());
        }
    }
    rules
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the file is larger than 64 MiB; import it in parts",
    )
}

/// A file on its way into the staging table.
struct Intake<'a> {
    state: &'a AppState,
    import: &'a Import,
    reader: Reader,
    batch: Batch,
    faults: Faults,
    rows: u64,
}

/// Rows that are to be staged together.
#[derive(Default)]
struct Batch {
    rows: Vec<ImportRow>,
    bytes: usize,
}

impl Intake<'_> {
    /// Stages the whole file; the refusal if it does not arrive or some of it is faulty.
    async fn take(mut self, body: Body, rules: &ImportRules) -> Result<(), Problem> {
        let mut body = Limited::new(body, MAX_FILE);
        while let Some(chunk) = self.chunk(&mut body).await? {
            for piece in chunk.chunks(PIECE) {
                let (batch, faults) = (&mut self.batch, &mut self.faults);
                let state = self.state;
                self.reader.read(piece, &mut |line, raw| {
                    sort(state, line, raw, batch, faults);
                });
                self.batch.bytes += piece.len();
                if self.batch.rows.len() >= BATCH_ROWS || self.batch.bytes >= BATCH_BYTES {
                    self.stage().await?;
                }
            }
        }
        let (batch, faults, state) = (&mut self.batch, &mut self.faults, self.state);
        let reader = std::mem::replace(&mut self.reader, Reader::Ndjson(ndjson::Reader::new()));
        reader.finish(&mut |line, raw| sort(state, line, raw, batch, faults));
        self.stage().await?;
        if self.rows > MAX_ROWS {
            let detail = format!("the file has more than {MAX_ROWS} rows; import it in parts");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        for clash in self.import.shared_tickets(rules).await? {
            let (line, first) = (clash.line, clash.first_line);
            let detail = format!(
                "lines {first} and {line} map two external tickets to one Serval ticket; set \
                 several_per_ticket for the source to allow it"
            );
            self.faults.add(line, detail);
        }
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(self.faults.into_problem())
        }
    }

    async fn chunk(&self, body: &mut Limited<Body>) -> Result<Option<Bytes>, Problem> {
        let problem = |status, detail: &str| Problem::new(status, detail);
        loop {
            let frame = tokio::time::timeout(self.state.read_timeout, body.frame()).await;
            match frame {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
                Ok(Some(Err(error))) if error.is::<LengthLimitError>() => return Err(too_large()),
                Ok(Some(Err(_))) => {
                    let detail = "the file did not arrive whole; nothing was imported";
                    return Err(problem(StatusCode::BAD_REQUEST, detail));
                }
                Err(_) => {
                    let detail = "the file took too long to arrive; nothing was imported";
                    return Err(problem(StatusCode::REQUEST_TIMEOUT, detail));
                }
            }
        }
    }

    async fn stage(&mut self) -> Result<(), Problem> {
        let batch = std::mem::take(&mut self.batch);
        if batch.rows.is_empty() {
            return Ok(());
        }
        self.rows += batch.rows.len() as u64;
        // The rest is read all the same: who is still sending may never see an answer.
        if self.rows > MAX_ROWS {
            return Ok(());
        }
        for clash in self.import.stage(&batch.rows).await? {
            let (line, first) = (clash.line, clash.first_line);
            let detail = format!(
                "lines {first} and {line} map the same external ticket to different Serval tickets"
            );
            self.faults.add(line, detail);
        }
        Ok(())
    }
}

fn sort(
    state: &AppState,
    line: u64,
    raw: Result<RawRow, String>,
    batch: &mut Batch,
    faults: &mut Faults,
) {
    match raw.and_then(|raw| row::check(state, line, raw)) {
        Ok(row) => batch.rows.push(row),
        Err(detail) => faults.add(line, detail),
    }
}
