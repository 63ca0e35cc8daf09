//! The moods of Serval, and what it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Effect {
    #[default]
    None,
    /// It is carried out, and the answer is lost.
    Lost,
    /// It is not carried out, and the connection closes.
    Reset,
    /// There is no answer for a long time.
    Hang,
    /// The answer takes its time.
    Slow,
    /// It is carried out, and the answer comes when nobody waits for it any more.
    Late,
    Status(u16),
    /// A page of a proxy.
    Page,
    /// A 2xx that says that it is an error.
    ErrorInside,
}

/// How Serval is for a while.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mood {
    pub(crate) connect: Effect,
    pub(crate) look: Effect,
    pub(crate) connect_percent: u8,
    pub(crate) look_percent: u8,
    pub(crate) retry_after: Option<u64>,
}

/// What one event was told, or found out.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    /// Not before this time, in this life.
    pub(crate) wait: Option<(Duration, usize)>,
    /// Serval has taken a call with it.
    pub(crate) is_taken: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) mood: Mood,
    /// The object that was taken last for each pair of a Serval ticket and an external one.
    pub(crate) links: BTreeMap<(String, String), String>,
    /// Objects with what was said about them.
    pub(crate) told: BTreeMap<String, Told>,
    pub(crate) in_flight: BTreeSet<String>,
    pub(crate) dice: Rng,
    pub(crate) refuses_repeats: bool,
    pub(crate) calls: usize,
}

impl Ledger {
    pub(crate) fn is_linked(&self, ticket: &str, external_id: &str) -> bool {
        let pair = (ticket.to_owned(), external_id.to_owned());
        self.links.contains_key(&pair)
    }

    /// Until when Serval asked to wait with an object, if the daemon of `life` knows.
    pub(crate) fn waits(&self, object: &str, life: usize) -> Option<Duration> {
        let (until, asked_in) = self.told.get(object)?.wait?;
        (asked_in == life).then_some(until)
    }
}
