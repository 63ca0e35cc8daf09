//! Every way to quote, break and cut a file.

use proptest::prelude::*;

use super::*;

fn rows(chunks: &[&[u8]]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut reader = Reader::new();
    for chunk in chunks {
        reader.read(chunk, &mut |row| rows.push(row));
    }
    reader.finish(&mut |row| rows.push(row));
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
    let cases: [(&str, &[&str]); 17] = [
        ("", &[]),
        ("\n\r\n\r", &[]),
        ("\u{feff}", &[]),
        ("a,b\nc,d\n", &["1: a|b", "2: c|d"]),
        ("a,b\r\nc,d\r\n", &["1: a|b", "2: c|d"]),
        ("a,b\rc,d", &["1: a|b", "2: c|d"]),
        ("\u{feff}\"a\",b", &["1: a|b"]),
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
        ("\u{feff}\u{feff}a", &["1: \u{feff}a"]),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text.as_bytes()), expected, "{text:?}");
    }
    // The beginning of a byte order mark is not one.
    let half = rows(&[b"\xef\xbbx"]);
    assert_eq!(half[0].fields, Ok(vec![b"\xef\xbbx".to_vec()]));
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
        let mut text = String::new();
        for row in &table {
            write_row(&mut text, row.iter().map(String::as_str));
        }
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
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
