//! Errors of serde in plain words: those that name types of Rust are said anew.

/// Whole sentences, and ours in their place.
const SENTENCES: [(&str, &str); 5] = [
    ("invalid digit found in string", "this is no whole number"),
    (
        "cannot parse integer from empty string",
        "this is empty, expected a whole number",
    ),
    (
        "number too large to fit in target type",
        "this number is too large",
    ),
    (
        "number too small to fit in target type",
        "this number is too small",
    ),
    // Of a word in a body.
    (
        "expected value",
        "this is none of the words that are allowed here",
    ),
];

/// The error, without its place in the text and without names of Rust types.
pub(super) fn plain(error: &str) -> String {
    // The place at the end counts lines of a body that the sender wrote in one line.
    let text = error.split(" at line ").next().unwrap_or(error);
    let text = text
        .strip_prefix("Failed to deserialize query string: ")
        .unwrap_or(text);
    // Whole sentences first: some of them also begin with words that are read below.
    for (theirs, ours) in SENTENCES {
        if let Some(member) = text.strip_suffix(theirs) {
            return format!("{member}{ours}");
        }
    }
    if let Some((member, rest)) = text.split_once("unknown variant ") {
        return format!("{member}this is {rest}");
    }
    let said = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))
        .or_else(|| text.strip_prefix("invalid length "));
    // A sentence of a later version of the library is passed on as it is: less plain, but true.
    let Some((found, expected)) = said.and_then(|said| said.rsplit_once(", expected ")) else {
        return text.to_owned();
    };
    let (found, expected) = (found_in_words(found), expected_in_words(expected));
    if found == NUMBER && !expected.contains("number") {
        return format!("this is a number, expected {expected}");
    }
    format!("this is {found}, expected {expected}")
}

/// A number that does not fit, where a number is expected.
const NUMBER: &str = "a number of another kind or size";

/// Kind of the thing that serde found. Its content is left out: it may be long.
fn found_in_words(found: &str) -> &'static str {
    match found.split([' ', '(']).next().unwrap_or_default() {
        "map" => "an object",
        "sequence" => "a list",
        "string" | "character" => "text",
        "integer" | "floating" => NUMBER,
        "boolean" => "true or false",
        "null" | "unit" | "Option" => "null",
        // The length of a list.
        length if length.starts_with(|c: char| c.is_ascii_digit()) => "a list",
        _ => "something else",
    }
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" | "string or map" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "unit" | "null" => "null",
        _ if expected.starts_with("struct ") || expected == "a map" => "an object",
        _ if expected.starts_with("enum ") => "one of the words that are allowed here",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Yes,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "is only read")]
    struct All {
        text: String,
        #[serde(default)]
        flag: bool,
        #[serde(default)]
        list: Vec<String>,
        limit: Option<u32>,
        size: Option<i64>,
        word: Option<Word>,
        map: Option<BTreeMap<String, u64>>,
        inner: Option<Box<All>>,
    }

    #[test]
    fn no_message_names_a_type_of_rust() {
        for (json, expected) in [
            ("[]", "this is a list, expected an object"),
            ("5", "this is a number, expected an object"),
            ("null", "this is null, expected an object"),
            (r#""a, expected b""#, "this is text, expected an object"),
            (r#"{"text":{}}"#, "this is an object, expected text"),
            (r#"{"text":[]}"#, "this is a list, expected text"),
            (r#"{"text":1}"#, "this is a number, expected text"),
            (r#"{"text":1.5}"#, "this is a number, expected text"),
            (r#"{"text":true}"#, "this is true or false, expected text"),
            (r#"{"text":null}"#, "this is null, expected text"),
            (r#"{"flag":"yes"}"#, "this is text, expected true or false"),
            (r#"{"flag":null}"#, "this is null, expected true or false"),
            (r#"{"list":{}}"#, "this is an object, expected a list"),
            (r#"{"list":[null]}"#, "this is null, expected text"),
            (
                r#"{"limit":-1}"#,
                "this is a number of another kind or size, expected a whole number that is not negative",
            ),
            (r#"{"size":"1"}"#, "this is text, expected a whole number"),
            (r#"{"map":[]}"#, "this is a list, expected an object"),
            (r#"{"word":"no"}"#, "this is `no`, expected `yes`"),
            (
                r#"{"word":1}"#,
                "this is none of the words that are allowed here",
            ),
            (r#"{"inner":"x"}"#, "this is text, expected an object"),
            ("{}", "missing field `text`"),
            (r#"{"text":"","text":""}"#, "duplicate field `text`"),
        ] {
            let error = serde_json::from_str::<All>(json).unwrap_err();
            assert_eq!(plain(&error.to_string()), expected, "{json}: {error}");
        }
        assert!(matches!(serde_json::from_str("\"yes\""), Ok(Word::Yes)));
    }
    #[test]
    fn a_query_is_explained_in_the_same_words() {
        for (query, expected) in [
            ("text=a&limit=x", "limit: this is no whole number"),
            (
                "text=a&limit=",
                "limit: this is empty, expected a whole number",
            ),
            (
                "text=a&limit=99999999999",
                "limit: this number is too large",
            ),
            ("text=a&limit=-1", "limit: this is no whole number"),
            (
                "text=a&size=-99999999999999999999",
                "size: this number is too small",
            ),
            ("text=a&word=no", "word: this is `no`, expected `yes`"),
            ("", "missing field `text`"),
        ] {
            let uri = format!("/?{query}").parse().unwrap();
            let read = axum::extract::Query::<All>::try_from_uri(&uri);
            assert_eq!(plain(&read.unwrap_err().body_text()), expected, "{query}");
        }
    }
}
