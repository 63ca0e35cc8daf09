//! Releases the waiting events of an external ticket that was just mapped.

use jiff::Timestamp;

use super::{schedule, transition};
use crate::domain::event::{EventState, Rank, foremost};
use crate::domain::ids::{EventId, ExternalTicket};
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::{args, external, row};

/// Condition for the events `e` that may stand for their external ticket: those that could have
/// connected, and were not set aside for what they say.
macro_rules! may_stand {
    () => {
        "e.state <> 'ignored'
            AND COALESCE(e.reason, '') NOT IN ('echo', 'duplicate', 'class_conflict')"
    };
}
pub(crate) use may_stand;

/// The events with an object that may stand for an external ticket, as the end of a statement that
/// begins with `SELECT e.…`: in the order of arrival.
macro_rules! candidates {
    ($external:expr) => {
        concat!(
            " FROM events AS e WHERE e.external = ",
            $external,
            " AND ",
            crate::store::queue::on_mapped::may_stand!(),
            " AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
            ORDER BY e.id"
        )
    };
}
pub(crate) use candidates;

row! {
    /// An event that may stand for its external ticket.
    #[derive(Clone, Copy)]
    pub(crate) struct Candidate {
        /// Event.
        event: EventId,
        /// State.
        state: EventState,
        /// Rank.
        rank: Rank,
    }
}

/// Chooses the event that stands for an external ticket without anything parked: a queued one, else
/// the best stored object.
pub(crate) fn best<'c>(
    candidates: impl Iterator<Item = &'c Candidate> + Clone,
) -> Option<&'c Candidate> {
    let ranked = candidates.map(|candidate| (candidate, candidate.rank));
    let queued = ranked
        .clone()
        .filter(|(candidate, _)| candidate.state == EventState::Queued);
    let best = foremost(queued).or_else(|| foremost(ranked));
    best.map(|(candidate, _)| candidate)
}

/// Moves the events of a mapped external ticket on. If Serval has the pair, nothing is left to do for
/// a parked event; otherwise one event is queued.
pub(crate) async fn follow(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    is_connected: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ROW: &str = concat!("-- store::on_mapped::row\nSELECT ", external!("$1", "$2"));
    let (to, reason) = if is_connected {
        (EventState::Skipped, Reason::AlreadyConnected)
    } else {
        (EventState::Queued, Reason::Mapped)
    };
    // If nothing is parked, an older event of the ticket may still hold its object. `set_in_motion`
    // looks for that one.
    end_parking(tx, ticket, to, reason, now).await?;
    if is_connected {
        return Ok(());
    }
    let args = args![&ticket.source, &ticket.external_id];
    match tx.fetch_one::<Option<i64>>(ROW, args).await? {
        Some(external) => set_in_motion(tx, external, now).await,
        None => Ok(()),
    }
}

/// Replaces a waiting event that was deleted by the best one that is left.
pub(crate) async fn stand_in(
    tx: &mut Tx,
    external: i64,
    parked_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const STANDING: &str = "\
        -- store::on_mapped::standing
        SELECT x.ticket_id IS NOT NULL, c.ticket_id IS NOT NULL,
            EXISTS (SELECT 1 FROM events AS p WHERE p.state = 'parked' AND p.external = x.id)
        FROM external_tickets AS x
        LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = x.ticket_id
        WHERE x.id = $1";
    let standing: Option<(bool, bool, bool)> = tx.fetch_optional(STANDING, args![external]).await?;
    match standing {
        Some((true, false, _)) => set_in_motion(tx, external, now).await,
        Some((false, _, false)) => {
            // Only what gave way to the deleted one waits again.
            let left = best_of(tx, external).await?;
            let left = left.filter(|left| left.state == EventState::Skipped);
            let Some((left, until)) = left.zip(parked_until) else {
                return Ok(());
            };
            let (from, to) = (left.state, EventState::Parked);
            let reason = Some(Reason::NoMapping);
            transition::move_event(tx, left.event, from, to, reason, now).await?;
            schedule::expire_at(tx, left.event, until).await
        }
        _ => Ok(()),
    }
}

/// Returns the event that stands for an external ticket without anything parked.
async fn best_of(tx: &mut Tx, external: i64) -> Result<Option<Candidate>, StoreError> {
    const CANDIDATES: &str = concat!(
        "-- store::on_mapped::candidates\nSELECT e.id, e.state, e.rank_major, e.rank_minor",
        candidates!("$1")
    );
    let candidates: Vec<Candidate> = tx.fetch_all(CANDIDATES, args![external]).await?;
    Ok(best(candidates.iter()).copied())
}

/// True if another event stands for the external ticket, and not the event `id` of the rank `rank`.
pub(super) async fn is_outranked(
    tx: &mut Tx,
    external: Option<i64>,
    id: EventId,
    rank: Rank,
) -> Result<bool, StoreError> {
    const RANKED: &str = concat!(
        "-- store::on_mapped::ranked
        SELECT e.id, e.rank_major, e.rank_minor FROM events AS e INDEXED BY events_external
        WHERE e.external = $1 AND (e.id = $2 OR (",
        may_stand!(),
        ")) ORDER BY e.id"
    );
    let ranked: Vec<(EventId, Rank)> = tx.fetch_all(RANKED, args![external, id]).await?;
    // The stored rank of the event may be one that its source did not read yet.
    let ranked = ranked.into_iter();
    let ranked = ranked.map(|(other, stored)| (other, if other == id { rank } else { stored }));
    Ok(foremost(ranked).is_some_and(|(front, _)| front != id))
}

/// Queues the best stored object of a mapped external ticket whose pair Serval does not have, unless
/// one is queued already.
async fn set_in_motion(tx: &mut Tx, external: i64, now: Timestamp) -> Result<(), StoreError> {
    let Some(best) = best_of(tx, external).await? else {
        return Ok(());
    };
    let (from, to) = (best.state, EventState::Queued);
    if from != to {
        transition::move_event(tx, best.event, from, to, Some(Reason::Mapped), now).await?;
    }
    tx.effects.wake = true;
    Ok(())
}

/// Moves the parked event of an external ticket, if there is one. Another event may be queued too, if
/// the mapping was gone for a while.
async fn end_parking(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    to: EventState,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PARKED: &str = concat!(
        "-- store::on_mapped::parked\nSELECT id FROM events WHERE state = 'parked' AND external = ",
        external!("$1", "$2")
    );
    let parked: Option<i64> = tx
        .fetch_optional(
            PARKED,
            args![ticket.source.as_str(), ticket.external_id.as_str()],
        )
        .await?;
    if let Some(id) = parked {
        let from = EventState::Parked;
        transition::move_event(tx, EventId(id), from, to, Some(reason), now).await?;
    }
    Ok(())
}
