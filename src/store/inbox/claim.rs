//! Claims events while they are stored, if the worker has free slots: see [`HandOff`].
//!
//! [`HandOff`]: crate::store::queue::offer::HandOff

use bytes::Bytes;
use jiff::Timestamp;

use super::known::Ticket;
use super::row::Row;
use super::webhook::Webhook;
use crate::domain::event::ChannelNews;
use crate::domain::ids::{ExternalTicket, ServalTicketId};
use crate::store::commit::tx::Tx;
use crate::store::queue::claim::{Claim, ClaimToken};
use crate::store::queue::hold::hold;
use crate::store::sql::{millis, moment};

/// Claims the rows that come first for their external ticket, as many as the offer has slots. Runs
/// after the inserts and shares their round trip.
pub(super) fn hand_off(
    tx: &mut Tx,
    webhooks: &[Webhook],
    tickets: &[Ticket<'_>],
    rows: &[Row<'_>],
) {
    // A channel gets a new id in this transaction, or ends: a claim made now would have the old external
    // id, or send what is deleted.
    let mut events = webhooks.iter().flat_map(|webhook| &webhook.events);
    let is_moving = events.any(|event| {
        matches!(
            event.channel,
            Some(ChannelNews::Moved(_) | ChannelNews::Deleted { .. })
        )
    });
    let is_importing = tx.importing_at.is_some() || tx.is_importing;
    let mut externals = Vec::new();
    let mut claims = Vec::new();
    for row in rows {
        // A later event of an external ticket waits for the first one, so it does not wake the worker.
        let Some(ticket) = row.comes_first.map(|index| &tickets[index]) else {
            continue;
        };
        let place = tx
            .effects
            .handing
            .place(claims.len())
            .filter(|_| !is_moving && !is_importing && ticket.told.is_empty());
        let claim = place.and_then(|expires_at| claim(row, ticket, expires_at, tx.revision));
        match claim.zip(row.external) {
            Some((claim, external)) => {
                externals.push(external);
                claims.push(claim);
            }
            None => tx.effects.handing.left_some = true,
        }
    }
    let held: Vec<_> = claims.iter().zip(externals).collect();
    hold(tx, rows.len(), &held);
    tx.effects.handing.claims = claims;
}

/// Returns the claim that `queue::take` would make of the row. `None`: the stored mapping is broken,
/// which `take` handles.
fn claim(
    row: &Row<'_>,
    ticket: &Ticket<'_>,
    expires_at: Timestamp,
    revision: u64,
) -> Option<Claim> {
    let mapped_to: Option<ServalTicketId> = match &ticket.facts.mapped_to {
        Some(id) => Some(id.parse().ok()?),
        None => None,
    };
    let accounted_for = match &ticket.accounted_for {
        Some(json) => serde_json::from_str(json).ok()?,
        None => Vec::new(),
    };
    // What waits for a time has a claim later: only what was never called is handed off.
    let place = row.place();
    if place.due_at > millis(row.webhook.received_at) {
        return None;
    }
    Some(Claim {
        event: row.id,
        ticket: ExternalTicket {
            source: row.webhook.source.clone(),
            external_id: ticket.external_id.clone(),
        },
        token: ClaimToken::random(),
        expires_at,
        tries: u32::try_from(place.tries).unwrap_or(u32::MAX),
        doubt: ticket.doubt,
        queued_at: moment(place.queued_at).ok()?,
        subtype: row.event.subtype.map(str::to_owned),
        mapped_to,
        is_connected: ticket.facts.connected,
        is_direct: row.event.is_direct(),
        revision,
        hint: row.event.hint.clone(),
        accounted_for,
        traceparent: row.webhook.traceparent.clone(),
        object: object(row)?,
    })
}

/// Returns the external object without copying it.
fn object(row: &Row<'_>) -> Option<Bytes> {
    let body = &row.webhook.body;
    let object = body.get(row.event.object.clone())?;
    (!object.is_empty()).then(|| body.slice_ref(object))
}
