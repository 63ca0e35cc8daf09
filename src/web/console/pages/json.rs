//! Adds line breaks and indents to JSON, without changing any of its characters.

/// Deepest indent: a body of nested brackets must not become a page of blanks.
const MAX_DEPTH: usize = 24;

/// Breaks JSON into lines. Texts, numbers and the order of keys stay as they are. A text that is not JSON
/// may be broken in odd places.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                text(&mut chars, &mut out);
            }
            '{' | '[' => {
                out.push(c);
                // Looks ahead, so that an empty object or list stays on its line.
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                // A text that is not JSON may close more than it opened.
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// The rest of a string, up to its closing quote.
fn text(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth.min(MAX_DEPTH) {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_numbers_and_texts_stay_as_they_are() {
        let json = r#"{"b":1.50,"a":["x, {y}: \"z\\",{ },[ ],null],"b":1e400}"#;
        assert_eq!(
            pretty(json),
            "{\n  \"b\": 1.50,\n  \"a\": [\n    \"x, {y}: \\\"z\\\\\",\n    {},\n    [],\n    \
             null\n  ],\n  \"b\": 1e400\n}"
        );
    }

    #[test]
    fn depth_costs_no_more_than_it_must() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(pretty(&deep).len() < deep.len() * (2 * MAX_DEPTH + 2));
    }

    proptest! {
        #[test]
        fn what_is_json_is_the_same_json(text in any::<String>(), n in any::<i64>()) {
            let value = serde_json::json!({ "k": [text, n, { "e": {} }], "l": [] });
            let again: serde_json::Value =
                serde_json::from_str(&pretty(&value.to_string())).unwrap();
            prop_assert_eq!(again, value);
        }

        #[test]
        fn whatever_it_is_it_is_read_to_its_end(text in any::<String>()) {
            pretty(&text);
        }
    }
}
