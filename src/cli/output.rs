//! The one place that prints.
//!
//! Invariant: what tables and accounts show is one line per value without control characters,
//! whatever a sender or Serval wrote. A reader that goes away (`| head`) is no error.

#![expect(clippy::print_stderr, reason = "the one place that prints")]

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::config::Environment;

/// Stands for what there is not.
const NOTHING: &str = "-";

/// A line of what was asked for. A reader that has gone away (`| head`) is no reason to fail.
pub(super) fn line(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: cannot write to the standard output: {error}");
    }
}

/// How a word stands out on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// A heading.
    Strong,
    /// Of less importance.
    Faint,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
}

/// Whether the standard output takes colours: a terminal, and nobody has set `NO_COLOR`.
pub(super) fn takes_colours(environment: &Environment) -> bool {
    environment.get("NO_COLOR").is_none() && std::io::stdout().is_terminal()
}

/// The text in its tone, where colours are wanted.
pub(super) fn painted(text: &str, tone: Tone, colours: bool) -> String {
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

/// Text from outside as it may be printed: control characters but line ends become visible.
pub(super) fn printable(text: &str) -> String {
    let show = |c: char| {
        if c.is_control() && c != '\n' {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.replace("\r\n", "\n").chars().map(show).collect()
}

/// A value as JSON, for programs.
pub(super) fn json<T: Serialize>(value: &T) {
    let text = serde_json::to_string_pretty(value).expect("our own values are JSON");
    line(text);
}

/// A table, for people.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head);
    for row in rows {
        table.add_row(row);
    }
    // The style begins each line with a blank.
    for row in table.trim_fmt().lines() {
        line(row.strip_prefix(' ').unwrap_or(row));
    }
}

/// Names and values below one another, for people. A value that is not there is left out.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, Option<String>)>) {
    for (name, value) in facts {
        if let Some(value) = value {
            line(format_args!("  {name:<14}{value}"));
        }
    }
}

/// Something to know beside what was asked for.
pub(super) fn note(text: impl Display) {
    eprintln!("{text}");
}

/// Something to look at.
pub(super) fn warn(text: impl Display) {
    eprintln!("warning: {text}");
}

/// Why a command failed.
pub(super) fn complain(failure: &super::Failure) {
    let text = failure.to_string();
    for line in text.lines() {
        eprintln!("error: {line}");
    }
}

/// A member of a JSON object as people read it, where it is there.
pub(super) fn member(object: &Value, name: &str) -> Option<String> {
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

/// The same for a cell of a table.
pub(super) fn cell(object: &Value, name: &str) -> String {
    member(object, name).unwrap_or_else(|| NOTHING.to_owned())
}

/// A time to the second, in UTC.
pub(super) fn time(object: &Value, name: &str) -> Option<String> {
    time_to(object, name, 0)
}

/// A time to so many digits after the second, in UTC.
pub(super) fn time_to(object: &Value, name: &str, digits: usize) -> Option<String> {
    let text = object[name].as_str()?;
    let Ok(at) = text.parse::<Timestamp>() else {
        return Some(plain(text));
    };
    Some(format!("{at:.digits$}"))
}

/// At most `max` characters, with a mark where some are left out.
pub(super) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A text of somebody else's, as people read it.
pub(super) fn shown(text: &str) -> String {
    if text.is_empty() {
        NOTHING.to_owned()
    } else {
        plain(text)
    }
}

/// A text that cannot move the cursor, colour the screen or begin a line of its own.
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
