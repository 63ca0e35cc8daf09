//! No room but `sources` knows which systems send webhooks.

use super::source_files;

/// The words for the systems, in lower case.
const WORDS: [&str; 3] = ["slack", "servicenow", "service_now"];

/// The places that may name a system: its own folder, and the rehearsal that plays its part.
const MAY_NAME: [&str; 3] = ["sources/slack/", "sources/servicenow/", "rehearsal/"];

/// Beginnings of the lines of the registry, in `sources/mod.rs`.
const REGISTRY: [&str; 2] = ["pub mod ", "pub const BUILT_IN: Kinds = &["];

/// The code without texts for people: the string literals that hold white space.
fn without_sentences(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find('"') {
        kept.push_str(&rest[..start]);
        let is_char = rest[..start].ends_with('\'') && rest[start + 1..].starts_with('\'');
        let raw = rest[..start]
            .rsplit(|c| c != '#')
            .next()
            .unwrap_or_default();
        let text = &rest[start + 1..];
        let end = if is_char {
            0
        } else if rest[..start - raw.len()].ends_with('r') {
            text.find(&format!("\"{raw}")).unwrap_or(text.len())
        } else {
            closing_quote(text)
        };
        if !text[..end].contains(char::is_whitespace) {
            kept.push_str(&text[..end]);
        }
        rest = text.get(end + usize::from(!is_char)..).unwrap_or_default();
    }
    kept + rest
}

fn is_registered(line: &str) -> bool {
    REGISTRY.iter().any(|start| line.starts_with(start))
}

fn closing_quote(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.unwrap_or(text.len())
}

#[test]
fn a_system_is_named_only_in_its_folder_and_in_the_registry() {
    let mut faults = Vec::new();
    for file in source_files().iter().filter(|file| !file.is_test()) {
        if MAY_NAME.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        let code = without_sentences(&file.code);
        let lines = code.lines().filter(|line| {
            let is_registry = file.path == "sources/mod.rs" && is_registered(line);
            let line = line.to_ascii_lowercase();
            !is_registry && WORDS.iter().any(|word| line.contains(word))
        });
        faults.extend(lines.map(|line| format!("{}: {}", file.path, line.trim())));
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn only_sentences_are_left_out() {
    for (code, expected) in [
        (r#"f("slack", "in Slack")"#, "f(slack, )"),
        (r##"f(r#"a "b" slack"#, '"', "\" slack")"##, "f(r#, '', )"),
        (r#"f("", "\\", slack)"#, r"f(, \\, slack)"),
    ] {
        let kept = without_sentences(code).replace("##", "#");
        assert_eq!(kept, expected, "{code}");
    }
}
