//! What a mapping does to the events of its external ticket.

use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{change, state};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::domain::ingest::ALREADY_CONNECTED;

/// The event that represents an external ticket, as the end of a statement that begins with
/// `SELECT e.…`: the queued one, the parked one, else the best stored object. Of the finished
/// events, those that could have connected: with an object, and not set aside for what they say.
macro_rules! best_event {
    ($source:literal, $external_id:literal) => {
        concat!(
            " FROM events AS e WHERE e.source = ",
            $source,
            " AND e.external_id = ",
            $external_id,
            " AND e.state <> 'ignored'
            AND COALESCE(e.reason, '') NOT IN ('echo', 'duplicate', 'class_conflict')
            AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
            ORDER BY e.state = 'queued' DESC, e.state = 'parked' DESC,
                e.rank_major DESC, e.rank_minor DESC, e.id DESC
            LIMIT 1"
        )
    };
}
pub(super) use best_event;

/// Queues the event that represents a mapped external ticket whose pair Serval does not have:
/// the parked one, else the best stored object, unless one is queued already.
pub(super) async fn set_in_motion(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const BEST: &str = concat!(
        "-- store::motion::best\nSELECT e.id, e.state",
        best_event!("$1", "$2")
    );
    let best: Option<(i64, String)> = sqlx::query_as(BEST)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some((id, from)) = best else {
        return Ok(());
    };
    let from = state(&from)?;
    if from != EventState::Queued {
        change::move_event(
            tx,
            EventId(id),
            from,
            EventState::Queued,
            Some("mapped"),
            now,
        )
        .await?;
    }
    tx.wake = true;
    Ok(())
}

/// Ends what is parked for a pair that Serval has: its mapping was gone for a while.
pub(super) async fn skip_parked(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PARKED: &str = "\
        -- store::motion::parked
        SELECT id FROM events WHERE state = 'parked' AND source = $1 AND external_id = $2";
    let parked: Option<i64> = sqlx::query_scalar(PARKED)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(&mut tx.connection)
        .await?;
    if let Some(id) = parked {
        let (from, to) = (EventState::Parked, EventState::Skipped);
        change::move_event(tx, EventId(id), from, to, Some(ALREADY_CONNECTED), now).await?;
    }
    Ok(())
}
