//! The feeds: what comes from each source, and what troubles it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::feed::{Feed, Heard, Kept, Trouble};
use crate::domain::ids::SourceName;
use crate::sources::SourceConfig;

/// Arrivals and refusals of the sources since the start. Clones share it; a reload keeps it.
#[derive(Debug, Clone, Default)]
pub struct Feeds(Arc<Mutex<BTreeMap<SourceName, Heard>>>);

impl Feeds {
    /// Listens for these sources from `now` on, unless it does already.
    pub fn introduce<'n>(&self, sources: impl IntoIterator<Item = &'n SourceName>, now: Timestamp) {
        for source in sources {
            self.note(source, now, |_| {});
        }
    }

    /// Notes what was heard of a source at `now`.
    pub fn note(&self, source: &SourceName, now: Timestamp, note: impl FnOnce(&mut Heard)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = all.get_mut(source) {
            note(heard);
        } else {
            note(all.entry(source.clone()).or_insert(Heard::new(now)));
        }
    }

    /// Notes that a source reports a trouble, such as a removed app: it sends no further webhooks. Logs it
    /// unless `line` is `None`, with this number of reports since the last line.
    pub fn report(&self, source: &SourceName, trouble: Trouble, now: Timestamp, line: Option<u64>) {
        self.note(source, now, |heard| heard.reported(trouble, now));
        let Some(unlogged) = line else { return };
        let (word, text) = (trouble.as_str(), trouble.text());
        if trouble.lasts() {
            tracing::error!(%source, trouble = word, unlogged, "{text}");
        } else {
            tracing::warn!(%source, trouble = word, unlogged, "{text}");
        }
    }

    /// Returns the feeds of these sources at `now`, of which the store has `kept` the rest.
    pub(super) fn of(
        &self,
        sources: &BTreeMap<SourceName, SourceConfig>,
        kept: &HashMap<String, Kept>,
        now: Timestamp,
    ) -> BTreeMap<SourceName, Feed> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let feeds = sources.iter().map(|(name, source)| {
            let kept = kept.get(name.as_str()).copied().unwrap_or_default();
            // A source that a reload has just added is not in the list yet.
            let unheard = Heard::new(now);
            let heard = all.get(name).unwrap_or(&unheard);
            let feed = heard.feed(kept, source.policy.expect_every, now);
            (name.clone(), feed)
        });
        feeds.collect()
    }
}
