//! Settling a claim: the attempt and the change of state in one transaction, for the holder only.

mod moves;
mod pairs;
mod rows;
mod types;

use jiff::Timestamp;
use sqlx::FromRow as _;
use tokio::sync::oneshot;

use super::claims::Claim;
use super::error::{SettleError, StoreError};
use super::group::Job;
use super::sized::LARGEST;
use super::writer::Tx;
use super::{Store, change, json, millis};
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::EventId;
use moves::{park_event, release, reschedule, set_error};
use pairs::Pair;
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
        let settle = Settle {
            event: claim.event,
            token: claim.token.as_str().to_owned(),
            mapped_to: claim.mapped_to.as_ref().map(|id| id.as_str().to_owned()),
            attempt,
            settlement,
            now,
        };
        let (reply, answer) = oneshot::channel();
        self.send(Job::Settle(settle, reply)).await?;
        if answer.await.map_err(|_| StoreError::Closed)?? {
            Ok(())
        } else {
            Err(SettleError::LostClaim)
        }
    }
}

/// A claim with what becomes of it.
pub(super) struct Settle {
    event: EventId,
    token: String,
    /// What the mapping said when the event was claimed.
    mapped_to: Option<String>,
    attempt: Option<Attempt>,
    settlement: Settlement,
    now: Timestamp,
}

/// The event as it stands when its claim is settled.
struct Subject {
    event: EventId,
    source: String,
    /// The external ticket, by its number.
    external: i64,
    rank: Rank,
    mapped_to: Option<String>,
}

impl Subject {
    /// Where the event goes instead, when its mapping changed while it was in hand: what was found
    /// out about the old pair is no end for the new one, and no reason to wait.
    fn back_to_the_queue(&self, settle: &Settle) -> Option<Settlement> {
        if self.mapped_to.is_none() || self.mapped_to == settle.mapped_to {
            return None;
        }
        let error = match &settle.settlement {
            Settlement::Retry {
                asked: false,
                error,
                ..
            }
            | Settlement::Dead { error, .. } => Some(error.clone()),
            Settlement::Skip { .. } => None,
            Settlement::Connected { .. }
            | Settlement::AlreadyLinked { .. }
            | Settlement::Retry { .. }
            | Settlement::Release { .. }
            | Settlement::Park { .. } => return None,
        };
        Some(Settlement::Release {
            in_doubt: false,
            error,
        })
    }
}

/// Settles claims that are held, and answers which were. Many that ended in a pair share their
/// statements: these are most.
pub(super) async fn settle_all(tx: &mut Tx, settles: &[Settle]) -> Result<Vec<bool>, StoreError> {
    let mut is_held = Vec::with_capacity(settles.len());
    for chunk in settles.chunks(LARGEST) {
        is_held.extend(settle_some(tx, chunk).await?);
    }
    Ok(is_held)
}

async fn settle_some(tx: &mut Tx, settles: &[Settle]) -> Result<Vec<bool>, StoreError> {
    let mut is_held = vec![false; settles.len()];
    let mut held = held(tx, settles).await?;
    // One claim is settled once, also where it is shown twice.
    held.retain(|(index, _)| {
        let event = settles[*index].event;
        let is_first = settles[..*index].iter().all(|other| other.event != event);
        is_held[*index] = is_first;
        is_first
    });
    if held.is_empty() {
        return Ok(is_held);
    }
    let ended: Vec<&Settle> = held.iter().map(|(index, _)| &settles[*index]).collect();
    let mut pairs = Vec::new();
    for (index, subject) in held {
        // Without a subject an operator moved it while it was in hand; the attempt is on record.
        if let Some(subject) = subject
            && let Some(pair) = settle(tx, subject, &settles[index]).await?
        {
            pairs.push(pair);
        }
    }
    pairs::finish(tx, &ended, &pairs).await?;
    Ok(is_held)
}

/// Does what is done for each event by itself; answers the pair that Serval has now.
async fn settle<'a>(
    tx: &mut Tx,
    subject: Subject,
    settle: &'a Settle,
) -> Result<Option<Pair<'a>>, StoreError> {
    let (event, now) = (settle.event, settle.now);
    let place = tx.place.take();
    let instead = subject.back_to_the_queue(settle);
    // A borrow of `settle` lives for as long as the pair; what is put in its place has none.
    if let Some(Settlement::Release { in_doubt, error }) = instead {
        release(tx, event, in_doubt, error.as_deref(), now).await?;
        return Ok(None);
    }
    match &settle.settlement {
        Settlement::Connected {
            ticket_id,
            reason,
            reconnects,
        } => {
            let (to, siblings_done) = (EventState::Connected, !reconnects);
            tx.place = place.filter(|_| siblings_done);
            return Ok(Some(Pair {
                subject,
                ticket_id,
                to,
                reason: *reason,
                siblings_done,
                now,
            }));
        }
        Settlement::AlreadyLinked { ticket_id } => {
            let (to, reason) = (EventState::Skipped, Some("already_linked"));
            tx.place = place;
            return Ok(Some(Pair {
                subject,
                ticket_id,
                to,
                reason,
                siblings_done: true,
                now,
            }));
        }
        Settlement::Retry {
            at,
            asked,
            counts,
            in_doubt,
            error,
        } => {
            let not_before = if *asked { millis(*at) } else { 0 };
            let due = (millis(*at), not_before);
            reschedule(tx, event, due, *counts, *in_doubt, error, now).await?;
        }
        Settlement::Release { in_doubt, error } => {
            release(tx, event, *in_doubt, error.as_deref(), now).await?;
        }
        Settlement::Park { until } => park_event(tx, &subject, *until, now).await?,
        Settlement::Skip { reason } => {
            let (queued, skipped) = (EventState::Queued, EventState::Skipped);
            change::move_event(tx, event, queued, skipped, Some(reason), now).await?;
        }
        Settlement::Dead { reason, error } => {
            let (queued, dead) = (EventState::Queued, EventState::Dead);
            change::move_event(tx, event, queued, dead, Some(reason), now).await?;
            set_error(tx, event, error).await?;
        }
    }
    Ok(None)
}

/// Which of `settles` show the token of their claim, by index, with the event if it is still queued.
async fn held(
    tx: &mut Tx,
    settles: &[Settle],
) -> Result<Vec<(usize, Option<Subject>)>, StoreError> {
    // One text whatever the number, unlike what is bound row by row: it goes along with inserts of
    // any size.
    const HELD: &str = "\
        -- store::settle::held
        SELECT shown.key, c.event_id, e.source, e.external, e.rank_major, e.rank_minor, x.ticket_id
        FROM json_each(?) AS shown
        CROSS JOIN claims AS c
            ON c.event_id = shown.value ->> 0 AND c.token = shown.value ->> 1
        LEFT JOIN events AS e
            ON e.id = c.event_id AND e.state = 'queued' AND e.external IS NOT NULL
        LEFT JOIN external_tickets AS x ON x.id = e.external";
    type HeldRow = (
        i64,
        i64,
        Option<String>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<String>,
    );
    let shown: Vec<(i64, &str)> = settles
        .iter()
        .map(|s| (s.event.0, s.token.as_str()))
        .collect();
    let batch = tx.later();
    batch.push(HELD);
    batch.bind(json(&shown))?;
    let rows = tx.fetch_all().await?;
    let mut held = Vec::with_capacity(rows.len());
    for row in rows {
        let (key, event, source, external, major, minor, mapped_to) = HeldRow::from_row(&row)?;
        let index = usize::try_from(key).unwrap_or(usize::MAX);
        let subject = source.zip(external).map(|(source, external)| Subject {
            event: EventId(event),
            source,
            external,
            rank: Rank(major.unwrap_or_default(), minor.unwrap_or_default()),
            mapped_to,
        });
        held.push((index, subject));
    }
    Ok(held)
}
