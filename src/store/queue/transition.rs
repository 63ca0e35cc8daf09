//! Changes of an event's state. Each is guarded by the state that it expects, stored with its time and
//! reason, and counted.

use jiff::Timestamp;

use super::schedule::on_move;
use crate::domain::event::{EventState, NAMED_IN_VAIN};
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::{args, millis};

/// Moves an event from one state to another. Returns `false`, and changes nothing, if the event is not
/// in `from`.
pub(crate) async fn move_event(
    tx: &mut Tx,
    event: EventId,
    from: EventState,
    to: EventState,
    reason: Option<Reason>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    transition(tx, event, (from, to), reason.map(Reason::as_str), now).await
}

/// Moves a finished event to the queue again, for the reason that a person gave.
pub(crate) async fn requeue(
    tx: &mut Tx,
    event: EventId,
    from: EventState,
    words: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    transition(tx, event, (from, EventState::Queued), Some(words), now).await
}

async fn transition(
    tx: &mut Tx,
    event: EventId,
    (from, to): (EventState, EventState),
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // An event that is parked waits for a mapping. An earlier error about a call tells nothing about
    // that; one about the Serval ticket that the payload names does.
    // A dead, expired or ignored event gives up its content, so that another event may bring the same.
    const MOVE: &str = concat!(
        "-- store::transition::move_event
        UPDATE events
        SET state = $3, reason = $4, updated_at = $5,
            content = CASE WHEN $3 IN ('dead', 'expired', 'ignored') THEN NULL ELSE content END,
            last_error = CASE WHEN $3 = 'parked' AND instr(last_error, $6) <> 1
                THEN NULL ELSE last_error END, ",
        on_move!("$3", "$5"),
        " WHERE id = $1 AND state = $2
        RETURNING source"
    );
    const NOTE: &str = "\
        -- store::transition::note
        INSERT INTO changes (event_id, at, state, reason) VALUES ($1, $2, $3, $4)";
    let at = millis(now);
    let moved = args![
        event.0,
        from.as_str(),
        to.as_str(),
        reason,
        at,
        NAMED_IN_VAIN
    ];
    let Some(source) = tx.fetch_optional::<String>(MOVE, moved).await? else {
        return Ok(false);
    };
    tx.run(NOTE, args![event.0, at, to.as_str(), reason])
        .await?;
    tx.counts.moved(&source, from, to, 1);
    tx.effects.wake |= to == EventState::Queued;
    Ok(true)
}
