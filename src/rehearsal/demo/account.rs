//! The report of a step: labelled rows, and everything that was not as expected.

use std::fmt::{Debug, Display};

use http::HeaderMap;
use serde_json::Value;

use crate::terminal::output::{Tone, painted, printable};

/// Width of the labels.
const LABEL: usize = 11;

/// Length of the shown part of a body, in characters.
const EXCERPT: usize = 72;

/// Report of a step.
#[derive(Debug, Default)]
pub(super) struct Account {
    title: &'static str,
    about: &'static str,
    rows: Vec<(&'static str, String)>,
    faults: Vec<String>,
    is_verbose: bool,
}

impl Account {
    /// An empty report. `about` is a sentence about what the step shows.
    pub(super) fn new(title: &'static str, about: &'static str, is_verbose: bool) -> Self {
        Self {
            title,
            about,
            is_verbose,
            ..Self::default()
        }
    }

    /// Adds a row. Without a label it belongs to the row before.
    pub(super) fn tell(&mut self, label: &'static str, text: impl Display) {
        self.rows.push((label, printable(&text.to_string())));
    }

    /// Adds a row that only those want to see who look at every byte.
    pub(super) fn detail(&mut self, text: impl Display) {
        if self.is_verbose {
            self.tell("", text);
        }
    }

    /// Records something that was not as expected.
    pub(super) fn fault(&mut self, fault: impl Display) {
        self.faults.push(printable(&fault.to_string()));
    }

    /// Records a fault unless both values are equal.
    pub(super) fn expect<T: PartialEq + Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.fault(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    /// True if everything was as expected.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// The report as lines: what it proves, then the details.
    pub(super) fn lines(&self, number: usize, colours: bool) -> Vec<String> {
        let title = painted(self.title, Tone::Strong, colours);
        let mut lines = vec![
            format!("{number}  {title}"),
            format!("   {}", painted(self.about, Tone::Faint, colours)),
        ];
        if self.is_good() {
            let good = painted("as expected", Tone::Good, colours);
            lines.push(row("result", &good));
        }
        for (place, fault) in self.faults.iter().enumerate() {
            let bad = painted("NOT AS EXPECTED", Tone::Bad, colours);
            let label = if place == 0 { "result" } else { "" };
            lines.push(row(label, &format!("{bad}: {fault}")));
        }
        lines.extend(self.rows.iter().map(|(label, text)| row(label, text)));
        lines
    }
}

/// A labelled line.
pub(super) fn row(label: &str, text: &str) -> String {
    format!("   {label:<LABEL$}{text}")
}

/// The beginning of a body on one line.
pub(super) fn excerpt(body: &str) -> String {
    let words: Vec<&str> = body.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= EXCERPT {
        return line;
    }
    line.chars().take(EXCERPT).chain(" …".chars()).collect()
}

/// The states of an event: `evt_1  queued -> connected, 1 attempt`.
pub(super) fn event_line(id: &str, event: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let list = |name: &str| event[name].as_array().cloned().unwrap_or_default();
    let history = list("history");
    let states: Vec<String> = history
        .iter()
        .map(|change| word(&change["state"]))
        .collect();
    let mut text = format!("{id}  {}", states.join(" -> "));
    if let Some(reason) = event["reason"].as_str() {
        text = format!("{text} ({reason})");
    }
    let attempts = list("attempts").len();
    if attempts > 0 {
        let s = if attempts == 1 { "" } else { "s" };
        text = format!("{text}, {attempts} attempt{s}");
    }
    if let Some(error) = event["last_error"].as_str() {
        text = format!("{text}, last error: {error}");
    }
    text
}

/// The headers of the signature, aligned.
pub(super) fn header_lines(headers: &HeaderMap) -> Vec<String> {
    let width = headers.keys().map(|name| name.as_str().len()).max();
    let width = width.unwrap_or_default();
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("{:<width$}  {value}", name.as_str())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_marked_and_explained() {
        let mut account = Account::new("A step", "What it shows.", false);
        account.tell("sent", "POST /");
        account.expect("the status", &202, &202);
        let lines = account.lines(3, false);
        assert!(account.is_good());
        assert_eq!(
            lines,
            [
                "3  A step",
                "   What it shows.",
                "   result     as expected",
                "   sent       POST /",
            ]
        );
        account.expect("the status", &202, &401);
        account.fault("nothing came");
        assert!(!account.is_good());
        let lines = account.lines(3, false);
        assert_eq!(
            lines[2..4],
            [
                "   result     NOT AS EXPECTED: the status: expected 202, found 401",
                "              NOT AS EXPECTED: nothing came",
            ]
        );
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("{\r\n  \"a\": 1\n}\n"), "{ \"a\": 1 }");
        let long = "é".repeat(100);
        assert_eq!(excerpt(&long).chars().count(), EXCERPT + 2);
    }
}
