//! Faults of an import: the first hundred by line, and their number.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use crate::operators;
use crate::store::Taken;
use crate::web::problem::{LineFault, Problem};

/// Number of faults in an answer.
const TOLD: usize = 100;

/// The faults found so far, one per line.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: BTreeMap<u64, String>,
    n: u64,
}

impl Faults {
    pub(super) fn add(&mut self, line: u64, detail: impl Into<String>) {
        self.n += 1;
        self.first.insert(line, detail.into());
        // Contradictions between rows are found later than the faults of rows that follow them.
        if self.first.len() > TOLD {
            self.first.pop_last();
        }
    }

    /// Faults of rows whose Serval ticket already has another external ticket.
    pub(super) fn of_taken(taken: Vec<Taken>) -> Self {
        let mut faults = Self::default();
        for row in taken {
            faults.add(row.line, operators::taken(&row.external_id));
        }
        faults
    }

    pub(super) fn is_empty(&self) -> bool {
        self.n == 0
    }

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
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.errors = errors.collect();
        problem.more = more;
        problem
    }
}
