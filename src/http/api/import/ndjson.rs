//! Reading one JSON object a line as it arrives.
//!
//! Invariant: never more than one line is held, and of that [`MAX_ROW`] bytes.

use super::{MAX_ROW, TOO_LONG};

/// A line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, counted from 1.
    pub(super) line: u64,
    /// Its bytes, without the break.
    pub(super) bytes: Result<Vec<u8>, &'static str>,
}

/// Turns chunks of a file into lines.
#[derive(Debug)]
pub(super) struct Reader {
    line: u64,
    held: Vec<u8>,
    is_too_long: bool,
}

impl Reader {
    /// At the beginning of a file.
    pub(super) fn new() -> Self {
        Self {
            line: 1,
            held: Vec::new(),
            is_too_long: false,
        }
    }

    /// Takes a chunk; `sink` gets the lines that it completes.
    pub(super) fn read(&mut self, chunk: &[u8], sink: &mut impl FnMut(Line)) {
        let mut pieces = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.keep(piece);
            if pieces.peek().is_some() {
                self.end_line(sink);
                self.line += 1;
            }
        }
    }

    /// The file is over; it need not end with a line break.
    pub(super) fn finish(mut self, sink: &mut impl FnMut(Line)) {
        self.end_line(sink);
    }

    fn keep(&mut self, piece: &[u8]) {
        self.is_too_long |= self.held.len() + piece.len() > MAX_ROW;
        if self.is_too_long {
            self.held.clear();
        } else {
            self.held.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self, sink: &mut impl FnMut(Line)) {
        let mut bytes = std::mem::take(&mut self.held);
        if self.line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        let is_too_long = std::mem::take(&mut self.is_too_long);
        if is_too_long || !bytes.trim_ascii().is_empty() {
            let bytes = if is_too_long {
                Err(TOO_LONG)
            } else {
                Ok(bytes)
            };
            let line = self.line;
            sink(Line { line, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], cut: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Vec::new();
        let mut sink = |line: Line| lines.push((line.line, line.bytes.ok()));
        let mut reader = Reader::new();
        for chunk in text.chunks(cut) {
            reader.read(chunk, &mut sink);
        }
        reader.finish(&mut sink);
        lines
    }

    #[test]
    fn lines_are_numbered_however_the_file_is_cut() {
        let long = "x".repeat(MAX_ROW + 1);
        let text = format!("\u{feff}{{}}\r\n\n  \n[1]\n{long}\n\nlast");
        let line = |number, text: &str| (number, Some(text.as_bytes().to_vec()));
        let expected = vec![line(1, "{}\r"), line(4, "[1]"), (5, None), line(7, "last")];
        for cut in [1, 2, 3, 1000, text.len()] {
            assert_eq!(lines(text.as_bytes(), cut), expected, "{cut}");
        }
        assert_eq!(lines(b"", 1), []);
    }
}
