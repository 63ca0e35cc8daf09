//! Reads one JSON object per line as the file arrives.
//!
//! Invariant: at most one line is held in memory, and at most [`MAX_ROW`] bytes of it.

use super::row::{MAX_ROW, TOO_LONG};

/// Number of a line that is not blank, from 1; and its bytes without the line break, or its fault.
pub(super) type Line = (u64, Result<Vec<u8>, &'static str>);

/// Splits a file into lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Complete lines so far.
    ended: u64,
    held: Vec<u8>,
    is_too_long: bool,
}

impl Reader {
    /// Reads a piece of the file and adds the lines that it completes. An empty piece ends the file.
    pub(super) fn read(&mut self, piece: &[u8], lines: &mut Vec<Line>) {
        if piece.is_empty() {
            lines.extend(self.end_line());
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            // A line may be spread over several pieces, so its length is added up.
            self.is_too_long |= self.held.len() + text.len() > MAX_ROW;
            if self.is_too_long {
                self.held.clear();
            } else {
                self.held.extend_from_slice(text);
            }
            if part.ends_with(b"\n") {
                lines.extend(self.end_line());
            }
        }
    }

    fn end_line(&mut self) -> Option<Line> {
        let mut bytes = std::mem::take(&mut self.held);
        if self.ended == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        self.ended += 1;
        // Nothing is held of a line that is too long, so it would look blank.
        if std::mem::take(&mut self.is_too_long) {
            return Some((self.ended, Err(TOO_LONG)));
        }
        let is_blank = bytes.trim_ascii().is_empty();
        (!is_blank).then_some((self.ended, Ok(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], cut: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Vec::new();
        let mut reader = Reader::default();
        for chunk in text.chunks(cut) {
            reader.read(chunk, &mut lines);
        }
        reader.read(&[], &mut lines);
        let shown = lines.into_iter().map(|(line, bytes)| (line, bytes.ok()));
        shown.collect()
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
