//! Reads the rows of a file in either format, which the content type tells.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};

use super::row::{self, Header, RawRow};
use super::{csv, ndjson};
use crate::web::problem::Problem;

/// A row as it was written, or its fault, with its line.
pub(super) type NumberedRow = (u64, Result<RawRow, String>);

/// Splits a file into rows.
pub(super) enum Reader {
    Csv(Box<csv::Reader>, Columns),
    Ndjson(ndjson::Reader),
}

/// The header line of a CSV file.
pub(super) enum Columns {
    /// Has not arrived yet.
    Awaited,
    Known(Header),
    /// Faulty, so no row can be read.
    Unknown,
}

impl Columns {
    /// Reads a row; `None` for the header line, and for rows after a faulty header line.
    fn read(&mut self, row: csv::Row) -> Option<NumberedRow> {
        let fields = row.fields.map_err(str::to_owned);
        let read = match self {
            Self::Awaited => match fields.and_then(|fields| Header::read(&fields)) {
                Ok(header) => {
                    *self = Self::Known(header);
                    return None;
                }
                Err(fault) => {
                    // Without its header no row can be read. One fault is told instead of one for
                    // each row.
                    *self = Self::Unknown;
                    Err(fault)
                }
            },
            Self::Known(header) => fields.and_then(|fields| header.row(&fields)),
            Self::Unknown => return None,
        };
        Some((row.line, read))
    }
}

impl Reader {
    /// Makes a reader for the content type of the file.
    pub(super) fn for_type(headers: &HeaderMap) -> Result<Self, Problem> {
        let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let mut parts = value.unwrap_or_default().split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        // Another character set would store ids and names that look right and match nothing.
        let is_utf8 = parts
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
            .all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"));
        match essence.as_str() {
            "text/csv" if is_utf8 => Ok(Self::Csv(Box::new(csv::Reader::new()), Columns::Awaited)),
            "application/x-ndjson" if is_utf8 => Ok(Self::Ndjson(ndjson::Reader::default())),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "needs a Content-Type of text/csv or application/x-ndjson, in UTF-8",
            )
            .because("media_type")),
        }
    }

    /// Reads a piece of the file, and returns the rows that it completes. An empty piece ends the file.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<NumberedRow> {
        match self {
            Self::Csv(reader, columns) => {
                let mut rows = Vec::new();
                reader.read(piece, &mut rows);
                let rows = rows.into_iter().filter_map(|row| columns.read(row));
                let mut rows: Vec<_> = rows.collect();
                if piece.is_empty() && matches!(columns, Columns::Awaited) {
                    let fault = "the header line is missing; it begins a file, such as \
                                 source,external_id,ticket_id";
                    rows.push((1, Err(fault.to_owned())));
                }
                rows
            }
            Self::Ndjson(reader) => {
                let mut lines = Vec::new();
                reader.read(piece, &mut lines);
                let object = |(line, bytes): ndjson::Line| {
                    let bytes = bytes.map_err(str::to_owned);
                    (line, bytes.and_then(|bytes| row::from_json(&bytes)))
                };
                lines.into_iter().map(object).collect()
            }
        }
    }
}
