//! Settling a claim: the attempt and the change of state in one transaction, for the holder only.

mod moves;
mod types;

use jiff::Timestamp;

use super::claims::Claim;
use super::error::{SettleError, StoreError};
use super::writer::Tx;
use super::{Store, change, millis};
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::EventId;
use moves::{paired, park_event, release, reschedule, set_error, skip_siblings};
pub use types::{Attempt, AttemptOutcome, Settlement};

impl Store {
    /// Ends a claim: writes the attempt and moves the event, if the claim is still held.
    pub async fn settle(
        &self,
        claim: &Claim,
        attempt: Option<Attempt>,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        let held = Held {
            event: claim.event,
            token: claim.token.as_str().to_owned(),
        };
        let is_settled = self
            .write(move |tx| {
                let (held, attempt, settlement) =
                    (held.clone(), attempt.clone(), settlement.clone());
                Box::pin(async move { settle(tx, &held, attempt, settlement, now).await })
            })
            .await?;
        if is_settled {
            Ok(())
        } else {
            Err(SettleError::LostClaim)
        }
    }
}

#[derive(Debug, Clone)]
struct Held {
    event: EventId,
    token: String,
}

/// The event as it stands when its claim is settled.
struct Subject {
    event: EventId,
    source: String,
    external_id: String,
    rank: Rank,
    mapped_to: Option<String>,
}

async fn settle(
    tx: &mut Tx,
    held: &Held,
    attempt: Option<Attempt>,
    settlement: Settlement,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const END: &str = "\
        -- store::settle::end
        DELETE FROM claims WHERE event_id = $1 AND token = $2";
    let ended = sqlx::query(END)
        .bind(held.event.0)
        .bind(&held.token)
        .execute(&mut tx.connection)
        .await?;
    if ended.rows_affected() != 1 {
        return Ok(false);
    }
    if let Some(attempt) = attempt {
        insert_attempt(tx, held.event, &attempt).await?;
    }
    let Some(subject) = subject(tx, held.event).await? else {
        // An operator moved it while it was in hand; the attempt is on record.
        return Ok(true);
    };
    match settlement {
        Settlement::Connected {
            ticket_id,
            reason,
            reconnects,
        } => {
            paired(tx, &subject, &ticket_id, EventState::Connected, reason, now).await?;
            if !reconnects {
                skip_siblings(tx, &subject, now).await?;
            }
        }
        Settlement::AlreadyLinked { ticket_id } => {
            let (skipped, reason) = (EventState::Skipped, Some("already_linked"));
            paired(tx, &subject, &ticket_id, skipped, reason, now).await?;
            skip_siblings(tx, &subject, now).await?;
        }
        Settlement::Retry {
            at,
            asked,
            counts,
            in_doubt,
            error,
        } => {
            let not_before = if asked { millis(at) } else { 0 };
            reschedule(
                tx,
                held.event,
                (millis(at), not_before),
                counts,
                in_doubt,
                &error,
                now,
            )
            .await?;
        }
        Settlement::Release { in_doubt, error } => {
            release(tx, held.event, in_doubt, error.as_deref(), now).await?;
        }
        Settlement::Park { until } => park_event(tx, &subject, until, now).await?,
        Settlement::Skip { reason } => {
            let (queued, skipped) = (EventState::Queued, EventState::Skipped);
            change::move_event(tx, held.event, queued, skipped, Some(reason), now).await?;
        }
        Settlement::Dead { reason, error } => {
            let (queued, dead) = (EventState::Queued, EventState::Dead);
            change::move_event(tx, held.event, queued, dead, Some(reason), now).await?;
            set_error(tx, held.event, &error).await?;
        }
    }
    // The next event of the same external ticket may go now.
    tx.wake = true;
    Ok(true)
}

async fn subject(tx: &mut Tx, event: EventId) -> Result<Option<Subject>, StoreError> {
    const SUBJECT: &str = "\
        -- store::settle::subject
        SELECT e.source, e.external_id, e.rank_major, e.rank_minor, m.ticket_id
        FROM events AS e
        LEFT JOIN mappings AS m ON m.source = e.source AND m.external_id = e.external_id
        WHERE e.id = $1 AND e.state = 'queued' AND e.external_id IS NOT NULL";
    let row: Option<(String, String, i64, i64, Option<String>)> = sqlx::query_as(SUBJECT)
        .bind(event.0)
        .fetch_optional(&mut tx.connection)
        .await?;
    Ok(
        row.map(|(source, external_id, major, minor, mapped_to)| Subject {
            event,
            source,
            external_id,
            rank: Rank(major, minor),
            mapped_to,
        }),
    )
}

async fn insert_attempt(tx: &mut Tx, event: EventId, attempt: &Attempt) -> Result<(), StoreError> {
    const INSERT: &str = "\
        -- store::settle::attempt
        INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, status,
            code, answer, request_id, retry_after, probe)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(INSERT)
        .bind(event.0)
        .bind(millis(attempt.started_at))
        .bind(attempt.duration_ms)
        .bind(attempt.ticket_id.as_str())
        .bind(attempt.outcome.as_str())
        .bind(attempt.status.map(i64::from))
        .bind(attempt.code.as_deref())
        .bind(attempt.answer.as_deref())
        .bind(attempt.request_id.as_deref())
        .bind(attempt.retry_after_ms)
        .bind(attempt.is_probe)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
