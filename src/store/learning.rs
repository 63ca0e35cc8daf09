//! What a claimed event's payload taught, once it was looked into.

use jiff::Timestamp;

use super::change;
use super::claims::Claim;
use super::conflicts::{self, Decision};
use super::error::{SettleError, StoreError};
use super::mappings::{Origin, PutMapping, Stored, put_mapping};
use super::writer::Tx;
use super::{Store, external, json, millis};
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::{EventId, ExternalTicket, ServalTicketId};
use crate::domain::ingest::{ECHO, LEARNING_ECHO, SUPERSEDED, park};

/// Friendly identifiers that are written in one transaction.
const REMEMBERED_AT_ONCE: usize = 1000;

/// What a look at a hint came to.
#[derive(Debug, Clone)]
pub enum Lesson {
    /// It names this Serval ticket.
    Names {
        /// The id.
        ticket_id: ServalTicketId,
        /// What to do when the mapping says otherwise; `None`: a person decides.
        on_conflict: Option<Decision>,
        /// Whether a replaced pair is taken apart at Serval.
        disconnects_old: bool,
        /// Whether the Serval ticket may have another external ticket of the source.
        several_per_ticket: bool,
    },
    /// Serval does not know it.
    Unknown {
        /// What to tell whoever looks at the event.
        said: String,
    },
}

impl Store {
    /// Applies what was learned. The event stays in the queue, without its hint, and is claimed
    /// again: what becomes of it depends on the mapping alone.
    pub async fn learn(
        &self,
        claim: &Claim,
        lesson: Lesson,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        let (event, ticket) = (claim.event, claim.ticket.clone());
        let token = claim.token.as_str().to_owned();
        let is_held = self
            .write(move |tx| {
                let (ticket, token, lesson) = (ticket.clone(), token.clone(), lesson.clone());
                Box::pin(async move { learn(tx, event, &ticket, &token, lesson, now).await })
            })
            .await?;
        if is_held {
            Ok(())
        } else {
            Err(SettleError::LostClaim)
        }
    }

    /// The id that Serval gave for a friendly identifier.
    pub async fn friendly_id(&self, friendly: &str) -> Result<Option<ServalTicketId>, StoreError> {
        const FIND: &str = "\
            -- store::learning::friendly_id
            SELECT ticket_id FROM friendly_ids WHERE friendly = $1";
        let id: Option<String> = sqlx::query_scalar(FIND)
            .bind(friendly.to_ascii_uppercase())
            .fetch_optional(&self.readers)
            .await?;
        Ok(id.and_then(|id| id.parse().ok()))
    }

    /// Remembers the ids that Serval gave for friendly identifiers.
    pub async fn remember_friendly_ids(
        &self,
        known: Vec<(ServalTicketId, ServalTicketId)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const REMEMBER: &str = "\
            -- store::learning::remember
            INSERT INTO friendly_ids (friendly, ticket_id, found_at)
            SELECT upper(value ->> 0), value ->> 1, $2 FROM json_each($1) WHERE TRUE
            ON CONFLICT (friendly) DO UPDATE
            SET ticket_id = excluded.ticket_id, found_at = excluded.found_at
            WHERE ticket_id <> excluded.ticket_id";
        // Webhooks wait while this is written: briefly.
        for known in known.chunks(REMEMBERED_AT_ONCE) {
            let rows = json(known);
            self.write(move |tx| {
                let rows = rows.clone();
                Box::pin(async move {
                    sqlx::query(REMEMBER)
                        .bind(rows)
                        .bind(millis(now))
                        .execute(tx.connection().await?)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        }
        Ok(())
    }
}

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
    let ended = sqlx::query(END)
        .bind(event.0)
        .bind(token)
        .execute(tx.connection().await?)
        .await?;
    if ended.rows_affected() != 1 {
        return Ok(false);
    }
    tx.wake = true;
    let said = match &lesson {
        Lesson::Names { .. } => None,
        Lesson::Unknown { said } => Some(said.clone()),
    };
    let is_echo = forget_hint(tx, event, said.as_deref(), now).await?;
    if is_echo {
        let (from, to) = (EventState::Queued, EventState::Skipped);
        change::move_event(tx, event, from, to, Some(ECHO), now).await?;
    }
    let Lesson::Names {
        ticket_id,
        on_conflict,
        disconnects_old,
        several_per_ticket,
    } = lesson
    else {
        return Ok(true);
    };
    let mapped_to: Option<String> = sqlx::query_scalar(MAPPED)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(tx.connection().await?)
        .await?;
    match &mapped_to {
        Some(mapped_to) if mapped_to == ticket_id.as_str() => return Ok(true),
        Some(mapped_to) => {
            // What the payload wins is noted as open, and closed by the mapping.
            let decided = on_conflict.filter(|decision| *decision == Decision::Keep);
            conflicts::note(tx, ticket, mapped_to, &ticket_id, event, decided, now).await?;
            if on_conflict != Some(Decision::Replace) {
                return Ok(true);
            }
        }
        None => {}
    }
    let put = PutMapping {
        ticket: ticket.clone(),
        ticket_id: ticket_id.clone(),
        accounted_for: Vec::new(),
        origin: Origin::Payload,
        taught_by: Some(event),
        disconnects_old,
        several_per_ticket,
    };
    let lesser = lesser(tx, event, ticket).await?;
    match put_mapping(tx, &put, now).await? {
        Stored::Created(_) | Stored::Replaced(_) => set_back(tx, lesser, now).await?,
        Stored::Taken(other) => {
            tracing::warn!(
                %event,
                ticket.external = %ticket,
                named = %ticket_id,
                taken_by = other,
                "the payload names a ticket that has another external ticket of the source; \
                 nothing is learned"
            );
            let said = format!(
                "the payload names {ticket_id}, which {other} is mapped to; see several_per_ticket"
            );
            forget_hint(tx, event, Some(&said), now).await?;
        }
    }
    Ok(true)
}

/// Writes down that the hint was looked into; answers whether it stood in an echo.
async fn forget_hint(
    tx: &mut Tx,
    event: EventId,
    said: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const FORGET: &str = "\
        -- store::learning::forget
        UPDATE events SET hint = NULL, updated_at = $2, last_error = $3 WHERE id = $1
        RETURNING COALESCE(first_reason, '')";
    let first_reason: Option<String> = sqlx::query_scalar(FORGET)
        .bind(event.0)
        .bind(millis(now))
        .bind(said)
        .fetch_optional(tx.connection().await?)
        .await?;
    Ok(first_reason.as_deref() == Some(LEARNING_ECHO))
}

/// The event that taught the mapping is queued, and another of its external ticket may be parked:
/// of the two, the one that would have stayed parked is sent, as if the mapping came from outside.
/// Answers the other one.
async fn lesser(
    tx: &mut Tx,
    event: EventId,
    ticket: &ExternalTicket,
) -> Result<Option<EventId>, StoreError> {
    const BOTH: &str = concat!(
        "-- store::learning::both
        SELECT p.id, p.rank_major, p.rank_minor, e.rank_major, e.rank_minor
        FROM events AS p JOIN events AS e ON e.id = $3 AND e.state = 'queued'
        WHERE p.state = 'parked' AND p.external = ",
        external!("$1", "$2")
    );
    let both: Option<(i64, i64, i64, i64, i64)> = sqlx::query_as(BOTH)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(event.0)
        .fetch_optional(tx.connection().await?)
        .await?;
    Ok(both.map(|(parked, major, minor, own_major, own_minor)| {
        let kept = Some((EventId(parked), Rank(major, minor)));
        let placement = park(Rank(own_major, own_minor), kept);
        placement.supersedes.unwrap_or(event)
    }))
}

/// Takes the lesser of the two out of the queue, where the mapping has put both.
async fn set_back(tx: &mut Tx, lesser: Option<EventId>, now: Timestamp) -> Result<(), StoreError> {
    if let Some(lesser) = lesser {
        let (from, to) = (EventState::Queued, EventState::Skipped);
        change::move_event(tx, lesser, from, to, Some(SUPERSEDED), now).await?;
    }
    Ok(())
}
