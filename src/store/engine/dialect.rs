//! Turns the text of a statement, which is written for `SQLite`, into the text for Postgres.

/// Phrases of `SQLite` and what stands for them in Postgres. A name follows `INDEXED BY`, which goes with it.
///
/// `INDEXED BY` and `CROSS JOIN` hold the planner of `SQLite` to a plan. For that of Postgres there are the settings of
/// the connection. `OR FAIL` saves `SQLite` the journal for undoing one statement.
const PHRASES: [(&str, &str); 3] = [
    ("INDEXED BY ", ""),
    ("CROSS JOIN", "JOIN"),
    ("INSERT OR FAIL", "INSERT"),
];

/// Returns the text for Postgres. A `?` becomes the next of `$1`, `$2` and so on.
pub(super) fn postgres(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut placeholders = 0_usize;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        // Nothing is replaced in comments and in quoted texts.
        let untouched = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if next == '\'' {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else {
            0
        };
        if untouched > 0 {
            out.push_str(&rest[..untouched]);
            rest = &rest[untouched..];
        } else if next == '?' {
            placeholders += 1;
            out.push('$');
            out.push_str(&placeholders.to_string());
            rest = &rest[1..];
        } else if let Some((phrase, instead)) = PHRASES.iter().find(|(p, _)| rest.starts_with(p)) {
            rest = &rest[phrase.len()..];
            if instead.is_empty() {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                rest = rest.trim_start_matches(is_name);
            }
            out.push_str(instead);
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// Adds `by` to the number of each placeholder.
pub(super) fn shifted(text: &str, by: usize) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut parts = text.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit());
        let (number, rest) = part.split_at(end.unwrap_or(part.len()));
        out.push('$');
        match number.parse::<usize>() {
            Ok(number) => out.push_str(&(number + by).to_string()),
            Err(_) => out.push_str(number),
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_counted_on() {
        let rows = [
            ("SELECT $1, $2::text[]", "SELECT $4, $5::text[]"),
            ("$10", "$13"),
            ("SELECT 'US$'", "SELECT 'US$'"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(shifted(text, 3), expected);
        }
    }

    #[test]
    fn phrases_and_placeholders_are_replaced_and_nothing_else() {
        let rows = [
            ("SELECT 1", "SELECT 1"),
            (
                "SELECT e.id FROM events AS e INDEXED BY events_due WHERE e.id = $1",
                "SELECT e.id FROM events AS e  WHERE e.id = $1",
            ),
            ("a CROSS JOIN b ON TRUE", "a JOIN b ON TRUE"),
            (
                "INSERT OR FAIL INTO t VALUES (?, ?)",
                "INSERT INTO t VALUES ($1, $2)",
            ),
            (
                "-- why? CROSS JOIN\nSELECT '?', 'it''s ?', ?",
                "-- why? CROSS JOIN\nSELECT '?', 'it''s ?', $1",
            ),
            ("SELECT '\u{e9}?", "SELECT '\u{e9}?"),
            ("", ""),
        ];
        for (sqlite, expected) in rows {
            assert_eq!(postgres(sqlite), expected);
        }
    }
}
