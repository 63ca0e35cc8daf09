//! Effects of a mapping that was just written: the events that it sets in motion, the pairs that it leaves.

use super::mapping::{Idle, Mapping, Written};
use crate::domain::ids::ExternalTicket;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::queue::on_mapped::may_stand;
use crate::store::sql::{args, external, row};

row! {
    /// The events of an external ticket.
    struct Events {
        queued: i64,
        has_any: bool,
        has_sendable: bool,
        has_body: bool,
    }
}

/// Looks at the external ticket of a mapping in the transaction that wrote it.
pub(super) async fn look(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    mapping: Mapping,
) -> Result<Written, StoreError> {
    const ROW: &str = concat!("-- store::written::row\nSELECT ", external!("$1", "$2"));
    const EVENTS: &str = concat!(
        "-- store::written::events
        SELECT (SELECT COUNT(*) FROM events AS e WHERE e.state = 'queued' AND e.external = $1),
            EXISTS (SELECT 1 FROM events AS e WHERE e.external = $1),
            EXISTS (SELECT 1 FROM events AS e WHERE e.external = $1 AND ",
        may_stand!(),
        "), EXISTS (SELECT 1 FROM events AS e WHERE e.external = $1
                AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id) AND ",
        may_stand!(),
        ")"
    );
    const OTHERS: &str = "\
        -- store::written::others
        SELECT ticket_id FROM connections WHERE external = $1 AND ticket_id <> $2
        ORDER BY connected_at, ticket_id";
    let args = args![&ticket.source, &ticket.external_id];
    let row: Option<i64> = tx.fetch_one(ROW, args).await?;
    let events: Events = tx.fetch_one(EVENTS, args![row]).await?;
    let still_connected = tx.fetch_all(OTHERS, args![row, &mapping.ticket_id]).await?;
    Ok(Written {
        waiting: events.queued,
        idle: idle(&events, mapping.connected_at.is_some()),
        still_connected,
        mapping,
    })
}

fn idle(events: &Events, is_connected: bool) -> Option<Idle> {
    Some(match events {
        Events { queued: 1.., .. } => return None,
        _ if is_connected => Idle::Connected,
        Events { has_any: false, .. } => Idle::NoEvent,
        Events {
            has_sendable: true,
            has_body: false,
            ..
        } => Idle::BodyDeleted,
        _ => Idle::Nothing,
    })
}
