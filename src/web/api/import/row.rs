//! Rows of an import: from text to checked values, for both formats.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::formula::undone;
use crate::domain::ids::{ServalTicketId, SourceName};
use crate::operators::message_ids;
use crate::sources::{SourceConfig, TypedId};
use crate::web::api::input::or_default;
use crate::web::plain::plain;

/// Size limit of a row, in bytes.
pub(super) const MAX_ROW: usize = 512 << 10;
pub(super) const TOO_LONG: &str = "this is longer than 512 KiB";
/// The columns in the order of an export.
pub(crate) const COLUMNS: [&str; 4] = [
    "source",
    "external_id",
    "ticket_id",
    "accounted_for_message_ids",
];
/// Number of columns that a file must have.
const REQUIRED: usize = 3;
/// Characters of an unknown name that an error repeats.
const SHOWN: usize = 64;

/// A row as it was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRow {
    source: String,
    external_id: String,
    ticket_id: String,
    #[serde(default, deserialize_with = "or_default")]
    accounted_for_message_ids: Vec<String>,
}

/// Order of the columns in a CSV file.
#[derive(Debug)]
pub(super) struct Header {
    /// Position of each of [`COLUMNS`] in the file.
    positions: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Header {
    /// Reads the first row of a file.
    pub(super) fn read(fields: &[Vec<u8>]) -> Result<Self, String> {
        let mut positions = [None; COLUMNS.len()];
        for (position, field) in fields.iter().enumerate() {
            let name = text(field)?.trim();
            // An unknown column is probably a misspelt one. To ignore it would lose its values without a word.
            let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
                let name: String = name.chars().take(SHOWN).collect();
                return Err(format!(
                    "there is no column {name:?}; the columns are {}, separated by commas",
                    COLUMNS.join(", ")
                ));
            };
            if positions[column].replace(position).is_some() {
                return Err(format!("the column {name} is there twice"));
            }
        }
        let missing = positions[..REQUIRED].iter().position(Option::is_none);
        if let Some(column) = missing {
            return Err(format!(
                "the column {} is missing from the header line",
                COLUMNS[column]
            ));
        }
        let width = fields.len();
        Ok(Self { positions, width })
    }

    /// Reads a row below the header line.
    pub(super) fn row(&self, fields: &[Vec<u8>]) -> Result<RawRow, String> {
        if fields.len() != self.width {
            return Err(format!(
                "the number of fields is {}, but the header line has {}",
                fields.len(),
                self.width
            ));
        }
        let cell = |column: usize| {
            let position = self.positions[column];
            position.map_or(Ok(""), |position| text(&fields[position]).map(undone))
        };
        // Neither character can be in a message id: see `check_message_id`.
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

/// Reads an NDJSON line.
pub(super) fn from_json(line: &[u8]) -> Result<RawRow, String> {
    // serde would read a list as an object, element by element.
    if line.trim_ascii_start().first() == Some(&b'[') {
        return Err("this is a list, expected an object".to_owned());
    }
    // serde counts lines from the start of this row, so only its column is of use.
    let explain = |error: serde_json::Error, path: &str| {
        if !error.is_data() {
            let column = error.column();
            return format!("this is not a JSON object: the error is at column {column}");
        }
        let text = plain(&error.to_string());
        let text: String = text.chars().take(4 * SHOWN).collect();
        match path {
            "." => text,
            member => format!("{member}: {text}"),
        }
    };
    let mut reader = serde_json::Deserializer::from_slice(line);
    let row = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        explain(error.into_inner(), &path)
    })?;
    reader.end().map_err(|error| explain(error, "."))?;
    Ok(row)
}

/// The configured sources by name.
pub(super) type Configured = BTreeMap<SourceName, SourceConfig>;

/// A row whose ids are read. A number is not looked up yet.
#[derive(Debug)]
pub(super) struct ReadRow {
    pub(super) line: u64,
    pub(super) source: SourceName,
    pub(super) typed: TypedId,
    pub(super) ticket_id: ServalTicketId,
    pub(super) accounted_for: Vec<String>,
    pub(super) unlinks_old: bool,
    pub(super) reconnects: bool,
}

/// Checks a row against the configuration.
pub(super) fn check(sources: &Configured, line: u64, raw: RawRow) -> Result<ReadRow, String> {
    let name = raw.source.trim();
    let source: Option<SourceName> = name.parse().ok();
    let Some((source, config)) = source.and_then(|name| sources.get_key_value(&name)) else {
        let name: String = name.chars().take(SHOWN).collect();
        // A file in the wrong format can have a whole document in this field, so only its beginning
        // is shown.
        return Err(format!("source: no source is named {name:?}"));
    };
    let typed = config
        .kind
        .read_typed(&raw.external_id)
        .map_err(|error| format!("external_id: {error}"))?;
    let ticket_id = raw.ticket_id.trim().parse();
    let ticket_id = ticket_id.map_err(|error| format!("ticket_id: {error}"))?;
    message_ids(&raw.accounted_for_message_ids)?;
    Ok(ReadRow {
        line,
        source: source.clone(),
        typed,
        ticket_id,
        accounted_for: raw.accounted_for_message_ids,
        unlinks_old: config.policy.disconnect_on_remap,
        reconnects: config.policy.reconnects(),
    })
}
