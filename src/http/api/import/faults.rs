//! The faults of an import by line: the first hundred of them, and how many there are.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use crate::http::api::input;
use crate::http::problem::{LineFault, Problem};
use crate::store::Taken;

/// So many are told.
const TOLD: usize = 100;

/// What is wrong, at most once for each line.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: BTreeMap<u64, String>,
    n: u64,
}

impl Faults {
    /// Adds one.
    pub(super) fn add(&mut self, line: u64, detail: impl Into<String>) {
        self.n += 1;
        let comes_later = || {
            self.first
                .last_key_value()
                .is_some_and(|(last, _)| *last < line)
        };
        if self.first.len() == TOLD {
            if comes_later() {
                return;
            }
            self.first.pop_last();
        }
        self.first.insert(line, detail.into());
    }

    /// Of rows whose Serval ticket is taken.
    pub(super) fn of_taken(taken: Vec<Taken>) -> Self {
        let mut faults = Self::default();
        for row in taken {
            faults.add(row.line, input::taken(&row.external_id));
        }
        faults
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The refusal.
    pub(super) fn into_problem(self) -> Problem {
        let told = self.first.len();
        let more = self.n - told as u64;
        let detail = match (self.n, more) {
            (1, _) => "one line is faulty; nothing was imported".to_owned(),
            (n, 0) => format!("{n} lines are faulty; nothing was imported"),
            (n, _) => format!(
                "{n} lines are faulty, of which the first {told} are told; nothing was imported"
            ),
        };
        let errors = self
            .first
            .into_iter()
            .map(|(line, detail)| LineFault { line, detail });
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.about_lines(errors.collect(), more)
    }
}
