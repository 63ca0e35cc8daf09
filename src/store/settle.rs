//! Settling a claim: the attempt and the change of state in one transaction, for the holder only.

use jiff::Timestamp;

use super::claims::Claim;
use super::error::{SettleError, StoreError};
use super::writer::Tx;
use super::{Store, change, millis};
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::{ALREADY_CONNECTED, park};

/// How one call ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Serval took it.
    Connected,
    /// A look showed that Serval has it.
    AlreadyLinked,
    /// It will be tried again.
    Retry,
    /// The line waits; it costs the event nothing.
    Held,
    /// It was the last one.
    Dead,
}

impl AttemptOutcome {
    /// The word used in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::AlreadyLinked => "already_linked",
            Self::Retry => "retry",
            Self::Held => "held",
            Self::Dead => "dead",
        }
    }
}

/// One call to Serval, for the record.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The Serval ticket it was about.
    pub ticket_id: ServalTicketId,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Serval's error code.
    pub code: Option<String>,
    /// What Serval said, or what went wrong on the way, shortened.
    pub answer: Option<String>,
    /// Serval's request id.
    pub request_id: Option<String>,
    /// How long Serval asked to wait, in milliseconds.
    pub retry_after_ms: Option<i64>,
    /// Whether it was the probe of an outage.
    pub is_probe: bool,
}

/// Where a claimed event goes.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Serval has the pair.
    Connected {
        /// The Serval ticket.
        ticket_id: ServalTicketId,
        /// `already_linked` where a look showed it.
        reason: Option<&'static str>,
    },
    /// Try again.
    Retry {
        /// Not before.
        at: Timestamp,
        /// Serval asked to wait until then.
        asked: bool,
        /// Whether the retry schedule counts this try.
        counts: bool,
        /// Whether the call may have reached Serval.
        in_doubt: bool,
        /// What went wrong.
        error: String,
    },
    /// Back into the queue as it was.
    Release {
        /// Whether the call may have reached Serval.
        in_doubt: bool,
        /// What went wrong, if anything did.
        error: Option<String>,
    },
    /// No mapping.
    Park {
        /// When the event expires.
        until: Timestamp,
    },
    /// Nothing to do.
    Skip {
        /// Why.
        reason: &'static str,
    },
    /// Given up.
    Dead {
        /// Why, in a word.
        reason: &'static str,
        /// What Serval said.
        error: String,
    },
}

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
            mapped_to: claim.mapped_to.as_ref().map(|id| id.as_str().to_owned()),
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
    /// What the mapping said when the event was claimed.
    mapped_to: Option<String>,
}

/// The event as it stands when its claim is settled.
struct Subject {
    event: EventId,
    source: String,
    external_id: String,
    rank: Rank,
    mapped_to: Option<String>,
}

impl Subject {
    /// Where the event goes now. A mapping that changed while the event was in hand: what was found
    /// out about the old pair is no end for the new one, and no reason to wait.
    fn where_to(&self, held: &Held, settlement: Settlement) -> Settlement {
        if self.mapped_to.is_none() || self.mapped_to == held.mapped_to {
            return settlement;
        }
        let error = match settlement {
            Settlement::Retry {
                asked: false,
                error,
                ..
            }
            | Settlement::Dead { error, .. } => Some(error),
            Settlement::Skip { .. } => None,
            Settlement::Connected { .. }
            | Settlement::Retry { .. }
            | Settlement::Release { .. }
            | Settlement::Park { .. } => return settlement,
        };
        let in_doubt = false;
        Settlement::Release { in_doubt, error }
    }
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
    match subject.where_to(held, settlement) {
        Settlement::Connected { ticket_id, reason } => {
            connected(tx, &subject, &ticket_id, reason, now).await?;
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

async fn connected(
    tx: &mut Tx,
    subject: &Subject,
    ticket_id: &ServalTicketId,
    reason: Option<&'static str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PAIR: &str = "\
        -- store::settle::pair
        INSERT INTO connections (source, external_id, ticket_id, connected_at, event_id)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (source, external_id, ticket_id) DO NOTHING";
    const CLEAR: &str = "\
        -- store::settle::clear
        UPDATE events SET ticket_id = $2, in_doubt = 0, last_error = NULL WHERE id = $1";
    sqlx::query(PAIR)
        .bind(&subject.source)
        .bind(&subject.external_id)
        .bind(ticket_id.as_str())
        .bind(millis(now))
        .bind(subject.event.0)
        .execute(&mut tx.connection)
        .await?;
    sqlx::query(CLEAR)
        .bind(subject.event.0)
        .bind(ticket_id.as_str())
        .execute(&mut tx.connection)
        .await?;
    if subject
        .mapped_to
        .as_deref()
        .is_some_and(|mapped| mapped != ticket_id.as_str())
    {
        // Mapped to another Serval ticket while the call was under way: it goes there, too.
        return release(tx, subject.event, false, None, now).await;
    }
    let (queued, connected) = (EventState::Queued, EventState::Connected);
    change::move_event(tx, subject.event, queued, connected, reason, now).await?;
    skip_siblings(tx, subject, now).await
}

/// The pair is connected: what else is queued for the external ticket has nothing to do.
async fn skip_siblings(tx: &mut Tx, subject: &Subject, now: Timestamp) -> Result<(), StoreError> {
    const SIBLINGS: &str = "\
        -- store::settle::siblings
        SELECT id FROM events
        WHERE state = 'queued' AND source = $1 AND external_id = $2
        ORDER BY id LIMIT 1000";
    let siblings: Vec<i64> = sqlx::query_scalar(SIBLINGS)
        .bind(&subject.source)
        .bind(&subject.external_id)
        .fetch_all(&mut tx.connection)
        .await?;
    for sibling in siblings {
        let (queued, skipped) = (EventState::Queued, EventState::Skipped);
        let reason = Some(ALREADY_CONNECTED);
        change::move_event(tx, EventId(sibling), queued, skipped, reason, now).await?;
    }
    Ok(())
}

async fn reschedule(
    tx: &mut Tx,
    event: EventId,
    (due_at, not_before): (i64, i64),
    counts: bool,
    in_doubt: bool,
    error: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const LATER: &str = "\
        -- store::settle::reschedule
        UPDATE events
        SET due_at = $2, not_before = $3, tries = tries + $4, in_doubt = $5, last_error = $6,
            updated_at = $7
        WHERE id = $1 AND state = 'queued'";
    sqlx::query(LATER)
        .bind(event.0)
        .bind(due_at)
        .bind(not_before)
        .bind(i64::from(counts))
        .bind(in_doubt)
        .bind(error)
        .bind(millis(now))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

async fn release(
    tx: &mut Tx,
    event: EventId,
    in_doubt: bool,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const RELEASE: &str = "\
        -- store::settle::release
        UPDATE events
        SET in_doubt = $2, last_error = COALESCE($3, last_error), updated_at = $4
        WHERE id = $1 AND state = 'queued'";
    sqlx::query(RELEASE)
        .bind(event.0)
        .bind(in_doubt)
        .bind(error)
        .bind(millis(now))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

async fn set_error(tx: &mut Tx, event: EventId, error: &str) -> Result<(), StoreError> {
    const SET: &str = "\
        -- store::settle::set_error
        UPDATE events SET last_error = $2 WHERE id = $1";
    sqlx::query(SET)
        .bind(event.0)
        .bind(error)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

/// Parks an event whose mapping is gone, unless it came back meanwhile.
async fn park_event(
    tx: &mut Tx,
    subject: &Subject,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PARKED: &str = "\
        -- store::settle::parked
        SELECT id, rank_major, rank_minor FROM events
        WHERE state = 'parked' AND source = $1 AND external_id = $2";
    const EXPIRY: &str = "\
        -- store::settle::expiry
        UPDATE events SET due_at = $2 WHERE id = $1";
    if subject.mapped_to.is_some() {
        return Ok(());
    }
    let parked: Option<(i64, i64, i64)> = sqlx::query_as(PARKED)
        .bind(&subject.source)
        .bind(&subject.external_id)
        .fetch_optional(&mut tx.connection)
        .await?;
    let parked = parked.map(|(id, major, minor)| (EventId(id), Rank(major, minor)));
    let placement = park(subject.rank, parked);
    if let Some(loser) = placement.supersedes {
        let (from, to) = (EventState::Parked, EventState::Skipped);
        let reason = Some(crate::domain::ingest::SUPERSEDED);
        change::move_event(tx, loser, from, to, reason, now).await?;
    }
    let (queued, to) = (EventState::Queued, placement.state);
    change::move_event(tx, subject.event, queued, to, placement.reason, now).await?;
    if to == EventState::Parked {
        sqlx::query(EXPIRY)
            .bind(subject.event.0)
            .bind(millis(until))
            .execute(&mut tx.connection)
            .await?;
    }
    Ok(())
}
