//! Settling a claim: the attempt and the change of state in one transaction, for the holder only.

mod pairs;
mod park;
mod rows;
mod subject;
pub(crate) mod types;

use jiff::Timestamp;

use super::{erasure, on_mapped, schedule, transition};
use crate::domain::event::EventState;
use crate::domain::reason::Reason;
use crate::store::attempt::Attempt;
use crate::store::commit::job::Job;
use crate::store::commit::tx::Tx;
use crate::store::engine::LARGEST;
use crate::store::error::{SettleError, StoreError};
use crate::store::handle::Store;
use crate::store::links::doubts;
use crate::store::queue::claim::Claim;
use crate::store::sql::args;
use subject::{Pair, Subject, held};
use types::{Settle, Settlement};

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
            was_in_doubt: claim.doubt.is_some(),
            mapped_to: claim.mapped_to.as_ref().map(|id| id.as_str().to_owned()),
            attempt,
            settlement,
            now,
        };
        // Settlements are a job of their own kind: the writer runs all that wait in a few
        // statements.
        let job = |reply| Job::Settle(settle, reply);
        if self.ask(self.patience, job).await? {
            Ok(())
        } else {
            Err(SettleError::LostClaim)
        }
    }
}

/// Settles claims and returns which of them were held.
pub(crate) async fn settle_all(tx: &mut Tx, settles: &[Settle]) -> Result<Vec<bool>, StoreError> {
    let mut is_held = Vec::with_capacity(settles.len());
    for chunk in settles.chunks(LARGEST) {
        is_held.extend(settle_some(tx, chunk).await?);
    }
    Ok(is_held)
}

/// Settles at most [`LARGEST`] claims. Most settlements end in a pair; those share their statements.
async fn settle_some(tx: &mut Tx, settles: &[Settle]) -> Result<Vec<bool>, StoreError> {
    let mut is_held = vec![false; settles.len()];
    let mut ended = Vec::with_capacity(settles.len());
    let mut pairs = Vec::new();
    let mut taken_back = Vec::new();
    for (index, subject) in held(tx, settles).await? {
        let settle = &settles[index];
        // A claim is settled once, even if two settlements in one group show its token.
        if settles[..index].iter().any(|s| s.event == settle.event) {
            continue;
        }
        is_held[index] = true;
        ended.push(settle);
        if let Some(subject) = subject {
            if !subject.has_body {
                taken_back.push(subject.event);
            }
            pairs.extend(settle_one(tx, subject, settle).await?);
        }
    }
    if !ended.is_empty() {
        pairs::finish(tx, &ended, &pairs).await?;
    }
    // The answer may quote what its sender took back during the call.
    erasure::erase(tx, &taken_back).await?;
    Ok(is_held)
}

/// Moves one event. Of one that left the queue while it was claimed, only a pair counts. A settlement that ends in a pair is returned, to share its statements with others.
async fn settle_one<'a>(
    tx: &mut Tx,
    subject: Subject,
    settle: &'a Settle,
) -> Result<Option<Pair<'a>>, StoreError> {
    let (event, now) = (settle.event, settle.now);
    let queued = EventState::Queued;
    // Also for an event that has ended meanwhile: the doubt is about the pair.
    if settle.settlement.leaves_doubt()
        && let Some(ticket_id) = &settle.mapped_to
    {
        doubts::add(tx, subject.external, ticket_id, event).await?;
    }
    if !subject.is_queued && !settle.settlement.is_pair() {
        return Ok(None);
    }
    if subject.has_body && subject.is_outranked && settle.settlement.is_unsent() {
        return supersede(tx, &subject, settle).await.map(|()| None);
    }
    if subject.has_body && subject.is_outdated(settle) {
        let error = settle.settlement.error();
        schedule::release(tx, event, error, now).await?;
        return Ok(None);
    }
    if !subject.has_body && !settle.settlement.is_pair() {
        let (to, reason) = (EventState::Skipped, Some(Reason::Deleted));
        transition::move_event(tx, event, queued, to, reason, now).await?;
        tx.effects.wake = true;
        on_mapped::stand_in(tx, subject.external, settle.settlement.parks_until(), now).await?;
        return Ok(None);
    }
    match &settle.settlement {
        Settlement::Connected {
            ticket_id,
            reason,
            reconnects,
        } => {
            return Ok(Some(Pair {
                subject,
                ticket_id,
                to: EventState::Connected,
                reason: *reason,
                ends_siblings: !reconnects,
                was_in_doubt: settle.was_in_doubt,
                now,
            }));
        }
        Settlement::AlreadyLinked { ticket_id } => {
            return Ok(Some(Pair {
                subject,
                ticket_id,
                to: EventState::Skipped,
                reason: Some(Reason::AlreadyLinked),
                ends_siblings: true,
                was_in_doubt: settle.was_in_doubt,
                now,
            }));
        }
        retry @ Settlement::Retry { .. } => schedule::retry(tx, event, retry, now).await?,
        Settlement::Release { error, .. } => {
            schedule::release(tx, event, error.as_deref(), now).await?;
        }
        Settlement::Park { until } => park::park(tx, &subject, *until, now).await?,
        Settlement::Skip { reason } => {
            let to = EventState::Skipped;
            transition::move_event(tx, event, queued, to, Some(*reason), now).await?;
        }
        Settlement::Dead { reason, error, .. } => {
            const SET: &str = "\
                -- store::settle::set_error
                UPDATE events SET last_error = $2 WHERE id = $1";
            let to = EventState::Dead;
            transition::move_event(tx, event, queued, to, Some(*reason), now).await?;
            tx.run(SET, args![event.0, error]).await?;
        }
    }
    Ok(None)
}

/// Ends an event that a newer save replaced while it was claimed. That one waits as this one would have.
async fn supersede(tx: &mut Tx, subject: &Subject, settle: &Settle) -> Result<(), StoreError> {
    let (event, now) = (settle.event, settle.now);
    let settlement = &settle.settlement;
    if matches!(settlement, Settlement::Retry { .. }) && !subject.is_outdated(settle) {
        schedule::retry(tx, event, settlement, now).await?;
    } else {
        schedule::release(tx, event, settlement.error(), now).await?;
    }
    transition::supersede(tx, event, now).await
}
