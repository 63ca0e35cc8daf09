//! Deletions and edits: what they do to other events of their external ticket, in the transaction that
//! stores them.
//!
//! Invariant: the old text is deleted from the bodies of all events, whatever their state, with the
//! answers that may quote it, and the write-ahead log is emptied after the commit. An event that is claimed keeps its state: its call may
//! have arrived, so the settlement decides.

use super::row::Row;
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::domain::report::{Fate, Report};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::queue::erasure::erase;
use crate::store::queue::{on_mapped, transition};
use crate::store::sql::{args, json, millis, moment, row};

row! {
    /// An earlier event of the external ticket.
    struct Earlier {
        event: EventId,
        state: EventState,
        rank: Rank,
        report: Option<Report>,
        is_claimed: bool,
        has_body: bool,
    }
}

/// Applies the deletions and edits among the new rows, and those that were known before a row.
pub(super) async fn apply(tx: &mut Tx, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for row in rows {
        match (row.event.report, row.fate) {
            (Report::Save | Report::Message | Report::EditedMessage, Fate::Edited(edit))
                if row.keeps_body() =>
            {
                replace(tx, &[row.id], edit).await?;
            }
            (Report::Deletion | Report::MessageDeletion, _) => delete(tx, row).await?,
            (Report::MessageEdit, Fate::Present) => edit(tx, row).await?,
            (Report::Save | Report::Message | Report::MessageEdit | Report::EditedMessage, _) => {}
        }
    }
    Ok(())
}

/// Finds the earlier events that `row` is about.
async fn earlier(tx: &mut Tx, row: &Row<'_>) -> Result<Vec<Earlier>, StoreError> {
    const EARLIER: &str = "\
        -- store::reports::earlier
        SELECT e.id, e.state, e.rank_major, e.rank_minor, e.report,
            EXISTS (SELECT 1 FROM claims AS c WHERE c.event_id = e.id),
            EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
        FROM events AS e INDEXED BY events_external
        WHERE e.external = $1 AND e.id < $2
        ORDER BY e.id";
    let (report, rank) = (row.event.report, row.event.rank);
    let mut events: Vec<Earlier> = tx.fetch_all(EARLIER, args![row.external, row.id]).await?;
    events.retain(|event| report.is_about_earlier(rank, event.rank));
    Ok(events)
}

/// Erases what was deleted. What waits is not sent; the best event that is left takes its
/// place.
async fn delete(tx: &mut Tx, row: &Row<'_>) -> Result<(), StoreError> {
    let events = earlier(tx, row).await?;
    let now = row.webhook.received_at;
    let mut waited = false;
    for event in events.iter().filter(|event| !event.is_claimed) {
        if !event.state.is_terminal() {
            let (to, reason) = (EventState::Skipped, Some(Reason::Deleted));
            transition::move_event(tx, event.event, event.state, to, reason, now).await?;
            waited = true;
        }
    }
    let ids: Vec<EventId> = events.iter().map(|event| event.event).collect();
    erase(tx, &ids).await?;
    if let Some(external) = row.external.filter(|_| waited) {
        // Events that stood behind it in the queue may be claimable now.
        tx.effects.wake = true;
        tx.scan.forget();
        let until = millis(now).saturating_add(row.webhook.park_for_ms);
        on_mapped::stand_in(tx, external, moment(until).ok(), now).await?;
    }
    Ok(())
}

/// Gives the events of a message its text as it is now.
async fn edit(tx: &mut Tx, row: &Row<'_>) -> Result<(), StoreError> {
    let events = earlier(tx, row).await?;
    let (messages, others): (Vec<_>, Vec<_>) = (events.iter())
        .partition(|event| event.has_body && event.report.is_none_or(Report::is_message));
    let ids = |events: &[&Earlier]| events.iter().map(|event| event.event).collect::<Vec<_>>();
    erase(tx, &ids(&others)).await?;
    replace(tx, &ids(&messages), row.id).await
}

/// Gives the events the body of an edit. If that is deleted already, they keep none.
async fn replace(tx: &mut Tx, events: &[EventId], edit: EventId) -> Result<(), StoreError> {
    const COPY: &str = "\
        -- store::reports::copy
        INSERT INTO payloads (event_id, object_start, object_len, body)
        SELECT e.value, p.object_start, p.object_len, p.body
        FROM json_each($1) AS e CROSS JOIN payloads AS p ON p.event_id = $2";
    erase(tx, events).await?;
    let events: Vec<i64> = events.iter().map(|event| event.0).collect();
    tx.run(COPY, args![json(&events), edit]).await?;
    Ok(())
}
