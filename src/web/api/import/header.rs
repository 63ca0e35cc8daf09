//! The header line of a CSV file: our columns in any order, and others, which are passed over.

use super::advice;
use super::columns::{COLUMNS, REQUIRED, column, short};
use super::formula::undone;
use super::row::RawRow;
use super::separator::is_about_the_file;

/// Order of the columns in a CSV file.
#[derive(Debug)]
pub(super) struct Header {
    /// Position of each of [`COLUMNS`] in the file.
    positions: [Option<usize>; COLUMNS.len()],
    width: usize,
    /// Names of the other columns.
    pub(super) others: Vec<String>,
}

impl Header {
    /// Reads the header line of a file with this separator.
    pub(super) fn read(fields: &[Vec<u8>], separator: u8) -> Result<Self, String> {
        let mut positions = [None; COLUMNS.len()];
        let mut others = Vec::new();
        for (position, field) in fields.iter().enumerate() {
            // The names of columns that are not ours may be in any encoding.
            let name = String::from_utf8_lossy(field);
            match column(&name) {
                None => others.push(short(&name)),
                Some(column) if positions[column].replace(position).is_some() => {
                    return Err(format!("the column {} is there twice", COLUMNS[column]));
                }
                Some(_) => {}
            }
        }
        let missing = (0..REQUIRED).filter(|column| positions[*column].is_none());
        let missing: Vec<_> = missing.map(|column| COLUMNS[column]).collect();
        if missing.is_empty() {
            let width = fields.len();
            return Ok(Self {
                positions,
                width,
                others,
            });
        }
        Err(advice::missing_columns(&missing, &others, separator))
    }

    /// Reads a row below the header line.
    pub(super) fn row(&self, fields: &[Vec<u8>]) -> Result<RawRow, String> {
        // Spreadsheets leave out empty fields at the end, or add some.
        let (excess, needed) = (
            fields.get(self.width..),
            self.positions.iter().flatten().take(REQUIRED),
        );
        let is_excess = excess.is_some_and(|excess| !is_nothing(excess));
        if is_excess || needed.max().is_some_and(|last| *last >= fields.len()) {
            return Err(format!(
                "the number of fields is {}, but the header line has {}",
                fields.len(),
                self.width
            ));
        }
        let cell = |column: usize| {
            let field = self.positions[column].and_then(|position| fields.get(position));
            field.map_or(Ok(""), |field| text(field).map(undone))
        };
        // Neither character can be in a message id: see `check_message_id`.
        let is_between = |c: char| c.is_whitespace() || c == ';';
        // Databases write NULL for nothing.
        let ids = Some(cell(3)?).filter(|ids| !ids.trim().eq_ignore_ascii_case("null"));
        let ids = ids
            .into_iter()
            .flat_map(|ids| ids.split(is_between))
            .filter(|id| !id.is_empty());
        Ok(RawRow {
            source: cell(0)?.to_owned(),
            external_id: cell(1)?.to_owned(),
            ticket_id: cell(2)?.to_owned(),
            accounted_for_message_ids: ids.map(str::to_owned).collect(),
        })
    }
}

/// True for a row of empty fields, and for one before the header line that tells something about the file.
pub(super) fn is_preface(fields: &[Vec<u8>]) -> bool {
    is_nothing(fields) || fields.first().is_some_and(|field| is_about_the_file(field))
}

/// True for a row of empty fields.
pub(super) fn is_nothing(fields: &[Vec<u8>]) -> bool {
    fields.iter().all(|field| field.trim_ascii().is_empty())
}

fn text(field: &[u8]) -> Result<&str, String> {
    str::from_utf8(field).map_err(|_| advice::not_text())
}
