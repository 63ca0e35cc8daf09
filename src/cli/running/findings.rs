//! Findings of `check`, one line each, for people and as JSON.
//!
//! Invariant: no finding holds a secret or a part of a payload, so that the whole fits into a ticket.

use serde::Serialize;
use serde_json::{Value, json};

use crate::terminal::{Failure, Outcome, output};

/// Verdict on one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Nothing to do.
    Ok,
    /// Works, and should be looked at.
    Warning,
    /// Does not work.
    Failed,
    /// Could not be looked at.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    check: String,
    state: State,
    detail: String,
    remedy: Option<String>,
}

impl Finding {
    pub(crate) fn new(check: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// Says what to do.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// All findings of a run.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding, and shows it.
    pub(crate) fn add(&mut self, finding: Finding) {
        let word = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "failed",
            State::Unknown => "unknown",
        };
        let remedy = finding.remedy.as_deref();
        let remedy = remedy.map_or_else(String::new, |what| format!("; what to do: {what}"));
        let (check, detail) = (&finding.check, output::shown(&finding.detail));
        output::line(format_args!("{word:<8} {check}: {detail}{remedy}"));
        self.0.push(finding);
    }

    /// Keeps the outcome of a part that has shown its own lines.
    pub(crate) fn keep(&mut self, check: &str, outcome: &Outcome) {
        self.0.push(match outcome {
            Ok(()) => Finding::new(check, State::Ok, "as it should be"),
            Err(failure) => Finding::new(check, State::Failed, failure.to_string()),
        });
    }

    /// Fails if something that was added does not work.
    pub(crate) fn verdict(&self) -> Outcome {
        let failed = self.0.iter().filter(|f| f.state == State::Failed);
        let names: Vec<&str> = failed.map(|finding| finding.check.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format_args!(
            "failed: {}",
            names.join(", ")
        )))
    }

    /// The findings for a program.
    pub(crate) fn view(&self, is_good: bool) -> Value {
        json!({ "ok": is_good, "checks": self.0 })
    }
}
