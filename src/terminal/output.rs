//! Prints. No other module may.
//!
//! Invariant: tables and reports show each value on one line without control characters, whatever a
//! sender or Serval wrote. A reader that goes away (`| head`) is not an error.

#![expect(clippy::print_stderr, reason = "no other module prints")]

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::config::Environment;

/// Stands for a missing value.
pub(crate) const NOTHING: &str = "-";

/// True if lines for people go to the standard error, because the result is JSON.
static ARE_DIVERTED: AtomicBool = AtomicBool::new(false);

/// Leaves the standard output to the JSON of the result.
pub(crate) fn divert_lines() {
    ARE_DIVERTED.store(true, Ordering::Relaxed);
}

/// Prints a line of a result.
pub(crate) fn line(text: impl Display) {
    if ARE_DIVERTED.load(Ordering::Relaxed) {
        eprintln!("{text}");
    } else {
        result(text);
    }
}

fn result(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: cannot write to the standard output: {error}");
    }
}

/// Style of a text on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Strong,
    /// Less important text.
    Faint,
    /// Success.
    Good,
    /// Failure.
    Bad,
}

/// True if the standard output shows colours: it is a terminal, and `NO_COLOR` is not set.
pub(crate) fn takes_colours(environment: &Environment) -> bool {
    environment.get("NO_COLOR").is_none() && std::io::stdout().is_terminal()
}

/// The text in this tone, if colours are wanted.
pub(crate) fn painted(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        Tone::Strong => "1",
        Tone::Faint => "2",
        Tone::Good => "32",
        Tone::Bad => "1;31",
    };
    if colours {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Makes a text from outside safe to print: control characters other than line ends are escaped.
pub(crate) fn printable(text: &str) -> String {
    let show = |c: char| {
        if c.is_control() && c != '\n' {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.replace("\r\n", "\n").chars().map(show).collect()
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) {
    let text = serde_json::to_string_pretty(value).expect("our own values are JSON");
    result(text);
}

/// Prints a table.
pub(crate) fn table<'a>(
    head: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = Vec<String>>,
) {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head);
    for row in rows {
        table.add_row(row);
    }
    // The style starts each line with a space.
    for row in table.trim_fmt().lines() {
        line(row.strip_prefix(' ').unwrap_or(row));
    }
}

/// Prints names and values, one pair per line. Missing values are left out.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, Option<String>)>) {
    for (name, value) in facts {
        if let Some(value) = value {
            line(format_args!("  {name:<14}{value}"));
        }
    }
}

/// Prints a remark on the standard error.
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
}

/// Prints a question on the standard error, and leaves the cursor behind it.
pub(crate) fn ask(question: &str) {
    eprint!("{question}");
}

/// Prints a warning on the standard error.
pub(crate) fn warn(text: impl Display) {
    eprintln!("warning: {text}");
}

/// Prints why a command failed.
pub(crate) fn complain(failure: &crate::terminal::Failure) {
    let text = failure.to_string();
    for line in text.lines() {
        eprintln!("error: {line}");
    }
}

/// A member of a JSON object as text, if it is present and not empty.
pub(crate) fn member(object: &Value, name: &str) -> Option<String> {
    match &object[name] {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(plain(text)),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            let shown = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), plain));
            Some(shown.collect::<Vec<_>>().join(", "))
        }
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Some(other.to_string()),
    }
}

/// A member of a JSON object for a cell of a table.
pub(crate) fn cell(object: &Value, name: &str) -> String {
    member(object, name).unwrap_or_else(|| NOTHING.to_owned())
}

/// A time to the second, in UTC.
pub(crate) fn time(object: &Value, name: &str) -> Option<String> {
    time_to(object, name, 0)
}

/// A time with this number of digits after the second, in UTC.
pub(crate) fn time_to(object: &Value, name: &str, digits: usize) -> Option<String> {
    let text = object[name].as_str()?;
    let Ok(at) = text.parse::<Timestamp>() else {
        return Some(plain(text));
    };
    Some(format!("{at:.digits$}"))
}

/// Shortens a text to `max` characters; `…` marks the cut.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A text from outside for a cell or a sentence.
pub(crate) fn shown(text: &str) -> String {
    if text.is_empty() {
        NOTHING.to_owned()
    } else {
        plain(text)
    }
}

/// Removes everything that could move the cursor, colour the screen or start a line.
fn plain(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_on_one_line_without_control_characters() {
        let object = json!({
            "text": "a\u{1b}[31m\nb", "empty": "", "none": null, "number": 3,
            "list": ["x", "y\n"], "nothing": [],
        });
        for (name, expected) in [
            ("text", Some("a\\u{1b}[31m b")),
            ("empty", None),
            ("none", None),
            ("absent", None),
            ("number", Some("3")),
            ("list", Some("x, y ")),
            ("nothing", None),
        ] {
            assert_eq!(member(&object, name).as_deref(), expected, "{name}");
        }
        assert_eq!(cell(&object, "absent"), "-");
    }

    #[test]
    fn times_are_shown_to_the_second() {
        let object = json!({ "at": "2026-03-01T02:03:04.987Z", "odd": "soon", "none": null });
        assert_eq!(time(&object, "at").as_deref(), Some("2026-03-01T02:03:04Z"));
        assert_eq!(time(&object, "odd").as_deref(), Some("soon"));
        assert_eq!(time(&object, "none"), None);
    }

    #[test]
    fn long_texts_are_shortened_between_characters() {
        for (text, expected) in [("", ""), ("äöü", "äöü"), ("äöü€", "äö…"), ("ab cd", "ab…")]
        {
            assert_eq!(shortened(text, 3), expected);
        }
    }
}
