//! Erases what events say: their bodies, and Serval's words about them, which may quote the ticket.

use crate::domain::ids::EventId;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::{args, json};

/// Erases the bodies, errors and answers of the events. A parked event keeps its error: that names ids
/// only, and tells why nothing was learned.
pub(crate) async fn erase(tx: &mut Tx, events: &[EventId]) -> Result<(), StoreError> {
    const BODIES: &str = "\
        -- store::erasure::bodies
        DELETE FROM payloads WHERE event_id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))";
    const ERRORS: &str = "\
        -- store::erasure::errors
        UPDATE events SET last_error = NULL
        WHERE id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1)) AND state <> 'parked'
            AND last_error IS NOT NULL";
    const ANSWERS: &str = "\
        -- store::erasure::answers
        UPDATE attempts SET answer = NULL
        WHERE event_id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1)) AND answer IS NOT NULL";
    if events.is_empty() {
        return Ok(());
    }
    tx.effects.erases = true;
    // A claim of one of these events may be about to be sent. It looks again before its call.
    tx.effects.revises = true;
    let events: Vec<i64> = events.iter().map(|event| event.0).collect();
    let events = json(&events);
    for statement in [BODIES, ERRORS, ANSWERS] {
        tx.run(statement, args![&events]).await?;
    }
    Ok(())
}
