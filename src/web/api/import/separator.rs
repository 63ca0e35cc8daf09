//! Finds the character between the fields of a CSV file: a comma, or what a spreadsheet wrote instead.

use super::columns::column;

/// Characters that are tried, the likeliest first.
const USUAL: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The longest beginning of a file that is searched for a header line, in bytes.
const LONGEST: usize = 64 << 10;

/// Holds the beginning of a file until the separator is known.
#[derive(Debug, Default)]
pub(super) struct Opening(Vec<u8>);

impl Opening {
    /// Adds a piece. Returns the separator and all text so far once its header line has arrived, or the file has
    /// ended.
    pub(super) fn read(&mut self, piece: &[u8], is_end: bool) -> Option<(u8, Vec<u8>)> {
        self.0.extend_from_slice(piece);
        // Only a line end can complete the header line.
        let may_be_known = is_end || self.0.len() > LONGEST || piece.iter().copied().any(is_break);
        let separator = may_be_known.then(|| self.separator(is_end)).flatten()?;
        Some((separator, std::mem::take(&mut self.0)))
    }

    fn separator(&self, is_end: bool) -> Option<u8> {
        let is_all = is_end || self.0.len() > LONGEST;
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            let (line, after) = match line_end(rest) {
                Some(end) => rest.split_at(end + 1),
                None if is_all => (rest, &[][..]),
                None => return None,
            };
            if let Some(separator) = announced(line) {
                return Some(separator);
            }
            if !is_preface(line) {
                return Some(most_likely(line));
            }
            rest = after;
        }
        is_all.then_some(b',')
    }
}

/// True for a first field that tells something about the file: `sep=;` of Excel, `#TYPE` of `PowerShell`.
pub(super) fn is_about_the_file(field: &[u8]) -> bool {
    let begins = |with: &[u8]| {
        let start = field.get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    begins(b"sep=") || begins(b"#TYPE")
}

/// True for a line before the header line.
fn is_preface(line: &[u8]) -> bool {
    let is_nothing =
        |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"' || USUAL.contains(byte);
    line.iter().all(is_nothing) || is_about_the_file(unopened(line))
}

/// The separator that a `sep=` line names.
fn announced(line: &[u8]) -> Option<u8> {
    let line = unopened(line);
    if !is_about_the_file(line) {
        return None;
    }
    match line {
        [_, _, _, b'=', separator, ..] if is_possible(*separator) => Some(*separator),
        _ => None,
    }
}

fn is_possible(separator: u8) -> bool {
    separator == b'\t' || (separator.is_ascii_punctuation() && separator != b'"')
}

/// The separator that splits this header line into most of our columns; of those that do so equally well, the one
/// that is there most often.
fn most_likely(line: &[u8]) -> u8 {
    let rate = |separator: &u8| {
        let fields = || line.split(|byte| byte == separator);
        let known = fields().filter_map(|field| column(&String::from_utf8_lossy(unquoted(field))));
        (known.count(), fields().count())
    };
    // The last one of equals wins, so the likeliest is last.
    let found = USUAL.iter().rev().max_by_key(|separator| rate(separator));
    *found.expect("there are some")
}

/// The line without a quote at its beginning: some tools quote everything.
fn unopened(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\"").unwrap_or(line)
}

fn unquoted(field: &[u8]) -> &[u8] {
    let field = field.trim_ascii();
    let inner = field
        .strip_prefix(b"\"")
        .and_then(|field| field.strip_suffix(b"\""));
    inner.unwrap_or(field)
}

/// Place of the first line break that is not between quotes.
fn line_end(text: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    text.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && is_break(*byte)
    })
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, cut: usize) -> char {
        let mut opening = Opening::default();
        for piece in text.as_bytes().chunks(cut) {
            if let Some((separator, _)) = opening.read(piece, false) {
                return separator.into();
            }
        }
        let (separator, all) = opening.read(&[], true).expect("the file has ended");
        assert_eq!(all, text.as_bytes());
        separator.into()
    }

    #[test]
    fn the_separator_is_the_one_of_the_header_line() {
        for (text, expected) in [
            ("", ','),
            ("\n\r\n", ','),
            ("source,external_id,ticket_id\n", ','),
            ("source;external_id;ticket_id", ';'),
            ("\"source\"\t\"external_id\"\t\"ticket_id\"\r\n", '\t'),
            ("Source|External ID|Ticket ID\n", '|'),
            // The names of other columns may hold commas.
            ("source;external_id;ticket_id;a, b, c, d, e\n", ';'),
            ("source;external_id;ticket_id;\"a,\nb,c,d,e\"\nx,y,z", ';'),
            // Lines before the header line.
            ("#TYPE System.Object\r\nsource;external_id;ticket_id\n", ';'),
            ("\"#TYPE a,b,c\"\nsource;external_id;ticket_id\n", ';'),
            (";;\n\"\";\"\";\nsource;external_id;ticket_id\n", ';'),
            ("sep=;\r\nsource;external_id;ticket_id\n", ';'),
            ("\"sep=;\"\r\nsource;external_id;ticket_id\n", ';'),
            ("SEP=\t\nsource\texternal_id\tticket_id\n", '\t'),
            ("sep=^\nsource^external_id^ticket_id\n", '^'),
            ("sep=\nsource;external_id;ticket_id\n", ';'),
            ("sep=x\nsource;external_id;ticket_id\n", ';'),
            // None of our columns: what is there most often.
            ("a;b;c,d\n", ';'),
            ("source external_id ticket_id\n", ','),
            ("servicenow", ','),
        ] {
            for cut in [1, 3, 1000] {
                assert_eq!(found(text, cut), expected, "{text:?} {cut}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut opening = Opening::default();
        let piece = vec![b';'; LONGEST];
        assert_eq!(opening.read(&piece, false), None);
        let (_, held) = opening.read(b"x", false).expect("that is enough");
        assert_eq!(held.len(), LONGEST + 1);
    }
}
