//! Dead and expired events that a person sends to the queue again.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::audit::{self, Action, By};
use super::error::StoreError;
use super::reports::{EventFilter, index, narrow};
use super::writer::Tx;
use super::{Store, change, state};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, SourceName};
use crate::domain::ingest::{CLASS_CONFLICT, TEAM_CONFLICT, never_replayed};

/// Events that are replayed in one transaction at most, so that acknowledgements never wait.
const STEP: u32 = 100;

/// Why an event without a body is not replayed.
const NOTHING_TO_SEND: &str = "its body was deleted after retention.payloads, so there is nothing \
                               to send; the external ticket's next event will be";

/// What a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// The event is in the queue again.
    Queued,
    /// Only dead and expired events move; this one is in another state.
    NotFinished(EventState),
    /// The event must never be sent, and why.
    Refused(&'static str),
}

impl Store {
    /// Sends an event to the queue again; `None` when there is no such event.
    pub async fn replay(
        &self,
        id: EventId,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError> {
        let replays = self.replay_selected(vec![id], reason, now).await?;
        Ok(replays.into_iter().next().and_then(|(_, replay)| replay))
    }

    /// Sends selected events to the queue again, each if it may; `None` for one that there is not.
    pub async fn replay_selected(
        &self,
        ids: Vec<EventId>,
        reason: String,
        now: Timestamp,
    ) -> Result<Vec<(EventId, Option<Replay>)>, StoreError> {
        let mut replays = Vec::with_capacity(ids.len());
        for step in ids.chunks(STEP as usize) {
            let (ids, reason, by) = (step.to_vec(), reason.clone(), self.by.clone());
            let step = self.write(move |tx| {
                let (ids, reason, by) = (ids.clone(), reason.clone(), by.clone());
                Box::pin(async move {
                    let mut replays = Vec::with_capacity(ids.len());
                    for id in ids {
                        replays.push((id, replay(tx, by.as_deref(), id, &reason, now).await?));
                    }
                    Ok(replays)
                })
            });
            replays.extend(step.await?);
        }
        Ok(replays)
    }

    /// How many events match a filter and may be replayed.
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

    /// Sends the dead or expired events that match to the queue again, oldest first, at most
    /// `filter.limit` of them; answers how many. What dies again meanwhile is not taken twice.
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
            after = *last;
            let subject = subject(&filter);
            let step = self.replay_step(ids, reason.clone(), (subject, replayed, entry), now);
            (replayed, entry) = step.await?;
        }
    }

    async fn matching(
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

    /// One transaction; answers how many were replayed with those before, and their entry in the
    /// audit list.
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
                        let to = EventState::Queued;
                        let moved =
                            change::move_event(tx, id, from, to, Some(&reason), now).await?;
                        replayed += u64::from(moved);
                    }
                }
                let subject = format!("{replayed} {subject}");
                let Some(by) = by else {
                    return Ok((replayed, None));
                };
                let entry = if let Some(entry) = entry {
                    audit::say_again(tx, entry, &subject).await?;
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

/// What the events of a filter are, for the audit list.
fn subject(filter: &EventFilter) -> String {
    let state = filter.state.map_or("dead", EventState::as_str);
    let mut words = vec![format!("{state} events")];
    words.extend(filter.source.as_ref().map(|source| format!("of {source}")));
    words.extend(filter.external_id.as_ref().map(|id| format!("about {id}")));
    words.extend(filter.reason.as_ref().map(|reason| format!("({reason})")));
    words.join(" ")
}

/// Sends one event to the queue again, if it may.
async fn replay(
    tx: &mut Tx,
    by: Option<&By>,
    id: EventId,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Replay>, StoreError> {
    const EVENT: &str = "\
        -- store::replay::event
        SELECT e.state, e.reason, e.source, x.external_id FROM events AS e
        LEFT JOIN external_tickets AS x ON x.id = e.external WHERE e.id = $1";
    type Row = (String, Option<String>, String, Option<String>);
    let row: Option<Row> = sqlx::query_as(EVENT)
        .bind(id.0)
        .fetch_optional(tx.connection().await?)
        .await?;
    let Some((word, given_up_for, source, external_id)) = row else {
        return Ok(None);
    };
    let before = state(&word)?;
    if !is_replayable(before) {
        return Ok(Some(Replay::NotFinished(before)));
    }
    if let Some(why) = never_replayed(given_up_for.as_deref()) {
        return Ok(Some(Replay::Refused(why)));
    }
    if !has_payload(tx, id).await? {
        return Ok(Some(Replay::Refused(NOTHING_TO_SEND)));
    }
    change::move_event(tx, id, before, EventState::Queued, Some(reason), now).await?;
    let source: Option<SourceName> = source.parse().ok();
    let ticket = source
        .zip(external_id)
        .map(|(source, external_id)| ExternalTicket {
            source,
            external_id: ExternalId::from_store(external_id),
        });
    let (action, subject) = (Action::Replay, id.to_string());
    audit::note(tx, by, action, ticket.as_ref(), Some(&subject), now).await?;
    Ok(Some(Replay::Queued))
}

/// Whether there is anything to send: retention may have deleted it.
async fn has_payload(tx: &mut Tx, id: EventId) -> Result<bool, StoreError> {
    const PAYLOAD: &str = "\
        -- store::replay::payload
        SELECT COUNT(*) FROM payloads WHERE event_id = $1";
    let n: i64 = sqlx::query_scalar(PAYLOAD)
        .bind(id.0)
        .fetch_one(tx.connection().await?)
        .await?;
    Ok(n > 0)
}

/// Those that [`never_replayed`] speaks of, and those without a body.
fn leave_out_refused(query: &mut QueryBuilder<Sqlite>) {
    query.push(" AND COALESCE(e.reason, '') NOT IN (");
    query.push_bind(CLASS_CONFLICT).push(", ");
    query.push_bind(TEAM_CONFLICT).push(")");
    query.push(" AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)");
}

fn is_replayable(state: EventState) -> bool {
    match state {
        EventState::Dead | EventState::Expired => true,
        EventState::Queued
        | EventState::Parked
        | EventState::Connected
        | EventState::Skipped
        | EventState::Ignored => false,
    }
}
