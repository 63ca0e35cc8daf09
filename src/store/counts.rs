//! Numbers of events by source and state, kept in the transactions that change them, so that a
//! report never counts a history.

use std::collections::HashMap;

use super::json;
use crate::domain::event::EventState;

/// What one transaction changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(HashMap<(String, EventState), i64>);

impl Counts {
    /// Forgets, for a new transaction.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// An event entered `state`.
    pub(super) fn entered(&mut self, source: &str, state: EventState) {
        self.add(source, state, 1);
    }

    /// An event that was in `state` is gone.
    pub(super) fn left(&mut self, source: &str, state: EventState) {
        self.add(source, state, -1);
    }

    /// `n` events went from one state to another.
    pub(super) fn moved(&mut self, source: &str, from: EventState, to: EventState, n: i64) {
        self.add(source, from, -n);
        self.add(source, to, n);
    }

    fn add(&mut self, source: &str, state: EventState, n: i64) {
        if n != 0 {
            *self.0.entry((source.to_owned(), state)).or_default() += n;
        }
    }

    /// The changes as rows for the table, if there are any.
    pub(super) fn rows(&self) -> Option<String> {
        let changes: Vec<_> = (self.0.iter())
            .filter(|(_, n)| **n != 0)
            .map(|((source, state), n)| (source, state.as_str(), n))
            .collect();
        (!changes.is_empty()).then(|| json(&changes))
    }
}
