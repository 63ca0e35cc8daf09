//! Applies the answer about a Serval ticket that a payload named.

use jiff::Timestamp;

use super::channel_moves;
use super::conflict::{self, Decision};
use super::mapping::{Origin, PutMapping, Stored};
use super::mappings::put_mapping;
use crate::domain::event::{EventState, NAMED_IN_VAIN, Rank, is_older};
use crate::domain::ids::{EventId, ExternalTicket, ServalTicketId};
use crate::domain::ingest::park;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::{SettleError, StoreError};
use crate::store::handle::Store;
use crate::store::queue::claim::Claim;
use crate::store::queue::transition;
use crate::store::sql::{args, external, millis, row};

/// Answer about the Serval ticket that a payload named.
#[derive(Debug, Clone)]
pub enum Lesson {
    /// Serval knows it.
    Names {
        /// Id of the Serval ticket.
        ticket_id: ServalTicketId,
        /// Decision if the mapping names another Serval ticket; `None`: a person decides.
        on_conflict: Option<Decision>,
        /// True if a replaced pair is unlinked at Serval.
        unlinks_old: bool,
        /// True if a Serval ticket may have several external tickets of the source.
        several_per_ticket: bool,
        /// True if changed records of a connected external ticket are sent again.
        reconnects: bool,
    },
    /// Serval does not know it.
    Unknown {
        /// Text for people who look at the event.
        message: String,
    },
}

row! {
    /// An event that names a Serval ticket, or did until that was learned.
    struct Naming {
        id: EventId,
        rank: Rank,
    }
}

row! {
    /// The parked event and the claimed event of one external ticket.
    struct Both {
        parked: EventId,
        parked_rank: Rank,
        rank: Rank,
    }
}

impl Store {
    /// Applies a lesson and ends the claim. The event stays in the queue without its hint. The next
    /// claim of it sees only the mapping.
    pub async fn learn(
        &self,
        claim: &Claim,
        lesson: Lesson,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        let (event, ticket) = (claim.event, claim.ticket.clone());
        let token = claim.token.as_str().to_owned();
        // However long an import takes: nothing else is claimed meanwhile.
        let turn = self.any_mappings_turn().await;
        let is_held = self
            .write_mappings(turn, move |tx| {
                let (ticket, token, lesson) = (ticket.clone(), token.clone(), lesson.clone());
                Box::pin(async move {
                    // Serval may have been asked while the channel moved.
                    let ticket = channel_moves::present(tx, &ticket).await?;
                    learn(tx, event, &ticket, &token, lesson, now).await
                })
            })
            .await?;
        is_held.then_some(()).ok_or(SettleError::LostClaim)
    }
}

/// Applies a lesson; `false` if the claim is not held any more.
async fn learn(
    tx: &mut Tx,
    event: EventId,
    ticket: &ExternalTicket,
    token: &str,
    lesson: Lesson,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const END: &str = "\
        -- store::learning::end
        DELETE FROM claims WHERE event_id = $1 AND token = $2";
    const MAPPED: &str = "\
        -- store::learning::mapped
        SELECT ticket_id FROM mappings WHERE source = $1 AND external_id = $2";
    // A clone of an instance has the ids of the instance, and names its Serval tickets.
    const TWIN: &str = "\
        -- store::learning::twin
        SELECT source FROM mappings
        WHERE ticket_id = $3 AND external_id = $2 AND source <> $1 LIMIT 1";
    if tx.run(END, args![event, token]).await? != 1 {
        return Ok(false);
    }
    tx.effects.wake = true;
    let message = match &lesson {
        Lesson::Names { .. } => None,
        Lesson::Unknown { message } => Some(message.as_str()),
    };
    // An echo was queued only for its hint. It has nothing to connect.
    if forget_hint(tx, event, message, now).await? == Reason::LearningEcho.as_str() {
        skip(tx, event, Reason::Echo, now).await?;
    }
    let Lesson::Names {
        ticket_id,
        on_conflict,
        unlinks_old,
        several_per_ticket,
        reconnects,
    } = lesson
    else {
        return Ok(true);
    };
    let args = args![&ticket.source, &ticket.external_id];
    let mapped_to: Option<String> = tx.fetch_optional(MAPPED, args).await?;
    let mapped_to = mapped_to.as_deref();
    if names_late(tx, event, ticket).await? {
        tracing::info!(
            %event,
            ticket.external = %ticket,
            named = %ticket_id,
            "a newer payload named the ticket before; nothing is learned from this one"
        );
        return Ok(true);
    }
    if mapped_to == Some(ticket_id.as_str()) {
        confirm(tx, event, ticket).await?;
        return Ok(true);
    }
    let args = args![&ticket.source, &ticket.external_id, &ticket_id];
    let twin: Option<String> = tx.fetch_optional(TWIN, args).await?;
    if twin.is_some() || mapped_to.is_some() {
        // With `Replace`, the conflict is added as open, and writing the mapping closes it. Where there is
        // no mapping to keep, only a person decides.
        let decided = on_conflict
            .filter(|decision| *decision == Decision::Keep)
            .filter(|_| mapped_to.is_some());
        conflict::add(tx, ticket, mapped_to, &ticket_id, event, decided, now).await?;
    }
    if let Some(twin) = twin {
        let other = &ticket.external_id;
        tracing::warn!(
            %event,
            ticket.external = %ticket,
            named = %ticket_id,
            taken_by = twin,
            "the payload names a ticket that the same id of another source is mapped to; a person \
             decides the conflict"
        );
        let message = format!(
            "{NAMED_IN_VAIN}{ticket_id}, which {twin}/{other} is mapped to; see the conflicts"
        );
        forget_hint(tx, event, Some(&message), now).await?;
        return Ok(true);
    }
    if mapped_to.is_some() && on_conflict != Some(Decision::Replace) {
        return Ok(true);
    }
    let put = PutMapping {
        disconnects_others: false,
        ticket: ticket.clone(),
        ticket_id: ticket_id.clone(),
        accounted_for: Vec::new(),
        origin: Origin::Payload,
        taught_by: Some(event),
        unlinks_old,
        several_per_ticket,
        reconnects,
    };
    // Found before the mapping is written, which queues the parked event.
    let lesser = lesser(tx, event, ticket).await?;
    match put_mapping(tx, &put, now).await? {
        Stored::Created(_) | Stored::Replaced(_) => {
            if let Some(lesser) = lesser {
                skip(tx, lesser, Reason::Superseded, now).await?;
            }
        }
        Stored::Taken(other) => {
            tracing::warn!(
                %event,
                ticket.external = %ticket,
                named = %ticket_id,
                taken_by = other,
                "the payload names a ticket that has another external ticket of the source; \
                 nothing is learned"
            );
            let message = format!(
                "{NAMED_IN_VAIN}{ticket_id}, which {other} is mapped to; see several_per_ticket"
            );
            forget_hint(tx, event, Some(&message), now).await?;
        }
    }
    Ok(true)
}

/// True if a newer event of the external ticket names a Serval ticket: it taught the mapping, is in conflict with it,
/// or waits to teach one. The newest payload is right, whatever arrives first.
async fn names_late(
    tx: &mut Tx,
    event: EventId,
    ticket: &ExternalTicket,
) -> Result<bool, StoreError> {
    const OWN: &str = "\
        -- store::learning::own_rank
        SELECT id, rank_major, rank_minor FROM events WHERE id = $1";
    const NAMING: &str = concat!(
        "-- store::learning::naming
        SELECT e.id, e.rank_major, e.rank_minor FROM events AS e
        WHERE e.id IN (
            SELECT taught_by FROM mappings WHERE source = $1 AND external_id = $2
            UNION ALL
            SELECT event_id FROM conflicts WHERE source = $1 AND external_id = $2
            UNION ALL
            SELECT n.id FROM events AS n INDEXED BY events_external
            WHERE n.external = ",
        external!("$1", "$2"),
        " AND n.hint IS NOT NULL AND n.state <> 'ignored'
                AND COALESCE(n.reason, '') <> 'deleted')"
    );
    let own: Option<Naming> = tx.fetch_optional(OWN, args![event]).await?;
    let args = args![&ticket.source, &ticket.external_id];
    let naming: Vec<Naming> = tx.fetch_all(NAMING, args).await?;
    Ok(own.is_some_and(|own| {
        let is_newer = |other: &Naming| {
            other.id != event && is_older((event, own.rank), (other.id, other.rank))
        };
        naming.iter().any(is_newer)
    }))
}

/// Notes that the mapping has what its newest payload names, so that an older one does not change it.
async fn confirm(tx: &mut Tx, event: EventId, ticket: &ExternalTicket) -> Result<(), StoreError> {
    const CONFIRM: &str = "\
        -- store::learning::confirm
        UPDATE external_tickets SET taught_by = $3
        WHERE source = $1 AND external_id = $2 AND taught_by IS NOT NULL";
    tx.run(CONFIRM, args![&ticket.source, &ticket.external_id, event])
        .await?;
    Ok(())
}

/// Deletes the hint of an event, stores `message` as its error, and returns its first reason.
async fn forget_hint(
    tx: &mut Tx,
    event: EventId,
    message: Option<&str>,
    now: Timestamp,
) -> Result<String, StoreError> {
    const FORGET: &str = "\
        -- store::learning::forget
        UPDATE events SET hint = NULL, updated_at = $2, last_error = $3 WHERE id = $1
        RETURNING COALESCE(first_reason, '')";
    let args = args![event, millis(now), message];
    let first_reason = tx.fetch_optional(FORGET, args).await?;
    Ok(first_reason.unwrap_or_default())
}

/// Chooses which of two events is not sent: the queued one that names the Serval ticket, or the
/// parked one of the same thread, if there is one. Of the two, only the one that would have stayed parked
/// is sent, as if somebody had written the mapping. Of the saves of a record the next claim decides.
async fn lesser(
    tx: &mut Tx,
    event: EventId,
    ticket: &ExternalTicket,
) -> Result<Option<EventId>, StoreError> {
    const BOTH: &str = concat!(
        "-- store::learning::both
        SELECT p.id, p.rank_major, p.rank_minor, e.rank_major, e.rank_minor
        FROM events AS p JOIN events AS e ON e.id = $3 AND e.state = 'queued'
        JOIN external_tickets AS t ON t.id = p.external AND t.newest IS NULL
        WHERE p.state = 'parked' AND p.external = ",
        external!("$1", "$2")
    );
    let args = args![&ticket.source, &ticket.external_id, event];
    let both: Option<Both> = tx.fetch_optional(BOTH, args).await?;
    Ok(both.map(|both| {
        // The rule is that of parking, so that learning in either order ends alike.
        let placement = park((event, both.rank), Some((both.parked, both.parked_rank)));
        placement.supersedes.unwrap_or(event)
    }))
}

/// Takes an event out of the queue.
async fn skip(
    tx: &mut Tx,
    event: EventId,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (from, to) = (EventState::Queued, EventState::Skipped);
    transition::move_event(tx, event, from, to, Some(reason), now).await?;
    Ok(())
}
