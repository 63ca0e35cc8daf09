//! What a row of an import must hold, in either format.

use serde::Deserialize;

use crate::domain::ids::{ExternalTicket, SourceName};
use crate::http::AppState;
use crate::http::api::input;
use crate::store::ImportRow;

/// The columns in the order of an export.
pub(in crate::http::api) const COLUMNS: [&str; 4] = [
    "source",
    "external_id",
    "ticket_id",
    "accounted_for_message_ids",
];
/// The last one may be left out.
const REQUIRED: usize = 3;
/// Of a name that is not ours, so much is repeated in an error.
const SHOWN: usize = 64;

/// A row as it was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRow {
    source: String,
    external_id: String,
    ticket_id: String,
    #[serde(default)]
    accounted_for_message_ids: Vec<String>,
}

/// Which column of a CSV file is which.
#[derive(Debug)]
pub(super) struct Header {
    /// For each of [`COLUMNS`], its place.
    places: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Header {
    /// Reads the first row of a file.
    pub(super) fn read(fields: &[Vec<u8>]) -> Result<Self, String> {
        let mut places = [None; COLUMNS.len()];
        for (place, field) in fields.iter().enumerate() {
            let name = text(field)?.trim();
            let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
                let name: String = name.chars().take(SHOWN).collect();
                return Err(format!(
                    "there is no column {name:?}; the columns are {}, separated by commas",
                    COLUMNS.join(", ")
                ));
            };
            if places[column].replace(place).is_some() {
                return Err(format!("the column {name} is there twice"));
            }
        }
        let missing = places[..REQUIRED].iter().position(Option::is_none);
        if let Some(column) = missing {
            return Err(format!(
                "the column {} is missing from the header line",
                COLUMNS[column]
            ));
        }
        let width = fields.len();
        Ok(Self { places, width })
    }

    /// Reads a further row.
    pub(super) fn row(&self, fields: &[Vec<u8>]) -> Result<RawRow, String> {
        if fields.len() != self.width {
            return Err(format!(
                "the number of fields is {}, but the header line has {}",
                fields.len(),
                self.width
            ));
        }
        let cell = |column: usize| self.places[column].map_or(Ok(""), |place| text(&fields[place]));
        let is_between = |c: char| c.is_whitespace() || c == ';';
        let ids = cell(3)?.split(is_between).filter(|id| !id.is_empty());
        Ok(RawRow {
            source: cell(0)?.to_owned(),
            external_id: cell(1)?.to_owned(),
            ticket_id: cell(2)?.to_owned(),
            accounted_for_message_ids: ids.map(str::to_owned).collect(),
        })
    }
}

fn text(field: &[u8]) -> Result<&str, String> {
    str::from_utf8(field).map_err(|_| "this is not UTF-8".to_owned())
}

/// Reads a line of NDJSON.
pub(super) fn from_json(line: &[u8]) -> Result<RawRow, String> {
    // The place within the line; the number of the line is told beside it.
    let explain = |error: serde_json::Error| {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        let text: String = text.chars().take(4 * SHOWN).collect();
        if error.is_data() {
            text
        } else {
            format!(
                "this is not a JSON object: {text}, column {}",
                error.column()
            )
        }
    };
    serde_json::from_slice(line).map_err(explain)
}

/// Checks a row against the configuration.
pub(super) fn check(state: &AppState, line: u64, raw: RawRow) -> Result<ImportRow, String> {
    let name = raw.source.trim();
    let source: Option<SourceName> = name.parse().ok();
    let found = source.and_then(|source| state.sources.get_key_value(&source));
    let Some((source, mounted)) = found else {
        let name: String = name.chars().take(SHOWN).collect();
        return Err(format!("source: no source is named {name:?}"));
    };
    let external_id = mounted
        .source
        .kind()
        .parse_external_id(raw.external_id.trim())
        .map_err(|error| format!("external_id: {error}"))?;
    let ticket_id = raw.ticket_id.trim().parse();
    let ticket_id = ticket_id.map_err(|error| format!("ticket_id: {error}"))?;
    input::message_ids(&raw.accounted_for_message_ids)?;
    Ok(ImportRow {
        line,
        ticket: ExternalTicket {
            source: source.clone(),
            external_id,
        },
        ticket_id,
        accounted_for: raw.accounted_for_message_ids,
    })
}
