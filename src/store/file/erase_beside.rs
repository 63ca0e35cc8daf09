//! Erases what mentions a person and is of no external ticket: events, and texts about others.

use jiff::Timestamp;

use super::retention::{Doomed, delete_events};
use crate::domain::ids::EventId;
use crate::domain::mention::Mention;
use crate::store::audit::{self, Action};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{args, json};

/// Maximum number of events that one transaction erases.
const STEP: usize = 200;

/// Result of erasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErasedBeside {
    /// Number of erased events.
    pub events: u64,
    /// Number of errors, answers and reasons that held the value, or a name. They are cleared.
    pub mentions: u64,
    /// True if the write-ahead log was emptied into the database file. `None`: the log is a server's.
    pub is_log_empty: Option<bool>,
}

impl Store {
    /// Erases those of the events that have no external ticket, and clears the texts that hold the value, or one of
    /// these names of external tickets that are erased.
    pub async fn erase_beside(
        &self,
        mention: &Mention,
        names: &[String],
        events: Vec<EventId>,
        now: Timestamp,
    ) -> Result<ErasedBeside, StoreError> {
        let mut erased = ErasedBeside::default();
        for step in events.chunks(STEP) {
            erased.events += self.erase_loose(step.to_vec(), now).await?;
        }
        let names = names.iter().map(String::as_str);
        let names: Vec<&str> = names.chain([mention.as_str()]).collect();
        erased.mentions = self.clear_mentions(&names).await?;
        if self.shared.files.is_some() {
            erased.is_log_empty = Some(self.empty_log().await?);
        }
        Ok(erased)
    }

    async fn erase_loose(&self, events: Vec<EventId>, now: Timestamp) -> Result<u64, StoreError> {
        const LOOSE: &str = "\
            -- store::erase_beside::loose
            SELECT id, source, state, external FROM events
            WHERE external IS NULL AND id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))";
        let ids: Vec<i64> = events.iter().map(|id| id.0).collect();
        let (ids, by) = (json(&ids), self.by.clone());
        self.write(move |tx| {
            let (ids, by) = (ids.clone(), by.clone());
            Box::pin(async move {
                let events: Vec<Doomed> = tx.fetch_all(LOOSE, args![&ids]).await?;
                let [.., deleted] = delete_events(tx, &events).await?;
                if deleted > 0 {
                    let subject = format!("{deleted} events without an external ticket");
                    let (action, subject) = (Action::Erase, Some(subject.as_str()));
                    audit::note(tx, by.as_deref(), action, None, subject, now).await?;
                }
                Ok(deleted)
            })
        })
        .await
    }
}
