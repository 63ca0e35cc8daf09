//! Reading CSV (RFC 4180) as it arrives, and writing its fields.
//!
//! Strict where leniency would guess: a stray or unclosed quote is a fault, because what follows it
//! may be anything. Invariant: never more than one row is held, and of that [`MAX_ROW`] bytes.

use super::{MAX_ROW, TOO_LONG};

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A row, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The line on which it begins, counted from 1.
    pub(super) line: u64,
    /// Its fields, unquoted.
    pub(super) fields: Result<Vec<Vec<u8>>, &'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a row.
    RowStart,
    /// Before the first byte of a further field.
    FieldStart,
    /// In a field without quotes.
    Plain,
    /// In a field with quotes.
    Quoted,
    /// After a quote in such a field: its end, or the first of a doubled one.
    Closed,
}

/// Turns chunks of a file into rows. Empty lines are no rows.
#[derive(Debug)]
pub(super) struct Reader {
    place: Place,
    /// Bytes of the byte order mark seen; all of them: past the beginning of the file.
    mark: usize,
    line: u64,
    last: u8,
    row_line: u64,
    row_size: usize,
    fields: Vec<Vec<u8>>,
    field: Vec<u8>,
    fault: Option<&'static str>,
}

impl Reader {
    /// At the beginning of a file.
    pub(super) fn new() -> Self {
        Self {
            place: Place::RowStart,
            mark: 0,
            line: 1,
            last: 0,
            row_line: 1,
            row_size: 0,
            fields: Vec::new(),
            field: Vec::new(),
            fault: None,
        }
    }

    /// Takes a chunk; `sink` gets the rows that it completes.
    pub(super) fn read(&mut self, chunk: &[u8], sink: &mut impl FnMut(Row)) {
        for byte in chunk {
            if self.mark < BYTE_ORDER_MARK.len() {
                if *byte == BYTE_ORDER_MARK[self.mark] {
                    self.mark += 1;
                    continue;
                }
                let begun = self.mark;
                self.mark = BYTE_ORDER_MARK.len();
                for byte in &BYTE_ORDER_MARK[..begun] {
                    self.byte(*byte, sink);
                }
            }
            self.byte(*byte, sink);
        }
    }

    /// The file is over; it need not end with a line break.
    pub(super) fn finish(mut self, sink: &mut impl FnMut(Row)) {
        match self.place {
            Place::RowStart => {}
            Place::Quoted => {
                self.fault
                    .get_or_insert("a quote is opened here and never closed");
                self.end_row(sink);
            }
            Place::FieldStart | Place::Plain | Place::Closed => self.end_row(sink),
        }
    }

    fn byte(&mut self, byte: u8, sink: &mut impl FnMut(Row)) {
        let is_break = matches!(byte, b'\n' | b'\r');
        if self.place == Place::RowStart && !is_break {
            self.row_line = self.line;
        }
        match (self.place, byte) {
            (Place::RowStart, b'\n' | b'\r') => {}
            (Place::Quoted, b'"') => self.place = Place::Closed,
            (Place::Quoted, _) => self.keep(byte),
            (Place::Closed, b'"') => {
                self.keep(byte);
                self.place = Place::Quoted;
            }
            (_, b'\n' | b'\r') => self.end_row(sink),
            (_, b',') => {
                self.end_field();
                self.place = Place::FieldStart;
            }
            (Place::RowStart | Place::FieldStart, b'"') => self.place = Place::Quoted,
            (Place::Closed, _) => {
                self.fault
                    .get_or_insert("there is text after a closing quote");
                self.place = Place::Plain;
            }
            (Place::Plain, b'"') => {
                self.fault.get_or_insert(
                    "there is a quote within a field: quote the field, and double the quote",
                );
            }
            (Place::RowStart | Place::FieldStart | Place::Plain, _) => {
                self.keep(byte);
                self.place = Place::Plain;
            }
        }
        // CR LF is one break, as are both alone.
        if byte == b'\r' || (byte == b'\n' && self.last != b'\r') {
            self.line += 1;
        }
        self.last = byte;
    }

    fn keep(&mut self, byte: u8) {
        if self.fits() {
            self.field.push(byte);
        }
    }

    fn end_field(&mut self) {
        if self.fits() {
            self.fields.push(std::mem::take(&mut self.field));
        }
    }

    /// Counts a byte of the row.
    fn fits(&mut self) -> bool {
        self.row_size += 1;
        if self.row_size > MAX_ROW {
            self.fault.get_or_insert(TOO_LONG);
        }
        self.fault.is_none()
    }

    fn end_row(&mut self, sink: &mut impl FnMut(Row)) {
        self.end_field();
        self.field.clear();
        let fields = std::mem::take(&mut self.fields);
        let fields = self.fault.take().map_or(Ok(fields), Err);
        self.row_size = 0;
        self.place = Place::RowStart;
        sink(Row {
            line: self.row_line,
            fields,
        });
    }
}

/// Writes a row.
pub(in crate::http::api) fn write_row<'a>(
    text: &mut String,
    fields: impl IntoIterator<Item = &'a str>,
) {
    for (n, field) in fields.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        if field.contains(['"', ',', '\r', '\n']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(field);
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests;
