//! Reads CSV as it arrives, strictly by RFC 4180.
//!
//! `csv_core` splits the fields. It accepts any quoting, which would be a guess: the text after an
//! unclosed quote may be anything. So this file checks the quotes, and adds line numbers and a limit.
//!
//! Invariant: at most one row is held in memory, and at most [`MAX_ROW`] bytes of it.

use csv_core::ReadRecordResult;

use super::row::{MAX_ROW, TOO_LONG};

/// A row, or its fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Number of its first line, from 1.
    pub(super) line: u64,
    /// Its fields, without quotes.
    pub(super) fields: Result<Vec<Vec<u8>>, &'static str>,
}

/// Splits a file into rows. Empty lines are not rows.
#[derive(Debug)]
pub(super) struct Reader {
    core: csv_core::Reader,
    separator: u8,
    /// Number of the current line, from 1.
    line: u64,
    /// The byte before the next one.
    last: u8,
    /// First line of the current row; `None` between two rows.
    row_line: Option<u64>,
    /// Text of the row's fields, of which `text_len` bytes are in use.
    text: Vec<u8>,
    text_len: usize,
    /// Ends of the fields in `text`, of which `field_count` are in use.
    ends: Vec<usize>,
    field_count: usize,
    /// True between an opening and a closing quote.
    is_quoted: bool,
    fault: Option<&'static str>,
}

impl Reader {
    /// Reads a file whose fields are separated by this character.
    pub(super) fn new(separator: u8) -> Self {
        let mut core = csv_core::ReaderBuilder::new().delimiter(separator).build();
        // csv_core removes a byte order mark from its first input, but only if it is complete there.
        // After this empty line it does not.
        core.read_record(b"\n", &mut [0], &mut [0]);
        Self {
            core,
            separator,
            line: 1,
            last: b'\n',
            row_line: None,
            text: vec![0; 4096],
            text_len: 0,
            ends: vec![0; 64],
            field_count: 0,
            is_quoted: false,
            fault: None,
        }
    }

    /// Reads a piece of the file and adds the rows that it completes. An empty piece ends the file.
    pub(super) fn read(&mut self, piece: &[u8], rows: &mut Vec<Row>) {
        let is_end = piece.is_empty();
        self.split(piece, rows);
        // The last row need not end with a line break: csv_core completes it on empty input.
        if is_end && let Some(line) = self.row_line {
            if self.is_quoted {
                self.fault
                    .get_or_insert("a quote is opened here and never closed");
            }
            // It may take several calls: the first ones can ask for more room.
            while self.row_line == Some(line) {
                self.step(&[], rows);
            }
        }
    }

    fn split(&mut self, mut input: &[u8], rows: &mut Vec<Row>) {
        while !input.is_empty() {
            if self.row_line.is_none() {
                // csv_core would count empty lines as a part of the next row.
                let breaks = input.iter().take_while(|byte| is_break(**byte)).count();
                self.look_at(&input[..breaks]);
                input = &input[breaks..];
                self.row_line = (!input.is_empty()).then_some(self.line);
            } else {
                input = &input[self.step(input, rows)..];
            }
        }
    }

    /// Splits a part of the input; returns the length of that part.
    fn step(&mut self, input: &[u8], rows: &mut Vec<Row>) -> usize {
        let (result, length, text, ends) = self.core.read_record(
            input,
            &mut self.text[self.text_len..],
            &mut self.ends[self.field_count..],
        );
        self.look_at(&input[..length]);
        self.text_len += text;
        self.field_count += ends;
        match result {
            ReadRecordResult::InputEmpty => {}
            // The buffers grow only as far as one row may be long. A file without line ends cannot
            // fill the memory.
            ReadRecordResult::OutputFull if self.text.len() < MAX_ROW => {
                self.text.resize(2 * self.text.len(), 0);
            }
            ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_ROW => {
                self.ends.resize(2 * self.ends.len(), 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                // The rest of the row is still read, and dropped, so that the next rows keep their
                // line numbers.
                self.fault.get_or_insert(TOO_LONG);
                (self.text_len, self.field_count) = (0, 0);
            }
            ReadRecordResult::Record | ReadRecordResult::End => rows.extend(self.end_row()),
        }
        length
    }

    /// Counts lines, and checks that quotes stand only around a field, or doubled within it.
    fn look_at(&mut self, input: &[u8]) {
        for &byte in input {
            let ends_field = |byte| byte == self.separator || is_break(byte);
            let fault = match (byte, self.last) {
                _ if self.is_quoted => None,
                (b'"', b'"') => None,
                (b'"', last) if ends_field(last) => None,
                (byte, _) if ends_field(byte) => None,
                (b'"', _) => {
                    Some("there is a quote within a field: quote the field, and double the quote")
                }
                (_, b'"') => Some("there is text after a closing quote"),
                _ => None,
            };
            self.fault = self.fault.or(fault);
            self.is_quoted ^= byte == b'"';
            // CR LF is one break, and each of them alone is one, too.
            self.line += u64::from(byte == b'\r' || (byte == b'\n' && self.last != b'\r'));
            self.last = byte;
        }
    }

    fn end_row(&mut self) -> Option<Row> {
        let line = self.row_line.take()?;
        let ends = &self.ends[..std::mem::take(&mut self.field_count)];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let fields = starts.zip(ends);
        let fields = fields.map(|(start, end)| self.text[start..*end].to_vec());
        let fields = match self.fault.take() {
            None => Ok(fields.collect()),
            Some(fault) => Err(fault),
        };
        self.text_len = 0;
        self.is_quoted = false;
        Some(Row { line, fields })
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(chunks: &[&[u8]]) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut reader = Reader::new(b',');
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            reader.read(chunk, &mut rows);
        }
        reader.read(&[], &mut rows);
        rows
    }

    /// `line: field|field` or `line! fault`
    fn shown(text: &[u8]) -> Vec<String> {
        let show = |row: Row| match row.fields {
            Ok(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|field| String::from_utf8_lossy(field))
                    .collect();
                format!("{}: {}", row.line, fields.join("|"))
            }
            Err(fault) => format!("{}! {fault}", row.line),
        };
        rows(&[text]).into_iter().map(show).collect()
    }

    #[test]
    fn rows_know_their_line() {
        let cases: [(&str, &[&str]); 14] = [
            ("", &[]),
            ("\n\r\n\r", &[]),
            ("a,b\nc,d\n", &["1: a|b", "2: c|d"]),
            ("a,b\r\nc,d\r\n", &["1: a|b", "2: c|d"]),
            ("a,b\rc,d", &["1: a|b", "2: c|d"]),
            ("a\n\n\n b \n", &["1: a", "4:  b "]),
            ("a,\n,\n\"\"\n", &["1: a|", "2: |", "3: "]),
            ("\"a\nb\r\nc\",d\ne", &["1: a\nb\r\nc|d", "4: e"]),
            ("\"a\"\"b\",\"c,d\"", &["1: a\"b|c,d"]),
            (
                "a\"b\nc",
                &[
                    "1! there is a quote within a field: quote the field, and double the quote",
                    "2: c",
                ],
            ),
            (
                "\"a\" ,b\nc",
                &["1! there is text after a closing quote", "2: c"],
            ),
            (
                "a\n\"b\nc\nd",
                &["1: a", "2! a quote is opened here and never closed"],
            ),
            ("\"\"", &["1: "]),
            ("a\0b\n", &["1: a\0b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_not_held() {
        for long in [
            "x".repeat(MAX_ROW + 1),
            ",".repeat(MAX_ROW + 1),
            format!("\"{}\"", "\n".repeat(MAX_ROW + 1)),
        ] {
            let text = format!("a\n{long}\nb");
            let shown = shown(text.as_bytes());
            assert_eq!(shown.len(), 3);
            assert_eq!(shown[1], format!("2! {TOO_LONG}"));
            assert!(shown[2].ends_with(": b"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_however_it_is_cut(
            table in prop::collection::vec(prop::collection::vec("[a\"',\r\n é]{0,5}", 2..4), 0..6),
            cut in 1_usize..7,
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let chunks: Vec<&[u8]> = text.chunks(cut).collect();
            let read: Vec<Vec<Vec<u8>>> =
                rows(&chunks).into_iter().map(|row| row.fields.unwrap()).collect();
            let written: Vec<Vec<Vec<u8>>> = table
                .iter()
                .map(|row| row.iter().map(|field| field.as_bytes().to_vec()).collect())
                .collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn no_bytes_make_it_panic_and_cuts_do_not_matter(
            bytes in prop::collection::vec(
                prop::sample::select(b"a\",\r\n\xef\xbb\xbf\0".to_vec()), 0..40),
            cut in 1_usize..5,
        ) {
            let chunks: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(rows(&chunks), rows(&[&bytes]));
        }
    }
}
