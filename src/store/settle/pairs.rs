//! Pairs that Serval has now: most of what is settled, so many of a group share their statements.

use jiff::Timestamp;
use sqlx::FromRow as _;

use super::moves::release;
use super::{Settle, Subject, rows};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::ALREADY_CONNECTED;
use crate::store::error::StoreError;
use crate::store::writer::Tx;
use crate::store::{change, disconnects};

/// An event whose external ticket is connected to a Serval ticket.
pub(super) struct Pair<'a> {
    pub(super) subject: Subject,
    pub(super) ticket_id: &'a ServalTicketId,
    /// Where the event goes.
    pub(super) to: EventState,
    pub(super) reason: Option<&'static str>,
    /// Whether what else is queued for the external ticket has nothing to do any more.
    pub(super) siblings_done: bool,
    pub(super) now: Timestamp,
}

impl Pair<'_> {
    fn is_as_mapped(&self) -> bool {
        self.subject.mapped_to.as_deref() == Some(self.ticket_id.as_str())
    }

    /// Whether it was mapped to another Serval ticket while the call was under way.
    fn was_mapped_away(&self) -> bool {
        let mapped_to = self.subject.mapped_to.as_deref();
        mapped_to.is_some_and(|mapped_to| mapped_to != self.ticket_id.as_str())
    }
}

/// Ends the claims with their attempts on record, writes the pairs down, moves their events, and
/// takes along what else is queued for external tickets that are connected as they are mapped.
pub(super) async fn finish(
    tx: &mut Tx,
    ended: &[&Settle],
    pairs: &[Pair<'_>],
) -> Result<(), StoreError> {
    let (elsewhere, arrived): (Vec<&Pair<'_>>, Vec<_>) =
        pairs.iter().partition(|pair| pair.was_mapped_away());
    let done: Vec<&Pair<'_>> = pairs.iter().filter(|pair| pair.siblings_done).collect();
    rows::push(tx.later(), ended, pairs, &arrived, &done)?;
    let siblings = tx.fetch_all().await?;
    for pair in pairs.iter().filter(|pair| !pair.is_as_mapped()) {
        disconnects::forget_where_asked(tx, pair.subject.external, pair.ticket_id).await?;
    }
    for pair in pairs.iter().filter(|pair| pair.to == EventState::Connected) {
        tx.tally.connected(&pair.subject.source, pair.now);
    }
    for pair in arrived {
        let source = &pair.subject.source;
        tx.counts.moved(source, EventState::Queued, pair.to, 1);
    }
    for pair in elsewhere {
        go_there_too(tx, pair).await?;
    }
    for sibling in siblings {
        let (sibling, key) = <(i64, i64)>::from_row(&sibling)?;
        let now = usize::try_from(key)
            .ok()
            .and_then(|key| done.get(key))
            .map(|pair| pair.now);
        let Some(now) = now else { continue };
        let (queued, skipped) = (EventState::Queued, EventState::Skipped);
        let reason = Some(ALREADY_CONNECTED);
        change::move_event(tx, EventId(sibling), queued, skipped, reason, now).await?;
    }
    Ok(())
}

/// The event stays in the queue, for the Serval ticket that it is mapped to now.
async fn go_there_too(tx: &mut Tx, pair: &Pair<'_>) -> Result<(), StoreError> {
    const CLEAR: &str = "\
        -- store::settle::clear
        UPDATE events SET ticket_id = $2, last_error = NULL WHERE id = $1";
    sqlx::query(CLEAR)
        .bind(pair.subject.event.0)
        .bind(pair.ticket_id.as_str())
        .execute(tx.connection().await?)
        .await?;
    tx.wake = true;
    tx.place = None;
    release(tx, pair.subject.event, false, None, pair.now).await
}
