//! Changes of state: each guarded by the state it expects, kept with its time and reason, counted.

use jiff::Timestamp;

use super::error::StoreError;
use super::millis;
use super::writer::Tx;
use crate::domain::event::EventState;
use crate::domain::ids::EventId;

/// Moves an event from one state to another; `false` and nothing changed when it is not in `from`.
///
/// An event that gives up its place (dead, expired) lets another with the same content take it.
pub(super) async fn move_event(
    tx: &mut Tx,
    event: EventId,
    from: EventState,
    to: EventState,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const MOVE: &str = "\
        -- store::change::move_event
        UPDATE events
        SET state = $3, reason = $4, updated_at = $5, due_at = $5, not_before = 0,
            content = CASE WHEN $3 IN ('dead', 'expired') THEN NULL ELSE content END,
            queued_at = CASE WHEN $3 = 'queued' THEN $5 ELSE queued_at END,
            tries = CASE WHEN $3 = 'queued' THEN 0 ELSE tries END
        WHERE id = $1 AND state = $2
        RETURNING source";
    let source: Option<String> = sqlx::query_scalar(MOVE)
        .bind(event.0)
        .bind(from.as_str())
        .bind(to.as_str())
        .bind(reason)
        .bind(millis(now))
        .fetch_optional(tx.connection().await?)
        .await?;
    let Some(source) = source else {
        return Ok(false);
    };
    note(tx, event, to, reason, now).await?;
    tx.counts.moved(&source, from, to, 1);
    tx.wake |= to == EventState::Queued;
    Ok(true)
}

/// Writes down that an event is in a state since `now`.
pub(super) async fn note(
    tx: &mut Tx,
    event: EventId,
    state: EventState,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const NOTE: &str = "\
        -- store::change::note
        INSERT INTO changes (event_id, at, state, reason) VALUES ($1, $2, $3, $4)";
    sqlx::query(NOTE)
        .bind(event.0)
        .bind(millis(now))
        .bind(state.as_str())
        .bind(reason)
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}
