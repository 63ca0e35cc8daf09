//! The one place that prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that prints"
)]

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::config::Environment;

/// A line of what was asked for. A reader that has gone away (`| head`) is no reason to fail.
pub(super) fn line(text: impl Display) {
    drop(writeln!(std::io::stdout(), "{text}"));
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
    println!("{text}");
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
    println!("{}", table.trim_fmt());
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
