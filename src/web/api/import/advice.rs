//! Faults of files that cannot be read: they say what was found, and how to save it right.

/// The way to a file that can be read.
pub(super) const HOW_TO_SAVE: &str = "in Excel, save it with \"Save As\", type \"CSV UTF-8 (Comma delimited)\", and import that file";
/// A fault of a whole file.
pub(super) const ARRAY: &str =
    "this is a JSON array; one object a line is expected, such as `jq -c '.[]'` makes of it";
const JSON: &str = "this is JSON, expected CSV: import it as NDJSON (--format ndjson, or a Content-Type of \
                               application/x-ndjson)";

/// Number of names of a header line that a fault repeats.
const MANY: usize = 8;

/// Files that are no text, by their first bytes.
const FOREIGN: [(&[u8], &str); 3] = [
    (
        b"PK\x03\x04",
        "a workbook (.xlsx or .ods) or another archive",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"\x1f\x8b", "compressed (gzip)"),
];

/// Names the kind of a file that begins like this, if it is no text.
pub(super) fn foreign(opening: &[u8]) -> Option<&'static str> {
    let found = FOREIGN.iter().find(|(first, _)| opening.starts_with(first));
    found.map(|(_, what)| *what)
}

/// A fault of a file in place of CSV that begins like this, if it is JSON.
pub(super) fn json(opening: &[u8]) -> Option<&'static str> {
    match opening.trim_ascii_start().first() {
        Some(b'[') => Some(ARRAY),
        Some(b'{') => Some(JSON),
        Some(_) | None => None,
    }
}

/// A fault of a field that is not UTF-8.
pub(super) fn not_text() -> String {
    format!("this is neither UTF-8 nor UTF-16: {HOW_TO_SAVE}")
}

/// A fault of a header line without these columns, which has these others.
pub(super) fn missing_columns(missing: &[&str], found: &[String], separator: u8) -> String {
    let (columns, are) = match missing {
        [_] => ("column", "is"),
        _ => ("columns", "are"),
    };
    let missing = missing.join(", ");
    let found: Vec<_> = found.iter().filter(|name| !name.is_empty()).collect();
    let found = match found.as_slice() {
        [] => String::new(),
        [only] => format!("; it has {only:?}"),
        [first @ .., last] => {
            let first: Vec<_> = first
                .iter()
                .take(MANY)
                .map(|name| format!("{name:?}"))
                .collect();
            let between = named(separator);
            format!(
                "; it has {} and {last:?}, separated by {between}",
                first.join(", ")
            )
        }
    };
    format!(
        "the {columns} {missing} {are} missing from the header line{found}. The first line names the columns, such as \
         source,external_id,ticket_id"
    )
}

fn named(separator: u8) -> String {
    match separator {
        b',' => "commas".to_owned(),
        b';' => "semicolons".to_owned(),
        b'\t' => "tabs".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_is_there() {
        for (missing, found, separator, expected) in [
            (
                &["ticket_id"][..],
                &["comment", ""][..],
                b';',
                "the column ticket_id is missing from the header line; it has \"comment\". ",
            ),
            (
                &["source", "ticket_id"],
                &["a", "b", "c"],
                b'\t',
                "the columns source, ticket_id are missing from the header line; it has \"a\", \"b\" and \"c\", \
                 separated by tabs. ",
            ),
            (
                &["source"],
                &[],
                b',',
                "the column source is missing from the header line. ",
            ),
        ] {
            let found: Vec<_> = found.iter().map(|name| (*name).to_owned()).collect();
            let said = missing_columns(missing, &found, separator);
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
