//! Releases the waiting events of an external ticket that was just mapped.

use jiff::Timestamp;

use super::{schedule, transition};
use crate::domain::event::{EventState, Rank, foremost, stands_before};
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
            AND COALESCE(e.reason, '') NOT IN
                ('echo', 'learning_echo', 'duplicate', 'class_conflict')"
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

/// Standing of the pair of a mapping at Serval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not the pair.
    Missing,
    /// The pair, and nothing is sent for it again.
    Known,
    /// The pair, and changed records are sent again.
    Renewed,
}

impl Standing {
    pub(crate) fn of(is_connected: bool, reconnects: bool) -> Self {
        match (is_connected, reconnects) {
            (false, _) => Self::Missing,
            (true, false) => Self::Known,
            (true, true) => Self::Renewed,
        }
    }
}

row! {
    /// The newest save of a record.
    pub(super) struct Newest {
        candidate: Candidate,
        has_body: bool,
        /// True if it was sent to the Serval ticket of the mapping.
        is_sent: bool,
    }
}

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
/// a parked event, unless changed records are sent again; otherwise one event is queued.
pub(crate) async fn follow(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    standing: Standing,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ROW: &str = concat!("-- store::on_mapped::row\nSELECT ", external!("$1", "$2"));
    let (to, reason) = match standing {
        Standing::Known => (EventState::Skipped, Reason::AlreadyConnected),
        Standing::Missing | Standing::Renewed => (EventState::Queued, Reason::Mapped),
    };
    // If nothing is parked, an older event of the ticket may still hold its object. `set_in_motion`
    // looks for that one.
    end_parking(tx, ticket, to, reason, now).await?;
    if standing == Standing::Known {
        return Ok(());
    }
    let args = args![&ticket.source, &ticket.external_id];
    let Some(external) = tx.fetch_one::<Option<i64>>(ROW, args).await? else {
        return Ok(());
    };
    if standing == Standing::Renewed {
        let newest = newest(tx, external).await?;
        if newest.is_none_or(|newest| newest.is_sent || !newest.has_body) {
            return Ok(());
        }
    }
    // Also what was given up: what failed with one Serval ticket may succeed with another.
    let best = best_of(tx, external, |_| true).await?;
    set_in_motion(tx, external, best, Reason::Mapped, now).await
}

/// Replaces a waiting event that was deleted by the best one that is left. About one that is dead a person
/// decides.
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
        Some((true, false, _)) => {
            let left = best_of(tx, external, |state| state != EventState::Dead).await?;
            set_in_motion(tx, external, left, Reason::StandsIn, now).await
        }
        Some((false, _, false)) => {
            // Only what gave way to the deleted one waits again.
            let left = best_of(tx, external, |state| state == EventState::Skipped).await?;
            let Some((left, until)) = left.zip(parked_until) else {
                return Ok(());
            };
            let (from, to) = (left.state, EventState::Parked);
            let reason = Some(Reason::NoMapping);
            transition::move_event(tx, left.event, from, to, reason, now).await?;
            stand(tx, external, left.event).await?;
            schedule::expire_at(tx, left.event, until).await
        }
        _ => Ok(()),
    }
}

/// Returns the newest save of a record; `None` for a thread, or where none is stored.
async fn newest(tx: &mut Tx, external: i64) -> Result<Option<Newest>, StoreError> {
    const NEWEST: &str = "\
        -- store::on_mapped::newest
        SELECT e.id, e.state, e.rank_major, e.rank_minor,
            (SELECT p.event_id FROM payloads AS p WHERE p.event_id = e.id) IS NOT NULL,
            e.state = 'connected' AND e.ticket_id IS NOT DISTINCT FROM x.ticket_id
        FROM external_tickets AS x CROSS JOIN events AS e ON e.id = x.newest
        WHERE x.id = $1";
    tx.fetch_optional(NEWEST, args![external]).await
}

/// Makes an event the one that stands for its record. An event that is sent in place of a newest save
/// without a body would be superseded by that one otherwise.
pub(super) async fn stand(tx: &mut Tx, external: i64, event: EventId) -> Result<(), StoreError> {
    const STAND: &str = "\
        -- store::on_mapped::stand
        UPDATE external_tickets SET newest = $2 WHERE id = $1 AND newest <> $2";
    tx.run(STAND, args![external, event]).await?;
    Ok(())
}

/// Notes the newest save of a record.
pub(super) async fn note_save(
    tx: &mut Tx,
    external: i64,
    event: EventId,
) -> Result<(), StoreError> {
    const NOTE: &str = "\
        -- store::on_mapped::note_save
        UPDATE external_tickets SET newest = $2 WHERE id = $1";
    tx.run(NOTE, args![external, event]).await?;
    // A claim of an older save may be about to be sent. It looks again before its call.
    tx.effects.revises = true;
    Ok(())
}

/// Returns the event that stands for an external ticket without anything parked, of those in a state that
/// counts. In place of a newest save in another state nothing is sent.
async fn best_of(
    tx: &mut Tx,
    external: i64,
    counts: impl Fn(EventState) -> bool,
) -> Result<Option<Candidate>, StoreError> {
    const CANDIDATES: &str = concat!(
        "-- store::on_mapped::candidates\nSELECT e.id, e.state, e.rank_major, e.rank_minor",
        candidates!("$1")
    );
    if let Some(newest) = newest(tx, external).await?
        && newest.has_body
    {
        return Ok(Some(newest.candidate).filter(|newest| counts(newest.state)));
    }
    let mut candidates: Vec<Candidate> = tx.fetch_all(CANDIDATES, args![external]).await?;
    candidates.retain(|candidate| counts(candidate.state));
    Ok(best(candidates.iter()).copied())
}

/// Returns the newest save, if it stands for the record, and not the event `id` of the rank `rank`.
pub(super) async fn newer_save(
    tx: &mut Tx,
    external: Option<i64>,
    id: EventId,
    rank: Rank,
) -> Result<Option<Newest>, StoreError> {
    let Some(external) = external else {
        return Ok(None);
    };
    let is_other = |newest: &Newest| {
        let newest = newest.candidate;
        newest.event != id && stands_before((newest.event, newest.rank), (id, rank))
    };
    Ok(newest(tx, external).await?.filter(is_other))
}

/// True if another event stands for the thread, and not the event `id` of the rank `rank`, which its source
/// did not read as a message before. One that was given up does not.
pub(super) async fn is_behind(
    tx: &mut Tx,
    external: Option<i64>,
    id: EventId,
    rank: Rank,
) -> Result<bool, StoreError> {
    const RANKED: &str = concat!(
        "-- store::on_mapped::ranked
        SELECT e.id, e.rank_major, e.rank_minor FROM events AS e INDEXED BY events_external
        WHERE e.external = $1 AND e.id <> $2 AND e.state NOT IN ('dead', 'expired') AND ",
        may_stand!(),
        " ORDER BY e.id"
    );
    let others: Vec<(EventId, Rank)> = tx.fetch_all(RANKED, args![external, id]).await?;
    Ok(foremost(others).is_some_and(|first| stands_before(first, (id, rank))))
}

/// Queues the best stored object of a mapped external ticket whose pair Serval does not have, unless
/// it is queued already.
async fn set_in_motion(
    tx: &mut Tx,
    external: i64,
    best: Option<Candidate>,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(best) = best else {
        return Ok(());
    };
    stand(tx, external, best.event).await?;
    let (from, to) = (best.state, EventState::Queued);
    if from != to {
        transition::move_event(tx, best.event, from, to, Some(reason), now).await?;
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
