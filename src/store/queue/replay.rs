//! Replay: a person sends dead or expired events to the queue again, or ignored ones whose source reads
//! them as events to connect now.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::on_mapped::{is_outranked, note_save};
use super::transition;
use crate::domain::event::{EventState, NewEvent, Rank};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::domain::reason::Reason;
use crate::domain::report::Report;
use crate::domain::retry::later;
use crate::store::audit::{self, Action};
use crate::store::by::By;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::inbox::reports::{self, Subject};
use crate::store::links::direct_channels;
use crate::store::sql::{self, args, row};
use crate::store::views::events::{EventFilter, index, narrow};

/// Largest number of events that are replayed in one transaction, so that webhooks do not wait.
const STEP: u32 = 100;

/// Explanation for an event whose body was deleted.
const NOTHING_TO_SEND: &str = "its body was deleted, after retention.payloads or because its \
                               record or message was, so there is nothing to send; the external \
                               ticket's next event will be";

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
    /// The event is a deletion or an edit, and took effect.
    Applied,
    /// The event is in this state, from which it is not replayed.
    NotReplayable(EventState),
    /// The event must never be sent, for this reason.
    Refused(&'static str),
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
        /// Place of the object in the body.
        start: i64,
        /// Length of the object.
        len: i64,
        /// Body.
        body: Vec<u8>,
        /// True if it was read as a deletion or an edit, and took effect.
        is_report: bool,
    }
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
        const FIND: &str = "\
            -- store::replay::set_aside
            SELECT e.source, e.external, e.event_type, COALESCE(e.reason, ''), p.object_start, p.object_len,
                p.body, e.report IS NOT NULL
            FROM events AS e JOIN payloads AS p ON p.event_id = e.id
            WHERE e.id = $1 AND e.state = 'ignored'";
        sql::fetch_optional(&self.readers, FIND, args![id.0]).await
    }

    /// Replays an ignored event as the event that its source reads in its body now. What stands in for an
    /// event that it deletes is parked for `park_for`.
    pub async fn replay_as(
        &self,
        id: EventId,
        read: NewEvent,
        park_for: Duration,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError> {
        let by = self.by.clone();
        self.write(move |tx| {
            let (read, reason, by) = (read.clone(), reason.clone(), by.clone());
            let read = (read, later(now, park_for));
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

    /// Counts the events that match a filter and may be replayed.
    pub async fn count_replayable(&self, filter: &EventFilter) -> Result<u64, StoreError> {
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM (SELECT 1 FROM events AS e ");
        query.push(index(filter)).push(" WHERE TRUE");
        narrow(&mut query, filter);
        leave_out_refused(&mut query);
        query
            .push(" LIMIT ")
            .push_bind(i64::from(filter.limit))
            .push(")");
        let n: i64 = query.build_query_scalar().fetch_one(&self.readers).await?;
        Ok(u64::try_from(n).unwrap_or_default())
    }

    /// Replays matching events, oldest first, at most `filter.limit`; returns their number. Ids only go
    /// up, so an event that dies again meanwhile is not replayed twice.
    pub async fn replay_many(
        &self,
        filter: EventFilter,
        reason: String,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut replayed = 0_u64;
        let mut after = EventId(0);
        let mut entry = None;
        loop {
            let left = u64::from(filter.limit).saturating_sub(replayed);
            let step = u32::try_from(left).unwrap_or(u32::MAX).min(STEP);
            if step == 0 {
                return Ok(replayed);
            }
            let ids = self.matching(&filter, after, step).await?;
            let Some(last) = ids.last() else {
                return Ok(replayed);
            };
            // The search goes on behind the last id, so an event that dies again at once is not
            // found again.
            after = *last;
            let subject = subject(&filter);
            let step = self.replay_step(ids, reason.clone(), (subject, replayed, entry), now);
            (replayed, entry) = step.await?;
        }
    }

    /// Finds events that match a filter and may be replayed, oldest first.
    pub async fn matching(
        &self,
        filter: &EventFilter,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<EventId>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT e.id FROM events AS e ");
        query.push(index(filter)).push(" WHERE e.id > ");
        query.push_bind(after.0);
        narrow(&mut query, filter);
        leave_out_refused(&mut query);
        query
            .push(" ORDER BY e.id LIMIT ")
            .push_bind(i64::from(limit));
        let ids: Vec<i64> = query.build_query_scalar().fetch_all(&self.readers).await?;
        Ok(ids.into_iter().map(EventId).collect())
    }

    /// Replays one step. Returns how many were replayed so far, and the id of their audit entry: all
    /// steps share one.
    async fn replay_step(
        &self,
        ids: Vec<EventId>,
        reason: String,
        (subject, before, entry): (String, u64, Option<i64>),
        now: Timestamp,
    ) -> Result<(u64, Option<i64>), StoreError> {
        let by = self.by.clone();
        self.write(move |tx| {
            let (ids, reason) = (ids.clone(), reason.clone());
            let (subject, by) = (subject.clone(), by.clone());
            Box::pin(async move {
                let mut replayed = before;
                for id in ids {
                    for from in [EventState::Dead, EventState::Expired] {
                        let moved = transition::requeue(tx, id, from, &reason, now).await?;
                        replayed += u64::from(moved);
                    }
                }
                let subject = format!("{replayed} {subject}");
                let Some(by) = by else {
                    return Ok((replayed, None));
                };
                // One action of a person is one entry, however many steps it takes. Each step
                // corrects the number in it.
                let entry = if let Some(entry) = entry {
                    audit::set_subject(tx, entry, &subject).await?;
                    entry
                } else {
                    audit::note(tx, Some(&by), Action::Replay, None, Some(&subject), now).await?;
                    audit::last(tx).await?
                };
                Ok((replayed, Some(entry)))
            })
        })
        .await
    }
}

/// Describes the events of a filter for the audit list.
fn subject(filter: &EventFilter) -> String {
    let state = filter.state.map_or("dead", EventState::as_str);
    let mut words = vec![format!("{state} events")];
    words.extend(filter.source.as_ref().map(|source| format!("of {source}")));
    words.extend(filter.external_id.as_ref().map(|id| format!("about {id}")));
    words.extend(filter.reason.as_ref().map(|reason| format!("({reason})")));
    words.join(" ")
}

/// Replays one event if it may be replayed: a dead or expired one as it is stored, an ignored one as
/// its source `read` it again.
async fn replay(
    tx: &mut Tx,
    by: Option<&By>,
    id: EventId,
    read: Option<&(NewEvent, Timestamp)>,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Replay>, StoreError> {
    const EVENT: &str = "\
        -- store::replay::event
        SELECT e.state, e.reason, e.source, e.external, x.external_id, e.rank_major, e.rank_minor
        FROM events AS e
        LEFT JOIN external_tickets AS x ON x.id = e.external WHERE e.id = $1";
    const PAYLOAD: &str = "\
        -- store::replay::payload
        SELECT COUNT(*) > 0 FROM payloads WHERE event_id = $1";
    const READ: &str = "\
        -- store::replay::read
        UPDATE events SET subtype = $2, event_type = $3, rank_major = $4, rank_minor = $5,
            hint = $6 WHERE id = $1";
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
    if !tx.fetch_one::<bool>(PAYLOAD, args![id.0]).await? {
        return Ok(Some(Replay::Refused(NOTHING_TO_SEND)));
    }
    let rank = read.map_or(event.rank, |(read, _)| read.rank);
    let is_outranked = is_outranked(tx, event.external, id, rank).await?;
    let mut replay = if is_outranked {
        Replay::Superseded
    } else {
        Replay::Queued
    };
    if let Some((read, until)) = read {
        if direct_channels::ignores(tx, &event.source, read).await? {
            return Ok(Some(Replay::Refused(DIRECT)));
        }
        let hint = read.hint.as_ref().map(ServalTicketId::as_str);
        let event_type = read.event_type.as_str();
        let args = args![id.0, read.subtype, event_type, rank.0, rank.1, hint];
        tx.run(READ, args).await?;
        if let Some(external) = event.external.filter(|_| read.report.is_about_others()) {
            let subject = Subject::new(external, Some(*until), now);
            reports::become_report(tx, subject, id, read).await?;
            replay = Replay::Applied;
        } else if let Some(external) =
            (event.external).filter(|_| !is_outranked && read.report == Report::Save)
        {
            note_save(tx, external, id).await?;
        }
    }
    match replay {
        Replay::Queued => {
            transition::requeue(tx, id, before, reason, now).await?;
        }
        Replay::Superseded => {
            let (to, reason) = (EventState::Skipped, Some(Reason::Superseded));
            transition::move_event(tx, id, before, to, reason, now).await?;
        }
        Replay::Applied | Replay::NotReplayable(_) | Replay::Refused(_) => {}
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

/// Leaves out the events that [`Reason::forbids_replay`] names, and those without a body.
fn leave_out_refused(query: &mut QueryBuilder<Sqlite>) {
    for reason in Reason::ALL {
        if reason.forbids_replay().is_some() {
            query.push(" AND COALESCE(e.reason, '') <> ");
            query.push_bind(reason.as_str());
        }
    }
    query.push(" AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)");
}
