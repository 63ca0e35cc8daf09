//! What a mapping does to the events of its external ticket.

use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{change, external, millis, state};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::domain::ingest::ALREADY_CONNECTED;

/// The event that represents an external ticket without anything parked, as the end of a statement
/// that begins with `SELECT e.…`: the queued one, else the best stored object. Of the finished
/// events, those that could have connected: with an object, and not set aside for what they say.
macro_rules! best_event {
    ($external:expr) => {
        concat!(
            " FROM events AS e WHERE e.external = ",
            $external,
            " AND e.state <> 'ignored'
            AND COALESCE(e.reason, '') NOT IN ('echo', 'duplicate', 'class_conflict',
                'team_conflict')
            AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
            ORDER BY e.state = 'queued' DESC, e.rank_major DESC, e.rank_minor DESC, e.id DESC
            LIMIT 1"
        )
    };
}
pub(super) use best_event;

/// Does what a mapped external ticket needs, given whether Serval has the pair.
pub(super) async fn follow(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    is_connected: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (to, reason) = if is_connected {
        (EventState::Skipped, ALREADY_CONNECTED)
    } else {
        (EventState::Queued, "mapped")
    };
    end_parking(tx, ticket, to, reason, now).await?;
    if is_connected {
        return Ok(());
    }
    set_in_motion(tx, ticket, now).await
}

/// Queues the best stored object of a mapped external ticket whose pair Serval does not have, unless
/// one is queued already.
async fn set_in_motion(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const BEST: &str = concat!(
        "-- store::motion::best\nSELECT e.id, e.state",
        best_event!(external!("$1", "$2"))
    );
    let best: Option<(i64, String)> = sqlx::query_as(BEST)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(tx.connection().await?)
        .await?;
    let Some((id, from)) = best else {
        return Ok(());
    };
    let from = state(&from)?;
    if from != EventState::Queued {
        let to = EventState::Queued;
        change::move_event(tx, EventId(id), from, to, Some("mapped"), now).await?;
    }
    tx.wake = true;
    Ok(())
}

/// Moves what is parked for an external ticket. It need not be the only event: another may have been
/// queued before the mapping was gone for a while.
async fn end_parking(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    to: EventState,
    reason: &'static str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PARKED: &str = concat!(
        "-- store::motion::parked\nSELECT id FROM events WHERE state = 'parked' AND external = ",
        external!("$1", "$2")
    );
    let parked: Option<i64> = sqlx::query_scalar(PARKED)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(tx.connection().await?)
        .await?;
    if let Some(id) = parked {
        let from = EventState::Parked;
        change::move_event(tx, EventId(id), from, to, Some(reason), now).await?;
    }
    Ok(())
}

/// What failed with one Serval ticket says nothing about another: no wait is kept but one that
/// Serval asked for.
pub(super) async fn begin_anew(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ANEW: &str = concat!(
        "-- store::motion::begin_anew
        UPDATE events
        SET due_at = MAX($3, not_before), tries = 0, queued_at = $3, updated_at = $3
        WHERE state = 'queued' AND external = ",
        external!("$1", "$2")
    );
    sqlx::query(ANEW)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(millis(now))
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}
