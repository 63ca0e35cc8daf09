//! Replay: a person sends dead or expired events to the queue again, or ignored ones whose source reads
//! them as events to connect now.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;

use super::on_mapped::{is_behind, newer_save, note_save};
use super::transition;
use crate::domain::event::{EventState, NewEvent, Rank};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::domain::reason::Reason;
use crate::domain::report::Report;
use crate::domain::retry::later;
use crate::store::audit::{self, Action};
use crate::store::body::{Body, body_columns};
use crate::store::by::By;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::inbox::questions;
use crate::store::inbox::reports::{self, Subject};
use crate::store::links::direct_channels;
use crate::store::sql::{self, args, row};

/// Largest number of events that are replayed in one transaction, so that webhooks do not wait.
pub(super) const STEP: u32 = 100;

/// Explanation for an event whose body was deleted.
const NOTHING_TO_SEND: &str = "its body was deleted, after retention.payloads or because its \
                               record or message was, so there is nothing to send; the external \
                               ticket's next event will be";

/// Explanation for a save whose record was saved again.
const NEWER_IS_GONE: &str = "a newer save of its record was given up, too, and its body was deleted \
                             since; an older save is never sent in its place";

/// Explanation for a message of a direct conversation.
const DIRECT: &str = "it belongs to a conversation whose messages are direct, and its source takes no \
                      direct messages";

/// Result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// The event is in the queue again.
    Queued,
    /// The event is skipped: another event stands for its external ticket.
    Superseded,
    /// The event is skipped: the newest save of its record had been given up, too, and is in the queue
    /// again.
    NewerQueued,
    /// The event is a deletion or an edit, and took effect.
    Applied,
    /// The event is in this state, from which it is not replayed.
    NotReplayable(EventState),
    /// The event must never be sent, for this reason.
    Refused(&'static str),
}

impl Replay {
    /// True if an event is in the queue again.
    pub(super) fn queues(self) -> bool {
        matches!(self, Self::Queued | Self::NewerQueued)
    }
}

row! {
    /// An ignored event whose body is kept.
    #[derive(Debug, Clone)]
    pub struct SetAside {
        /// Source, as stored.
        source: String,
        /// Row id of the external ticket.
        external: Option<i64>,
        /// Type that the event got when it arrived.
        event_type: String,
        /// Reason for which it is ignored.
        reason: String,
        /// Body.
        body: Body,
        /// True if it was read as a deletion or an edit, and took effect.
        is_report: bool,
    }
}

impl SetAside {
    /// Returns the event as its source reads it now.
    pub fn read_as(&self, event: NewEvent, park_for: Duration) -> ReadAgain {
        let Range { start, end } = self.body.object;
        let [start, len] = [start, end - start].map(|n| i64::try_from(n).ok());
        ReadAgain {
            event,
            park_for,
            stored: (start, len, self.is_report),
        }
    }
}

/// An ignored event as its source reads it now.
#[derive(Debug, Clone)]
pub struct ReadAgain {
    /// The source's reading.
    pub event: NewEvent,
    /// Time for which an event is parked that stands in for one that this one deletes.
    pub park_for: Duration,
    /// The stored event that it was read from: see [`Finished::stored`].
    stored: (Option<i64>, Option<i64>, bool),
}

row! {
    /// An event that may be replayed.
    struct Finished {
        state: EventState,
        reason: Option<String>,
        source: String,
        external: Option<i64>,
        external_id: Option<String>,
        rank: Rank,
        start: Option<i64>,
        len: Option<i64>,
        is_report: bool,
    }
}

impl Finished {
    /// Place of the object in the body, and if the event was read as a deletion or an edit.
    fn stored(&self) -> (Option<i64>, Option<i64>, bool) {
        (self.start, self.len, self.is_report)
    }
}

impl Store {
    /// Replays one event; `None` if it does not exist.
    pub async fn replay(
        &self,
        id: EventId,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError> {
        let replays = self.replay_selected(vec![id], reason, now).await?;
        Ok(replays.into_iter().next().and_then(|(_, replay)| replay))
    }

    /// Returns an ignored event whose body is kept; `None` if this event is none.
    pub async fn set_aside(&self, id: EventId) -> Result<Option<SetAside>, StoreError> {
        const FIND: &str = concat!(
            "-- store::replay::set_aside
            SELECT e.source, e.external, e.event_type, COALESCE(e.reason, ''), ",
            body_columns!(),
            ", e.report IS NOT NULL
            FROM events AS e JOIN payloads AS p ON p.event_id = e.id
            WHERE e.id = $1 AND e.state = 'ignored'"
        );
        sql::fetch_optional(&self.readers, FIND, args![id.0]).await
    }

    /// Replays an ignored event as the event that its source reads in its body now.
    pub async fn replay_as(
        &self,
        id: EventId,
        read: ReadAgain,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError> {
        let by = self.by.clone();
        self.write(move |tx| {
            let (read, reason, by) = (read.clone(), reason.clone(), by.clone());
            Box::pin(async move { replay(tx, by.as_deref(), id, Some(&read), &reason, now).await })
        })
        .await
    }

    /// Replays the events that may be replayed. An event that does not exist gives `None`.
    pub async fn replay_selected(
        &self,
        ids: Vec<EventId>,
        reason: String,
        now: Timestamp,
    ) -> Result<Vec<(EventId, Option<Replay>)>, StoreError> {
        let mut replays = Vec::with_capacity(ids.len());
        // A step is one transaction. Webhooks can be stored between two steps.
        for step in ids.chunks(STEP as usize) {
            let (ids, reason, by) = (step.to_vec(), reason.clone(), self.by.clone());
            let step = self.write(move |tx| {
                let (ids, reason, by) = (ids.clone(), reason.clone(), by.clone());
                Box::pin(async move {
                    let mut replays = Vec::with_capacity(ids.len());
                    for id in ids {
                        replays
                            .push((id, replay(tx, by.as_deref(), id, None, &reason, now).await?));
                    }
                    Ok(replays)
                })
            });
            replays.extend(step.await?);
        }
        Ok(replays)
    }
}

/// Replays one event if it may be replayed: a dead or expired one as it is stored, an ignored one as
/// its source `read` it again.
pub(super) async fn replay(
    tx: &mut Tx,
    by: Option<&By>,
    id: EventId,
    read: Option<&ReadAgain>,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Replay>, StoreError> {
    const EVENT: &str = "\
        -- store::replay::event
        SELECT e.state, e.reason, e.source, e.external, x.external_id, e.rank_major, e.rank_minor,
            p.object_start, p.object_len, e.report IS NOT NULL
        FROM events AS e
        LEFT JOIN external_tickets AS x ON x.id = e.external
        LEFT JOIN payloads AS p ON p.event_id = e.id
        WHERE e.id = $1";
    let Some(event) = tx.fetch_optional::<Finished>(EVENT, args![id.0]).await? else {
        return Ok(None);
    };
    let before = event.state;
    match (before, read) {
        (EventState::Dead | EventState::Expired, None) | (EventState::Ignored, Some(_)) => {}
        _ => return Ok(Some(Replay::NotReplayable(before))),
    }
    let reason_then = event.reason.as_deref().and_then(Reason::parse);
    if let Some(why) = reason_then.and_then(Reason::forbids_replay) {
        return Ok(Some(Replay::Refused(why)));
    }
    // Retention may have deleted the body.
    if event.start.is_none() {
        return Ok(Some(Replay::Refused(NOTHING_TO_SEND)));
    }
    let replay = match read {
        None => of_save(tx, (event.external, id, event.rank), reason, now).await?,
        // Another replay was quicker: the body may have been cut since it was read.
        Some(read) if read.stored != event.stored() => Replay::NotReplayable(before),
        Some(read) => replay_read(tx, &event, id, read, reason, now).await?,
    };
    match replay {
        Replay::Queued => {
            transition::requeue(tx, id, before, reason, now).await?;
        }
        Replay::Superseded | Replay::NewerQueued => {
            let (to, reason) = (EventState::Skipped, Some(Reason::Superseded));
            transition::move_event(tx, id, before, to, reason, now).await?;
        }
        Replay::Applied => {}
        Replay::NotReplayable(_) | Replay::Refused(_) => return Ok(Some(replay)),
    }
    let source: Option<SourceName> = event.source.parse().ok();
    let ticket = source
        .zip(event.external_id)
        .map(|(source, external_id)| ExternalTicket {
            source,
            external_id: ExternalId::checked(external_id),
        });
    let (action, subject) = (Action::Replay, id.to_string());
    audit::note(tx, by, action, ticket.as_ref(), Some(&subject), now).await?;
    Ok(Some(replay))
}

/// Decides about a save. If a newer one stands for its record and was given up, too, that one is queued
/// again: its object is what Serval is to get.
async fn of_save(
    tx: &mut Tx,
    (external, id, rank): (Option<i64>, EventId, Rank),
    reason: &str,
    now: Timestamp,
) -> Result<Replay, StoreError> {
    let Some(newer) = newer_save(tx, external, id, rank).await? else {
        return Ok(Replay::Queued);
    };
    let (newest, from) = (newer.candidate.event, newer.candidate.state);
    if !matches!(from, EventState::Dead | EventState::Expired) {
        return Ok(Replay::Superseded);
    }
    if !newer.has_body {
        return Ok(Replay::Refused(NEWER_IS_GONE));
    }
    transition::requeue(tx, newest, from, reason, now).await?;
    Ok(Replay::NewerQueued)
}

/// Stores what the source reads in an ignored event now, and decides about it.
async fn replay_read(
    tx: &mut Tx,
    event: &Finished,
    id: EventId,
    read: &ReadAgain,
    reason: &str,
    now: Timestamp,
) -> Result<Replay, StoreError> {
    const READ: &str = "\
        -- store::replay::read
        UPDATE events SET subtype = $2, event_type = $3, rank_major = $4, rank_minor = $5,
            hint = $6, report = $7 WHERE id = $1";
    let external_id = event.external_id.as_deref();
    if direct_channels::ignores(tx, &event.source, external_id, &read.event).await? {
        return Ok(Replay::Refused(DIRECT));
    }
    let until = later(now, read.park_for);
    let read = &questions::answer_again(tx, &event.source, external_id, &read.event).await?;
    let report = read.report;
    let replay = match report {
        Report::Save => of_save(tx, (event.external, id, read.rank), reason, now).await?,
        Report::Message | Report::EditedMessage => {
            let is_behind = is_behind(tx, event.external, id, read.rank).await?;
            if is_behind {
                Replay::Superseded
            } else {
                Replay::Queued
            }
        }
        Report::Deletion | Report::MessageDeletion | Report::MessageEdit => Replay::Applied,
    };
    if let Replay::Refused(_) = replay {
        return Ok(replay);
    }
    let hint = read.hint.as_ref().map(ServalTicketId::as_str);
    let event_type = read.event_type.as_str();
    let told = report.is_about_others().then(|| report.as_str());
    let (major, minor) = (read.rank.0, read.rank.1);
    let args = args![id.0, read.subtype, event_type, major, minor, hint, told];
    tx.run(READ, args).await?;
    if let Some(external) = event.external {
        if replay == Replay::Applied {
            let subject = Subject::new(external, Some(until), now);
            reports::become_report(tx, subject, id, read).await?;
        } else if replay == Replay::Queued && report == Report::Save {
            note_save(tx, external, id).await?;
        }
    }
    Ok(replay)
}
