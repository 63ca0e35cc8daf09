//! What people did, and why: written in the transaction that does it.
//!
//! A [`Store`] handle may know for whom it writes ([`Store::by`]); each write that a person asks
//! for leaves an entry then. What has no such person (a webhook, the worker, upkeep) leaves none.

use std::sync::Arc;

use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, millis, moment};
use crate::domain::ids::ExternalTicket;

/// Entries that are deleted in one transaction at most.
const STEP: i64 = 500;

/// Who acts, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The name of a token.
    pub actor: String,
    /// In the person's words.
    pub reason: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Came in with a token.
    LogIn,
    /// Left.
    LogOut,
    /// Looked at what is stored of an external object.
    Reveal,
    /// Wrote a mapping.
    Map,
    /// Removed a mapping.
    Unmap,
    /// Removed a mapping, and asked Serval to let go of the pair.
    Disconnect,
    /// Imported mappings.
    Import,
    /// Decided that a mapping stays.
    Keep,
    /// Decided that a mapping becomes what a payload named.
    Replace,
    /// Sent an event to the queue again.
    Replay,
    /// Erased what was stored about an external ticket.
    Erase,
    /// Stopped the calls to Serval.
    Pause,
    /// Restarted them.
    Resume,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 13] = [
        Self::LogIn,
        Self::LogOut,
        Self::Reveal,
        Self::Map,
        Self::Unmap,
        Self::Disconnect,
        Self::Import,
        Self::Keep,
        Self::Replace,
        Self::Replay,
        Self::Erase,
        Self::Pause,
        Self::Resume,
    ];

    /// The word used in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogIn => "log_in",
            Self::LogOut => "log_out",
            Self::Reveal => "reveal",
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Disconnect => "disconnect",
            Self::Import => "import",
            Self::Keep => "keep",
            Self::Replace => "replace",
            Self::Replay => "replay",
            Self::Erase => "erase",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// A stored entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; later entries have larger ones.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, as stored.
    pub action: String,
    /// The external ticket: its source, as stored, and its id.
    pub ticket: Option<(String, String)>,
    /// What else it is about.
    pub subject: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Which entries to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About one external ticket.
    pub ticket: Option<ExternalTicket>,
    /// Older than this one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

type Row = (
    i64,
    i64,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

impl Store {
    /// A handle whose writes are known to be this person's.
    #[must_use]
    pub fn by(&self, by: By) -> Self {
        Self {
            by: Some(Arc::new(by)),
            ..self.clone()
        }
    }

    /// Writes down what a person did that is no write of the store.
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
                note(
                    tx,
                    by.as_deref(),
                    action,
                    ticket.as_ref(),
                    subject.as_deref(),
                    now,
                )
                .await
            })
        })
        .await
    }

    /// Entries, newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        const ALL: &str = "\
            -- store::audit::all
            SELECT id, at, actor, action, source, external_id, subject, reason FROM audit
            WHERE id < $1 ORDER BY id DESC LIMIT $2";
        const OF_TICKET: &str = "\
            -- store::audit::of_ticket
            SELECT id, at, actor, action, source, external_id, subject, reason FROM audit
            WHERE id < $1 AND source = $3 AND external_id = $4 ORDER BY id DESC LIMIT $2";
        let mut query = sqlx::query_as(match filter.ticket {
            Some(_) => OF_TICKET,
            None => ALL,
        })
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(i64::from(filter.limit));
        if let Some(ticket) = &filter.ticket {
            query = query
                .bind(ticket.source.as_str())
                .bind(ticket.external_id.as_str());
        }
        let rows: Vec<Row> = query.fetch_all(&self.readers).await?;
        rows.into_iter().map(from_row).collect()
    }

    /// Deletes the oldest entries of the time before; answers how many. None is left when it
    /// answers none.
    pub async fn purge_audit(&self, before: Timestamp) -> Result<usize, StoreError> {
        // The id is in the order of time but for a clock that was set: the first that is young ends
        // the walk.
        const OLD: &str = "\
            -- store::audit::old
            SELECT id, at FROM audit ORDER BY id LIMIT $1";
        const PURGE: &str = "\
            -- store::audit::purge
            DELETE FROM audit WHERE id <= $1";
        let rows: Vec<(i64, i64)> = sqlx::query_as(OLD)
            .bind(STEP)
            .fetch_all(&self.readers)
            .await?;
        let old = rows.iter().take_while(|(_, at)| *at < millis(before));
        let Some((last, _)) = old.last().copied() else {
            return Ok(0);
        };
        self.write(move |tx| {
            Box::pin(async move {
                let purged = sqlx::query(PURGE)
                    .bind(last)
                    .execute(tx.connection().await?)
                    .await?;
                Ok(usize::try_from(purged.rows_affected()).unwrap_or(usize::MAX))
            })
        })
        .await
    }
}

/// Writes an entry, where somebody is known to have asked for what the transaction does.
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
    let Some(by) = by else { return Ok(()) };
    sqlx::query(NOTE)
        .bind(millis(now))
        .bind(&by.actor)
        .bind(action.as_str())
        .bind(ticket.map(|ticket| ticket.source.as_str()))
        .bind(ticket.map(|ticket| ticket.external_id.as_str()))
        .bind(subject)
        .bind(by.reason.as_deref())
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}

/// The entry that the transaction wrote last.
pub(super) async fn last(tx: &mut Tx) -> Result<i64, StoreError> {
    const LAST: &str = "\
        -- store::audit::last
        SELECT MAX(id) FROM audit";
    let last = sqlx::query_scalar(LAST);
    Ok(last.fetch_one(tx.connection().await?).await?)
}

/// Changes what an entry is about, for what is done in several transactions.
pub(super) async fn say_again(tx: &mut Tx, entry: i64, subject: &str) -> Result<(), StoreError> {
    const SAY: &str = "\
        -- store::audit::say_again
        UPDATE audit SET subject = $2 WHERE id = $1";
    sqlx::query(SAY)
        .bind(entry)
        .bind(subject)
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}

fn from_row(row: Row) -> Result<AuditRow, StoreError> {
    let (id, at, actor, action, source, external_id, subject, reason) = row;
    Ok(AuditRow {
        id,
        at: moment(at)?,
        actor,
        action,
        ticket: source.zip(external_id),
        subject,
        reason,
    })
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
