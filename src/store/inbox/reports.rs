//! Deletions and edits: what they do to other events of their external ticket, in the transaction that
//! stores them.
//!
//! Invariant: the old text is deleted from the bodies of all events, whatever their state, with the
//! answers that may quote it, and the write-ahead log is emptied after the commit. An event that is claimed keeps its state: its call may
//! have arrived, so the settlement decides.

use std::ops::Range;

use jiff::Timestamp;

use super::row::Row;
use crate::domain::event::{EventState, NewEvent, Rank};
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::domain::report::{Fate, Report, Told};
use crate::store::body::{self, Body, OF_EVENT};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::queue::erasure::erase;
use crate::store::queue::{on_mapped, transition};
use crate::store::sql::{args, json, row};

/// An external ticket whose events are changed.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    /// Row id of the external ticket.
    external: i64,
    /// Time until which an event is parked that stands in for a deleted one.
    parked_until: Option<Timestamp>,
    now: Timestamp,
}

impl Subject {
    pub(crate) fn new(external: i64, parked_until: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            external,
            parked_until,
            now,
        }
    }
}

row! {
    /// Another event of the external ticket.
    struct Other {
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
        let Some(external) = row.external else {
            continue;
        };
        let (until, now) = (row.webhook.parked_until(), row.webhook.received_at);
        let subject = Subject::new(external, until, now);
        let told = Told {
            event: row.id,
            report: row.event.report,
            rank: row.event.rank,
        };
        match (row.event.report, row.fate) {
            (Report::Save | Report::Message | Report::EditedMessage, Fate::Edited(edit))
                if row.keeps_body() =>
            {
                replace(tx, &[row.id], edit).await?;
            }
            (Report::Deletion | Report::MessageDeletion, _) => delete(tx, subject, told).await?,
            (Report::MessageEdit, Fate::Present) => edit(tx, subject, told).await?,
            (Report::Save | Report::Message | Report::MessageEdit | Report::EditedMessage, _) => {}
        }
    }
    Ok(())
}

/// Applies all deletions and edits to the stored events of the external ticket, in whatever order they
/// arrived: they were stored as events of two external tickets, or one was not known to be a report.
pub(crate) async fn apply_all(tx: &mut Tx, subject: Subject) -> Result<(), StoreError> {
    const TOLD: &str = "\
        -- store::reports::told
        SELECT r.id, r.report, r.rank_major, r.rank_minor,
            (SELECT p.event_id FROM payloads AS p WHERE p.event_id = r.id) IS NOT NULL
        FROM events AS r INDEXED BY events_report
        WHERE r.external = $1 AND r.report IS NOT NULL";
    let mut all: Vec<(Told, bool)> = tx.fetch_all(TOLD, args![subject.external]).await?;
    // The last text stays.
    all.sort_by_key(|(told, _)| (told.rank.0, told.event));
    for (told, has_body) in all {
        match told.report {
            Report::Deletion | Report::MessageDeletion => delete(tx, subject, told).await?,
            Report::MessageEdit if has_body => edit(tx, subject, told).await?,
            Report::Save | Report::Message | Report::MessageEdit | Report::EditedMessage => {}
        }
    }
    Ok(())
}

/// Applies the deletion or edit that its source reads now in the stored and ignored event `id`.
pub(crate) async fn become_report(
    tx: &mut Tx,
    subject: Subject,
    id: EventId,
    read: &NewEvent,
) -> Result<(), StoreError> {
    if read.report == Report::MessageEdit {
        trim(tx, id, read.object.clone()).await?;
    } else {
        erase(tx, &[id]).await?;
    }
    let reason = read.disposition.ignored_for().map(Reason::Ignored);
    let ignored = EventState::Ignored;
    transition::move_event(tx, id, ignored, ignored, reason, subject.now).await?;
    apply_all(tx, subject).await
}

/// Leaves only the object of a body: the body of an edit has the message as it was, too.
async fn trim(tx: &mut Tx, id: EventId, object: Range<usize>) -> Result<(), StoreError> {
    const TRIM: &str = "\
        -- store::reports::trim
        UPDATE payloads SET body = ?, unpacked = ?, object_start = ?, object_len = ?
        WHERE event_id = ?";
    let Some(body) = tx.fetch_optional::<Body>(OF_EVENT, args![id]).await? else {
        return Ok(());
    };
    let object = body.bytes.get(object).unwrap_or_default();
    let batch = tx.later();
    batch.push(TRIM);
    body::bind(batch, object, 0..object.len());
    batch.bind(id);
    tx.effects.erases = true;
    Ok(())
}

/// Finds the other events that a report is about. For `EXISTS` Postgres may read all payloads.
async fn others(tx: &mut Tx, subject: Subject, told: Told) -> Result<Vec<Other>, StoreError> {
    const OTHERS: &str = "\
        -- store::reports::others
        SELECT e.id, e.state, e.rank_major, e.rank_minor, e.report,
            (SELECT c.event_id FROM claims AS c WHERE c.event_id = e.id) IS NOT NULL,
            (SELECT p.event_id FROM payloads AS p WHERE p.event_id = e.id) IS NOT NULL
        FROM events AS e INDEXED BY events_external
        WHERE e.external = $1
        ORDER BY e.id";
    let mut events: Vec<Other> = tx.fetch_all(OTHERS, args![subject.external]).await?;
    events.retain(|other| told.is_about(other.event, other.report, other.rank));
    Ok(events)
}

/// Erases what was deleted. What waits is not sent; the best event that is left takes its
/// place.
async fn delete(tx: &mut Tx, subject: Subject, told: Told) -> Result<(), StoreError> {
    let events = others(tx, subject, told).await?;
    let Subject {
        external,
        parked_until,
        now,
    } = subject;
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
    if waited {
        // Events that stood behind it in the queue may be claimable now.
        tx.effects.wake = true;
        on_mapped::stand_in(tx, external, parked_until, now).await?;
    }
    Ok(())
}

/// Gives the events of a message its text as it is now.
async fn edit(tx: &mut Tx, subject: Subject, told: Told) -> Result<(), StoreError> {
    let events = others(tx, subject, told).await?;
    let (messages, others): (Vec<_>, Vec<_>) = (events.iter())
        .partition(|event| event.has_body && event.report.is_none_or(Report::is_message));
    let ids = |events: &[&Other]| events.iter().map(|event| event.event).collect::<Vec<_>>();
    erase(tx, &ids(&others)).await?;
    replace(tx, &ids(&messages), told.event).await
}

/// Gives the events the body of an edit. If that is deleted already, they keep none.
async fn replace(tx: &mut Tx, events: &[EventId], edit: EventId) -> Result<(), StoreError> {
    const COPY: &str = "\
        -- store::reports::copy
        INSERT INTO payloads (event_id, body, unpacked, object_start, object_len)
        SELECT CAST(e.atom AS BIGINT), p.body, p.unpacked, p.object_start, p.object_len
        FROM json_each($1) AS e CROSS JOIN payloads AS p ON p.event_id = $2";
    erase(tx, events).await?;
    let events: Vec<i64> = events.iter().map(|event| event.0).collect();
    tx.run(COPY, args![json(&events), edit]).await?;
    Ok(())
}
