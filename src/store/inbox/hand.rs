//! Claims events as they are stored, where a worker has a place for them: see `hand_off`.

use bytes::Bytes;
use jiff::Timestamp;

use super::Webhook;
use super::known::Ticket;
use super::rows::Row;
use crate::domain::ids::{ExternalTicket, ServalTicketId};
use crate::store::claims::{self, Claim, ClaimToken};
use crate::store::error::StoreError;
use crate::store::writer::Tx;

/// Claims those of `rows` that are due, come first for their external ticket, and find a place. Comes
/// after the inserts, to go with them.
pub(super) fn hand_off(
    tx: &mut Tx,
    webhooks: &[Webhook],
    tickets: &[Ticket<'_>],
    rows: &[Row<'_>],
) -> Result<(), StoreError> {
    // What moves with its channel in this very transaction would be called about under its old name.
    let mut events = webhooks.iter().flat_map(|webhook| &webhook.events);
    let is_moving = events.any(|event| event.channel_move.is_some());
    let mut externals = Vec::new();
    let mut claims = Vec::new();
    for row in rows {
        // A later event of an external ticket waits for the first, and asks for nobody's attention.
        let Some(ticket) = row.comes_first.map(|index| &tickets[index]) else {
            continue;
        };
        let place = tx.handing.place(claims.len()).filter(|_| !is_moving);
        let claim = place.and_then(|expires_at| claim(row, ticket, expires_at));
        match claim.zip(row.external) {
            Some((claim, external)) => {
                externals.push(external);
                claims.push(claim);
            }
            None => tx.handing.left_some = true,
        }
    }
    let held: Vec<_> = claims.iter().zip(externals).collect();
    claims::hold(tx, rows.len(), &held)?;
    tx.handing.claims = claims;
    Ok(())
}

/// The claim of a row, as [`claims`] would make it; `None`: that has to look into it.
fn claim(row: &Row<'_>, ticket: &Ticket<'_>, expires_at: Timestamp) -> Option<Claim> {
    let mapped_to: Option<ServalTicketId> = match &ticket.facts.mapped_to {
        Some(id) => Some(id.parse().ok()?),
        None => None,
    };
    let accounted_for = match &ticket.accounted_for {
        Some(json) => serde_json::from_str(json).ok()?,
        None => Vec::new(),
    };
    Some(Claim {
        event: row.id,
        ticket: ExternalTicket {
            source: row.webhook.source.clone(),
            external_id: ticket.external_id.clone(),
        },
        token: ClaimToken::random(),
        expires_at,
        tries: 0,
        in_doubt: false,
        queued_at: row.webhook.received_at,
        subtype: row.event.subtype.map(str::to_owned),
        mapped_to,
        is_connected: ticket.facts.connected,
        hint: row.event.hint.clone(),
        accounted_for,
        traceparent: row.webhook.traceparent.clone(),
        object: object(row)?,
    })
}

/// The external object, without a copy.
fn object(row: &Row<'_>) -> Option<Bytes> {
    let body = &row.webhook.body;
    let object = body.get(row.event.object.clone())?;
    (!object.is_empty()).then(|| body.slice_ref(object))
}
