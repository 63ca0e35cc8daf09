//! Replay of all events that match a filter, in steps.

use jiff::Timestamp;

use super::replay::{Replay, STEP, replay};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::store::audit::{self, Action};
use crate::store::engine::Query;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{read_all, row};
use crate::store::views::arrived::Arrived;
use crate::store::views::events::{EventFilter, index, narrow};

row! {
    struct FatesRow {
        matched: i64,
        connected: i64,
        unmapped: i64,
    }
}

/// Events that may be replayed, by what is known of their external tickets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// All events.
    pub matched: u64,
    /// Events whose pair Serval has already.
    pub connected: u64,
    /// Events without a mapping.
    pub unmapped: u64,
}

impl Store {
    /// Tells what a replay of the events that match a filter finds.
    pub async fn fates(&self, filter: &EventFilter) -> Result<Fates, StoreError> {
        let mut query = Query::new(
            "SELECT COUNT(*), COALESCE(SUM(found.connected), 0), COALESCE(SUM(found.unmapped), 0) FROM (
                SELECT CASE WHEN EXISTS (SELECT 1 FROM connections AS c
                        WHERE c.external = x.id AND c.ticket_id = x.ticket_id) THEN 1 ELSE 0 END AS connected,
                    CASE WHEN x.ticket_id IS NULL THEN 1 ELSE 0 END AS unmapped
                FROM events AS e ",
        );
        query.push(index(filter));
        query.push(" LEFT JOIN external_tickets AS x ON x.id = e.external WHERE TRUE");
        narrow(&mut query, filter);
        leave_out_refused(&mut query);
        query
            .push(" LIMIT ")
            .push_bind(i64::from(filter.limit))
            .push(") AS found");
        let rows: Vec<FatesRow> = read_all(&query.fetch_all(&self.readers).await?)?;
        let n = |of: fn(&FatesRow) -> i64| {
            let n = rows.first().map(of).unwrap_or_default();
            u64::try_from(n).unwrap_or_default()
        };
        Ok(Fates {
            matched: n(|row| row.matched),
            connected: n(|row| row.connected),
            unmapped: n(|row| row.unmapped),
        })
    }

    /// Counts the events that match a filter and may be replayed.
    pub async fn count_replayable(&self, filter: &EventFilter) -> Result<u64, StoreError> {
        let mut query = Query::new("SELECT COUNT(*) FROM (SELECT 1 FROM events AS e ");
        query.push(index(filter)).push(" WHERE TRUE");
        narrow(&mut query, filter);
        leave_out_refused(&mut query);
        query
            .push(" LIMIT ")
            .push_bind(i64::from(filter.limit))
            .push(") AS found");
        let counts: Vec<i64> = read_all(&query.fetch_all(&self.readers).await?)?;
        let count = counts.first().copied().unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Replays matching events, oldest first, at most `filter.limit`; returns how many events are in the queue
    /// again. Of the saves of a record only the newest is. Ids only go
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
        let mut query = Query::new("SELECT e.id FROM events AS e ");
        query.push(index(filter)).push(" WHERE e.id > ");
        query.push_bind(after.0);
        narrow(&mut query, filter);
        leave_out_refused(&mut query);
        query
            .push(" ORDER BY e.id LIMIT ")
            .push_bind(i64::from(limit));
        read_all(&query.fetch_all(&self.readers).await?)
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
                    let replay = replay(tx, None, id, None, &reason, now).await?;
                    replayed += u64::from(replay.is_some_and(Replay::queues));
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
    words.extend(filter.arrived.as_ref().map(Arrived::in_words));
    words.extend(filter.reason.as_ref().map(|reason| format!("({reason})")));
    words.join(" ")
}

/// Leaves out the events that [`Reason::forbids_replay`] names, and those without a body.
fn leave_out_refused(query: &mut Query) {
    for reason in Reason::ALL {
        if reason.forbids_replay().is_some() {
            query.push(" AND COALESCE(e.reason, '') <> ");
            query.push_bind(reason.as_str());
        }
    }
    query.push(" AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)");
}
