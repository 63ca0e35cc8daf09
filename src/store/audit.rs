//! The audit: who did what, and why. An entry is written in the transaction that does it.
//!
//! A [`Store`] handle may know the person for whom it writes ([`Store::by`]). Then each write that the
//! person asks for adds an entry. Webhooks, the worker and upkeep write without a person, so they add
//! none.

use std::sync::Arc;

use jiff::Timestamp;

use super::by::By;
use super::commit::tx::Tx;
use super::error::StoreError;
use super::handle::Store;
use super::sql::{self, args, millis, row};
use super::views::arrived::bounds;
use crate::domain::ids::{ExternalId, ExternalTicket, SourceName};
use crate::domain::uptime::CutOff;
use crate::domain::words::words;
use crate::edge::window::Window;

/// Maximum number of entries that one transaction deletes.
const STEP: i64 = 500;

words! {
    /// An action of a person.
    pub enum Action {
        /// Logged in with a token.
        LogIn = "log_in",
        /// Logged out.
        LogOut = "log_out",
        /// Read the stored content of an external ticket.
        Reveal = "reveal",
        /// Searched the stored bodies for a value.
        Search = "search",
        /// Wrote a mapping.
        Map = "map",
        /// Removed a mapping.
        Unmap = "unmap",
        /// Removed a mapping and asked to unlink the pair at Serval.
        Unlink = "disconnect",
        /// Imported mappings.
        Import = "import",
        /// Decided a conflict: the mapping stays.
        Keep = "keep",
        /// Decided a conflict: the mapping becomes what the payload named.
        Replace = "replace",
        /// Queued an event again.
        Replay = "replay",
        /// Erased an external ticket.
        Erase = "erase",
        /// Paused the calls to Serval.
        Pause = "pause",
        /// Resumed the calls to Serval.
        Resume = "resume",
    }
}

row! {
    /// A stored entry.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuditRow {
        /// Number of the entry; later entries have larger ones.
        id: i64,
        /// Time of the action.
        at: Timestamp,
        /// Name of the person's token.
        actor: String,
        /// Action, as stored.
        action: String,
        /// Source, as stored, and id of the external ticket.
        ticket: Option<(String, String)>,
        /// Other subject of the action, such as a Serval ticket.
        subject: Option<String>,
        /// Reason that the person gave.
        reason: Option<String>,
    }
}

/// Filter for entries, which are listed newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only entries about external tickets of this source.
    pub source: Option<SourceName>,
    /// Only entries about external tickets with this id.
    pub external_id: Option<ExternalId>,
    /// Only entries of this time.
    pub window: Window,
    /// Only entries older than this one.
    pub before: Option<i64>,
    /// Page size.
    pub limit: u32,
}

impl Store {
    /// Returns a handle that writes for `by`.
    #[must_use]
    pub fn by(&self, by: By) -> Self {
        Self {
            by: Some(Arc::new(by)),
            ..self.clone()
        }
    }

    /// Adds an entry about an action that writes nothing else.
    pub async fn note(
        &self,
        action: Action,
        ticket: Option<ExternalTicket>,
        subject: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let by = self.by.clone();
        self.write(move |tx| {
            let (by, ticket, subject) = (by.clone(), ticket.clone(), subject.clone());
            Box::pin(async move {
                let (ticket, subject) = (ticket.as_ref(), subject.as_deref());
                note(tx, by.as_deref(), action, ticket, subject, now).await
            })
        })
        .await
    }

    /// Lists entries, newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        const ALL: &str = "\
            -- store::audit::all
            SELECT id, at, actor, action, source, external_id, subject, reason FROM audit
            WHERE id < $1 ORDER BY id DESC LIMIT $2";
        const OF_TICKET: &str = "\
            -- store::audit::of_ticket
            SELECT id, at, actor, action, source, external_id, subject, reason FROM audit
            WHERE id < $1 AND source = $3 AND external_id = $4 ORDER BY id DESC LIMIT $2";
        // Reads entry by entry until the page is full. Nobody does it often.
        const OF_SOME: &str = "\
            -- store::audit::of_some
            SELECT id, at, actor, action, source, external_id, subject, reason FROM audit
            WHERE id < $1 AND (CAST($3 AS TEXT) IS NULL OR source = $3)
                AND (CAST($4 AS TEXT) IS NULL OR external_id = $4) AND at >= $5 AND at < $6
            ORDER BY id DESC LIMIT $2";
        let (before, limit) = (filter.before.unwrap_or(i64::MAX), filter.limit);
        let [since, until] = bounds(&filter.window);
        let is_any_time = filter.window.is_open();
        let (statement, args) = match (&filter.source, &filter.external_id) {
            (None, None) if is_any_time => (ALL, args![before, limit]),
            (Some(source), Some(id)) if is_any_time => {
                (OF_TICKET, args![before, limit, source, id])
            }
            (source, id) => {
                let (source, id) = (source.as_ref(), id.as_ref());
                (OF_SOME, args![before, limit, source, id, since, until])
            }
        };
        sql::fetch_all(&self.readers, statement, args).await
    }

    /// Deletes some of the oldest entries that are older than the cut-off, and returns their number. Returns 0
    /// when none is left.
    pub async fn purge_audit(&self, cut_off: impl Into<CutOff>) -> Result<u64, StoreError> {
        // Ids are in the order of time, unless the clock was set back. The first entry that is young
        // enough ends the walk.
        const OLD: &str = "\
            -- store::audit::old
            SELECT id, at FROM audit ORDER BY id LIMIT $1";
        const PURGE: &str = "\
            -- store::audit::purge
            DELETE FROM audit WHERE id <= $1";
        let cut_off = cut_off.into();
        let rows: Vec<(i64, Timestamp)> = sql::fetch_all(&self.readers, OLD, args![STEP]).await?;
        let old = rows.iter().take_while(|(_, at)| cut_off.takes(*at));
        let Some((last, _)) = old.last().copied() else {
            return Ok(0);
        };
        self.run(PURGE, move || args![last]).await
    }
}

/// Adds an entry, if the transaction is made for a person.
pub(super) async fn note(
    tx: &mut Tx,
    by: Option<&By>,
    action: Action,
    ticket: Option<&ExternalTicket>,
    subject: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const NOTE: &str = "\
        -- store::audit::note
        INSERT INTO audit (at, actor, action, source, external_id, subject, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    // The daemon makes many of these changes by itself, and the audit is about people.
    let Some(by) = by else { return Ok(()) };
    let entry = args![
        millis(now),
        &by.actor,
        action.as_str(),
        ticket.map(|ticket| &ticket.source),
        ticket.map(|ticket| &ticket.external_id),
        subject,
        by.reason.as_deref(),
    ];
    tx.run(NOTE, entry).await?;
    Ok(())
}

/// Returns the number of the newest entry.
pub(super) async fn last(tx: &mut Tx) -> Result<i64, StoreError> {
    const LAST: &str = "\
        -- store::audit::last
        SELECT MAX(id) FROM audit";
    tx.fetch_one(LAST, args![]).await
}

/// Replaces the subject of an entry, for an action that takes several transactions.
pub(super) async fn set_subject(tx: &mut Tx, entry: i64, subject: &str) -> Result<(), StoreError> {
    const SET: &str = "\
        -- store::audit::set_subject
        UPDATE audit SET subject = $2 WHERE id = $1";
    tx.run(SET, args![entry, subject]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("else"), None);
    }
}
