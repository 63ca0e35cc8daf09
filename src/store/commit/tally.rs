//! The activity that one transaction adds: events stored and pairs connected, by time and source.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::store::sql::{json, millis};

/// Milliseconds of one counter: fine enough to tell the last minute.
const STEP: i64 = 10_000;

/// Additions of one transaction, by time and source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(HashMap<(i64, String), Added>);

/// Events stored and pairs connected.
type Added = (i64, i64);

impl Tally {
    /// An event was stored.
    pub(crate) fn stored(&mut self, source: &str, at: Timestamp) {
        self.at(source, at).0 += 1;
    }

    /// A pair was connected.
    pub(crate) fn connected(&mut self, source: &str, at: Timestamp) {
        self.at(source, at).1 += 1;
    }

    fn at(&mut self, source: &str, at: Timestamp) -> &mut Added {
        let begin = floor(millis(at), STEP);
        self.0.entry((begin, source.to_owned())).or_default()
    }

    /// Returns the additions as JSON rows, if there are any.
    pub(crate) fn rows(&self) -> Option<String> {
        let rows: Vec<_> = (self.0.iter())
            .map(|((at, source), (stored, connected))| (at, source, stored, connected))
            .collect();
        (!rows.is_empty()).then(|| json(&rows))
    }
}

/// Rounds `at` down to a multiple of `step`.
pub(crate) fn floor(at: i64, step: i64) -> i64 {
    at - at.rem_euclid(step)
}
