//! What a claimed event's payload taught, once it was looked into.

use jiff::Timestamp;

use super::claims::Claim;
use super::conflicts::{self, Decision};
use super::error::{SettleError, StoreError};
use super::mappings::{Origin, PutMapping, Stored, put_mapping};
use super::writer::Tx;
use super::{Store, millis};
use crate::domain::ids::{EventId, ExternalTicket, ServalTicketId};

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
        /// What the payload named.
        hint: ServalTicketId,
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

    /// Remembers the id that Serval gave for a friendly identifier.
    pub async fn remember_friendly_id(
        &self,
        friendly: &str,
        ticket_id: ServalTicketId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const REMEMBER: &str = "\
            -- store::learning::remember
            INSERT INTO friendly_ids (friendly, ticket_id, found_at) VALUES ($1, $2, $3)
            ON CONFLICT (friendly) DO UPDATE
            SET ticket_id = excluded.ticket_id, found_at = excluded.found_at";
        let friendly = friendly.to_ascii_uppercase();
        self.write(move |tx| {
            let (friendly, ticket_id) = (friendly.clone(), ticket_id.clone());
            Box::pin(async move {
                sqlx::query(REMEMBER)
                    .bind(friendly)
                    .bind(ticket_id.as_str())
                    .bind(millis(now))
                    .execute(&mut tx.connection)
                    .await?;
                Ok(())
            })
        })
        .await
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
        .execute(&mut tx.connection)
        .await?;
    if ended.rows_affected() != 1 {
        return Ok(false);
    }
    tx.wake = true;
    let (ticket_id, on_conflict, disconnects_old, several_per_ticket) = match lesson {
        Lesson::Names {
            ticket_id,
            on_conflict,
            disconnects_old,
            several_per_ticket,
        } => {
            forget_hint(tx, event, None, now).await?;
            (ticket_id, on_conflict, disconnects_old, several_per_ticket)
        }
        Lesson::Unknown { hint } => {
            let said = format!("the payload names {hint}, which Serval does not know");
            forget_hint(tx, event, Some(&said), now).await?;
            return Ok(true);
        }
    };
    let mapped_to: Option<String> = sqlx::query_scalar(MAPPED)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(&mut tx.connection)
        .await?;
    let put = PutMapping {
        ticket: ticket.clone(),
        ticket_id: ticket_id.clone(),
        accounted_for: Vec::new(),
        origin: Origin::Payload,
        taught_by: Some(event),
        disconnects_old,
        several_per_ticket,
    };
    match mapped_to {
        None => match put_mapping(tx, &put, now).await? {
            Stored::Created(_) | Stored::Replaced(_) => {}
            Stored::Taken(other) => {
                let said = format!("the payload names {ticket_id}, which {other} is mapped to");
                forget_hint(tx, event, Some(&said), now).await?;
            }
        },
        Some(mapped_to) if mapped_to == ticket_id.as_str() => {}
        Some(mapped_to) => {
            conflicts::note(tx, ticket, &mapped_to, &ticket_id, event, on_conflict, now).await?;
            if on_conflict == Some(Decision::Replace) {
                put_mapping(tx, &put, now).await?;
            }
        }
    }
    Ok(true)
}

async fn forget_hint(
    tx: &mut Tx,
    event: EventId,
    said: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const FORGET: &str = "\
        -- store::learning::forget
        UPDATE events SET hint = NULL, updated_at = $2, last_error = $3 WHERE id = $1";
    sqlx::query(FORGET)
        .bind(event.0)
        .bind(millis(now))
        .bind(said)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
