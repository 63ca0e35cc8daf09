//! Reads one JSON object per line as the file arrives.
//!
//! Invariant: at most one line is held in memory, and at most [`MAX_ROW`] bytes of it.

use super::row::{MAX_ROW, TOO_LONG};

/// Number of a line that is not blank, from 1; true for the first of these; and its bytes without the line break,
/// or its fault.
pub(super) type Line = (u64, bool, Result<Vec<u8>, &'static str>);

/// Splits a file into lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Complete lines so far.
    ended: u64,
    /// True once a line was not blank.
    has_begun: bool,
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
        let bytes = std::mem::take(&mut self.held);
        self.ended += 1;
        // Nothing is held of a line that is too long, so it would look blank.
        let is_too_long = std::mem::take(&mut self.is_too_long);
        if bytes.trim_ascii().is_empty() && !is_too_long {
            return None;
        }
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let bytes = if is_too_long {
            Err(TOO_LONG)
        } else {
            Ok(bytes)
        };
        Some((self.ended, is_first, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], cut: usize) -> Vec<(u64, bool, Option<Vec<u8>>)> {
        let mut lines = Vec::new();
        let mut reader = Reader::default();
        for chunk in text.chunks(cut) {
            reader.read(chunk, &mut lines);
        }
        reader.read(&[], &mut lines);
        let shown = lines.into_iter();
        let shown = shown.map(|(line, is_first, bytes)| (line, is_first, bytes.ok()));
        shown.collect()
    }

    #[test]
    fn lines_are_numbered_however_the_file_is_cut() {
        let long = "x".repeat(MAX_ROW + 1);
        let text = format!("\n{{}}\r\n\n  \n[1]\n{long}\n\nlast");
        let line = |number, text: &str| (number, number == 2, Some(text.as_bytes().to_vec()));
        let expected = vec![
            line(2, "{}\r"),
            line(5, "[1]"),
            (6, false, None),
            line(8, "last"),
        ];
        for cut in [1, 2, 3, 1000, text.len()] {
            assert_eq!(lines(text.as_bytes(), cut), expected, "{cut}");
        }
        assert_eq!(lines(b"", 1), []);
    }
}
