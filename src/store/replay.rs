//! Dead and expired events that a person sends to the queue again.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::error::StoreError;
use super::reports::{EventFilter, narrow};
use super::{Store, change, state};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::domain::ingest::{CLASS_CONFLICT, TEAM_CONFLICT, never_replayed};

/// Events that are replayed in one transaction at most, so that acknowledgements never wait.
const STEP: u32 = 100;

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
        const STATE: &str = "\
            -- store::replay::state
            SELECT state, reason FROM events WHERE id = $1";
        self.write(move |tx| {
            let reason = reason.clone();
            Box::pin(async move {
                let row: Option<(String, Option<String>)> = sqlx::query_as(STATE)
                    .bind(id.0)
                    .fetch_optional(&mut tx.connection)
                    .await?;
                let Some((word, given_up_for)) = row else {
                    return Ok(None);
                };
                let before = state(&word)?;
                if !is_replayable(before) {
                    return Ok(Some(Replay::NotFinished(before)));
                }
                if let Some(why) = never_replayed(given_up_for.as_deref()) {
                    return Ok(Some(Replay::Refused(why)));
                }
                let to = EventState::Queued;
                change::move_event(tx, id, before, to, Some(&reason), now).await?;
                Ok(Some(Replay::Queued))
            })
        })
        .await
    }

    /// How many events match a filter and may be replayed.
    pub async fn count_replayable(&self, filter: &EventFilter) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT COUNT(*) FROM (SELECT 1 FROM events AS e WHERE TRUE",
        );
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
            replayed += self.replay_step(ids, reason.clone(), now).await?;
        }
    }

    async fn matching(
        &self,
        filter: &EventFilter,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<EventId>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT e.id FROM events AS e WHERE e.id > ");
        query.push_bind(after.0);
        narrow(&mut query, filter);
        leave_out_refused(&mut query);
        query
            .push(" ORDER BY e.id LIMIT ")
            .push_bind(i64::from(limit));
        let ids: Vec<i64> = query.build_query_scalar().fetch_all(&self.readers).await?;
        Ok(ids.into_iter().map(EventId).collect())
    }

    async fn replay_step(
        &self,
        ids: Vec<EventId>,
        reason: String,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write(move |tx| {
            let (ids, reason) = (ids.clone(), reason.clone());
            Box::pin(async move {
                let mut replayed = 0;
                for id in ids {
                    for from in [EventState::Dead, EventState::Expired] {
                        let to = EventState::Queued;
                        let moved =
                            change::move_event(tx, id, from, to, Some(&reason), now).await?;
                        replayed += u64::from(moved);
                    }
                }
                Ok(replayed)
            })
        })
        .await
    }
}

/// Those that [`never_replayed`] speaks of.
fn leave_out_refused(query: &mut QueryBuilder<Sqlite>) {
    query.push(" AND COALESCE(e.reason, '') NOT IN (");
    query.push_bind(CLASS_CONFLICT).push(", ");
    query.push_bind(TEAM_CONFLICT).push(")");
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
