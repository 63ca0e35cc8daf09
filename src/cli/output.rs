//! The one place that prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that prints"
)]

use std::fmt::Display;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// A line of what was asked for.
pub(super) fn line(text: impl Display) {
    println!("{text}");
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
