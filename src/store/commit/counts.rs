//! Numbers of events by source and state. Each transaction keeps them up to date, so that no report
//! counts all events.

use std::collections::HashMap;

use crate::domain::event::EventState;
use crate::store::sql::json;

/// Changes of one transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(HashMap<(String, EventState), i64>);

impl Counts {
    /// An event entered `state`.
    pub(crate) fn entered(&mut self, source: &str, state: EventState) {
        self.add(source, state, 1);
    }

    /// An event in `state` was deleted.
    pub(crate) fn left(&mut self, source: &str, state: EventState) {
        self.add(source, state, -1);
    }

    /// `n` events moved from one state to another.
    pub(crate) fn moved(&mut self, source: &str, from: EventState, to: EventState, n: i64) {
        self.add(source, from, -n);
        self.add(source, to, n);
    }

    fn add(&mut self, source: &str, state: EventState, n: i64) {
        if n != 0 {
            *self.0.entry((source.to_owned(), state)).or_default() += n;
        }
    }

    /// Returns the changes as JSON rows, if there are any.
    pub(crate) fn rows(&self) -> Option<String> {
        let changes: Vec<_> = (self.0.iter())
            .filter(|(_, n)| **n != 0)
            .map(|((source, state), n)| (source, state.as_str(), n))
            .collect();
        (!changes.is_empty()).then(|| json(&changes))
    }
}
