//! Tells, where no event is found, which sources send nothing, and where else it may be.

use std::collections::BTreeSet;

use super::service::Operators;
use crate::domain::ids::SourceName;
use crate::domain::silence::{Account, UNHEARD, absent};
use crate::store::{EventFilter, StoreError};

/// Events that are looked at for their sources.
const LOOKED_AT: u32 = 100;

impl Operators {
    /// Says what was heard of each configured source, or of one.
    pub async fn heard_of(&self, only: Option<&SourceName>) -> Result<Vec<String>, StoreError> {
        let now = self.now();
        let feeds = self.feeds(now).await?;
        let wanted = feeds.iter();
        let wanted = wanted.filter(|(name, _)| only.is_none_or(|only| only == *name));
        let words = wanted.map(|(name, feed)| Account::from(feed).words(name.as_str(), now));
        let mut lines: Vec<String> = words.collect();
        if self.worker.is_none() {
            lines.push(UNHEARD.to_owned());
        }
        Ok(lines)
    }

    /// Says why an external ticket has no event; `None`: it has some.
    pub async fn absent(
        &self,
        source: Option<&SourceName>,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        let filter = EventFilter {
            state: None,
            source: None,
            external_id: Some(id.to_owned()),
            reason: None,
            arrived: None,
            before: None,
            limit: LOOKED_AT,
        };
        let events = self.store.events(&filter).await?;
        let sources: BTreeSet<String> = events.into_iter().map(|event| event.source).collect();
        let sources: Vec<String> = sources.into_iter().collect();
        Ok(absent(source.map(SourceName::as_str), &sources))
    }
}
