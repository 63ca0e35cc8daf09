//! Settlements that end in a pair. They are most of all, so those of a group share their statements.

use super::rows;
use super::subject::Pair;
use super::types::Settle;
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::links::{doubts, unlink};
use crate::store::queue::{schedule, transition};
use crate::store::sql::{args, read_all};

/// Ends claims and stores their attempts. Stores the pairs, moves their queued events, and skips the other
/// queued events of external tickets that are now connected as they are mapped.
pub(super) async fn finish(
    tx: &mut Tx,
    ended: &[&Settle],
    pairs: &[Pair<'_>],
) -> Result<(), StoreError> {
    // An event that was mapped away during its call stays queued, for its new Serval ticket.
    let (elsewhere, arrived): (Vec<&Pair<'_>>, Vec<_>) = (pairs.iter())
        .filter(|pair| pair.subject.is_queued)
        .partition(|pair| pair.was_mapped_away());
    let done = pairs
        .iter()
        .filter(|pair| pair.ends_siblings && pair.subject.has_siblings);
    let done: Vec<&Pair<'_>> = done.collect();
    rows::push(tx.later(), ended, pairs, &arrived, &done);
    let siblings: Vec<(i64, i64)> = if done.is_empty() {
        // Nothing is read, so the statements go with the next ones.
        Vec::new()
    } else {
        read_all(&tx.fetch_later().await?)?
    };
    for pair in pairs {
        if pair.was_in_doubt {
            doubts::end(tx, pair.subject.external, pair.ticket_id).await?;
        }
        if !pair.is_as_mapped() {
            unlink::forget_where_asked(tx, pair.subject.external, pair.ticket_id).await?;
        }
        if pair.to == EventState::Connected {
            tx.tally.connected(&pair.subject.source, pair.now);
        }
    }
    for pair in arrived {
        let source = &pair.subject.source;
        tx.counts.moved(source, EventState::Queued, pair.to, 1);
    }
    for pair in elsewhere {
        stay_queued(tx, pair).await?;
    }
    let (queued, skipped) = (EventState::Queued, EventState::Skipped);
    let reason = Some(Reason::AlreadyConnected);
    for (sibling, key) in siblings {
        let pair = usize::try_from(key).ok().and_then(|key| done.get(key));
        if let Some(pair) = pair {
            let sibling = EventId(sibling);
            transition::move_event(tx, sibling, queued, skipped, reason, pair.now).await?;
        }
    }
    Ok(())
}

/// Keeps an event in the queue for the Serval ticket that it is mapped to now.
async fn stay_queued(tx: &mut Tx, pair: &Pair<'_>) -> Result<(), StoreError> {
    const CLEAR: &str = "\
        -- store::pairs::clear
        UPDATE events SET ticket_id = $2, last_error = NULL WHERE id = $1";
    let event = pair.subject.event;
    tx.run(CLEAR, args![event.0, pair.ticket_id.as_str()])
        .await?;
    tx.effects.wake = true;
    schedule::release(tx, event, None, pair.now).await
}
