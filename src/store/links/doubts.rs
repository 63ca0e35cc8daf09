//! Pairs in doubt: Serval may have them without our knowing it, because the answer to a call was lost, or
//! because they wait to be unlinked. Serval is asked before the next call.
//!
//! Invariant: a doubt belongs to its pair. Whatever becomes of the event whose call left it, it ends only
//! when the pair is stored as connected, or is unlinked. A doubt about all pairs of an external ticket, as a
//! restore leaves it, ends only when the external ticket is erased: that one pair is connected does not tell
//! which others Serval has.

use crate::domain::ids::{EventId, ServalTicketId};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::args;

/// The Serval ticket of a doubt about all pairs of an external ticket.
pub(crate) const ANY: &str = "";

/// Subquery for the event whose call may have made the pair of this external ticket and this Serval
/// ticket; NULL: the pair is not in doubt.
macro_rules! doubt {
    ($external:expr, $ticket_id:expr) => {
        concat!(
            "(SELECT dt.event_id FROM doubts AS dt WHERE dt.external = ",
            $external,
            " AND dt.ticket_id IN ('', ",
            $ticket_id,
            ") ORDER BY dt.ticket_id DESC LIMIT 1)"
        )
    };
}
pub(crate) use doubt;

/// A call about `event` may have made the pair. An earlier event stays the one in doubt: the links show the
/// pair, and not which save made it.
pub(crate) async fn add(
    tx: &mut Tx,
    external: i64,
    ticket_id: &str,
    event: EventId,
) -> Result<(), StoreError> {
    const ADD: &str = "\
        -- store::doubts::add
        INSERT INTO doubts (external, ticket_id, event_id) VALUES ($1, $2, $3)
        ON CONFLICT (external, ticket_id) DO NOTHING";
    tx.run(ADD, args![external, ticket_id, event]).await?;
    Ok(())
}

/// Serval has the pair. One that waits to be unlinked stays in doubt.
pub(crate) async fn end(
    tx: &mut Tx,
    external: i64,
    ticket_id: &ServalTicketId,
) -> Result<(), StoreError> {
    const END: &str = "\
        -- store::doubts::end
        DELETE FROM doubts WHERE external = $1 AND ticket_id = $2
            AND NOT EXISTS (SELECT 1 FROM external_tickets AS x
                JOIN disconnects AS d ON d.source = x.source AND d.external_id = x.external_id
                WHERE x.id = $1 AND d.ticket_id = $2)";
    tx.run(END, args![external, ticket_id]).await?;
    Ok(())
}
