//! Reads the rows of a file in either format, which the content type tells.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};

use super::columns::PassedOver;
use super::decode::Decoder;
use super::header::{Header, is_nothing, is_preface};
use super::object::Object;
use super::row::RawRow;
use super::separator::Opening;
use super::{advice, csv, ndjson};
use crate::web::problem::Problem;

/// A row as it was written, or its fault, with its line.
pub(super) type NumberedRow = (u64, Result<RawRow, String>);

/// Splits a file into rows.
pub(super) struct Reader {
    decoder: Decoder,
    format: Format,
    /// Columns and members that are not read.
    passed_over: PassedOver,
}

enum Format {
    /// CSV of which too little has arrived to tell the separator.
    Opening(Opening),
    Csv(Box<csv::Reader>, Columns),
    Ndjson(ndjson::Reader),
    /// Nothing can be read of this file. One fault is told instead of one for each row.
    Refused,
}

/// The header line of a CSV file.
enum Columns {
    /// Has not arrived yet. The separator is known.
    Awaited(u8),
    Known(Header),
}

impl Reader {
    /// Makes a reader for the content type of the file.
    pub(super) fn for_type(headers: &HeaderMap) -> Result<Self, Problem> {
        let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let mut parts = value.unwrap_or_default().split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        // Another character set would store ids and names that look right and match nothing. A file in UTF-16 is
        // recognized without this parameter.
        let is_utf8 = parts
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
            .all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"));
        let format = match essence.as_str() {
            "text/csv" if is_utf8 => Format::Opening(Opening::default()),
            "application/x-ndjson" if is_utf8 => Format::Ndjson(ndjson::Reader::default()),
            _ => {
                return Err(Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "needs a Content-Type of text/csv or application/x-ndjson, in UTF-8",
                )
                .because("media_type"));
            }
        };
        Ok(Self {
            decoder: Decoder::default(),
            format,
            passed_over: PassedOver::default(),
        })
    }

    /// Reads a piece of the file, and returns the rows that it completes. An empty piece ends the file.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<NumberedRow> {
        if matches!(self.format, Format::Refused) {
            return Vec::new();
        }
        let is_end = piece.is_empty();
        let text = match self.decoder.decode(piece) {
            Ok(text) => text,
            Err(fault) => return self.refuse(1, fault),
        };
        // A piece may hold no whole character. To the readers, an empty piece is the end.
        let mut rows = Vec::new();
        if !text.is_empty() {
            rows.extend(self.read_text(&text));
        }
        if is_end {
            rows.extend(self.end());
        }
        rows
    }

    /// Names of what was not read.
    pub(super) fn passed_over(self) -> Vec<String> {
        self.passed_over.into_names()
    }

    fn read_text(&mut self, text: &[u8]) -> Vec<NumberedRow> {
        match &mut self.format {
            Format::Opening(opening) => match opening.read(text, false) {
                None => Vec::new(),
                Some((separator, text)) => self.open(separator, &text),
            },
            Format::Csv(reader, _) => {
                let mut rows = Vec::new();
                reader.read(text, &mut rows);
                self.csv_rows(rows)
            }
            Format::Ndjson(reader) => {
                let mut lines = Vec::new();
                reader.read(text, &mut lines);
                self.objects(lines)
            }
            Format::Refused => Vec::new(),
        }
    }

    /// Reads the first text of a CSV file, whose separator is known now.
    fn open(&mut self, separator: u8, text: &[u8]) -> Vec<NumberedRow> {
        if let Some(fault) = advice::json(text) {
            return self.refuse(1, fault.to_owned());
        }
        let reader = Box::new(csv::Reader::new(separator));
        self.format = Format::Csv(reader, Columns::Awaited(separator));
        // To the reader, an empty text is the end.
        if text.is_empty() {
            Vec::new()
        } else {
            self.read_text(text)
        }
    }

    fn end(&mut self) -> Vec<NumberedRow> {
        let mut rows = Vec::new();
        if let Format::Opening(opening) = &mut self.format
            && let Some((separator, text)) = opening.read(&[], true)
        {
            rows.extend(self.open(separator, &text));
        }
        rows.extend(self.read_text(&[]));
        if let Format::Csv(_, Columns::Awaited(_)) = &self.format {
            let fault = "the header line is missing; it begins a file, such as source,external_id,ticket_id";
            rows.extend(self.refuse(1, fault.to_owned()));
        }
        rows
    }

    fn csv_rows(&mut self, rows: Vec<csv::Row>) -> Vec<NumberedRow> {
        let mut read = Vec::new();
        for row in rows {
            let Format::Csv(_, columns) = &mut self.format else {
                break;
            };
            let fields = row.fields.map_err(str::to_owned);
            match columns {
                Columns::Awaited(separator) => {
                    let separator = *separator;
                    if fields.as_ref().is_ok_and(|fields| is_preface(fields)) {
                        continue;
                    }
                    match fields.and_then(|fields| Header::read(&fields, separator)) {
                        Ok(header) => {
                            self.passed_over.add(header.others.clone());
                            *columns = Columns::Known(header);
                        }
                        // Without its header no row can be read.
                        Err(fault) => read.extend(self.refuse(row.line, fault)),
                    }
                }
                Columns::Known(header) => match fields {
                    // Spreadsheets write rows of nothing behind the last one.
                    Ok(fields) if is_nothing(&fields) => {}
                    fields => {
                        let row_of = fields.and_then(|fields| header.row(&fields));
                        read.push((row.line, row_of));
                    }
                },
            }
        }
        read
    }

    fn objects(&mut self, lines: Vec<ndjson::Line>) -> Vec<NumberedRow> {
        let mut read = Vec::new();
        for (line, is_first, bytes) in lines {
            let bytes = bytes.map_err(str::to_owned);
            let is_array = |bytes: &Vec<u8>| bytes.trim_ascii_start().starts_with(b"[");
            if is_first && bytes.as_ref().is_ok_and(is_array) {
                return self.refuse(line, advice::ARRAY.to_owned());
            }
            let object = bytes.and_then(|bytes| Object::read(&bytes));
            read.push((
                line,
                object.map(|object| {
                    self.passed_over.add(object.others);
                    object.row
                }),
            ));
        }
        read
    }

    fn refuse(&mut self, line: u64, fault: String) -> Vec<NumberedRow> {
        self.format = Format::Refused;
        vec![(line, Err(fault))]
    }
}
