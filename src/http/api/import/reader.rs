//! The two formats of an import, told apart by the content type.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};

use super::row::{self, Header, RawRow};
use super::{csv, ndjson};
use crate::http::Problem;

/// Turns chunks of a file into rows as they were written.
pub(super) enum Reader {
    Csv(csv::Reader, Columns),
    Ndjson(ndjson::Reader),
}

/// What is known of the header line of a CSV file.
pub(super) enum Columns {
    /// It has not come yet.
    Awaited,
    /// It says which column is which.
    Known(Header),
    /// It is faulty, so no row can be read.
    Unknown,
}

impl Columns {
    /// The row, or the fault; `None` for the header line and what follows a faulty one.
    fn read(&mut self, row: csv::Row) -> Option<Result<RawRow, String>> {
        let fields = row.fields.map_err(str::to_owned);
        match self {
            Self::Awaited => match fields.and_then(|fields| Header::read(&fields)) {
                Ok(header) => {
                    *self = Self::Known(header);
                    None
                }
                Err(fault) => {
                    *self = Self::Unknown;
                    Some(Err(fault))
                }
            },
            Self::Known(header) => Some(fields.and_then(|fields| header.row(&fields))),
            Self::Unknown => None,
        }
    }
}

impl Reader {
    /// For a file of the type that the header fields tell.
    pub(super) fn for_type(headers: &HeaderMap) -> Result<Self, Problem> {
        let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let mut parts = value.unwrap_or_default().split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_utf8 = parts
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
            .all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"));
        match essence.as_str() {
            "text/csv" if is_utf8 => Ok(Self::Csv(csv::Reader::new(), Columns::Awaited)),
            "application/x-ndjson" if is_utf8 => Ok(Self::Ndjson(ndjson::Reader::new())),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "needs a Content-Type of text/csv or application/x-ndjson, in UTF-8",
            )),
        }
    }

    /// Takes a piece of the file; `sink` gets the rows that it completes, with their lines.
    pub(super) fn read(
        &mut self,
        piece: &[u8],
        sink: &mut impl FnMut(u64, Result<RawRow, String>),
    ) {
        match self {
            Self::Csv(reader, columns) => reader.read(piece, &mut |row| {
                let line = row.line;
                if let Some(raw) = columns.read(row) {
                    sink(line, raw);
                }
            }),
            Self::Ndjson(reader) => reader.read(piece, &mut |line| sink(line.line, object(line))),
        }
    }

    /// The file is over.
    pub(super) fn finish(self, sink: &mut impl FnMut(u64, Result<RawRow, String>)) {
        match self {
            Self::Csv(reader, mut columns) => {
                reader.finish(&mut |row| {
                    let line = row.line;
                    if let Some(raw) = columns.read(row) {
                        sink(line, raw);
                    }
                });
                if matches!(columns, Columns::Awaited) {
                    let fault = "the header line is missing; it begins a file, such as \
                                 source,external_id,ticket_id";
                    sink(1, Err(fault.to_owned()));
                }
            }
            Self::Ndjson(reader) => reader.finish(&mut |line| sink(line.line, object(line))),
        }
    }
}

fn object(line: ndjson::Line) -> Result<RawRow, String> {
    let bytes = line.bytes.map_err(str::to_owned)?;
    row::from_json(&bytes)
}
