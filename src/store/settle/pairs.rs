//! Pairs that Serval has now: most of what is settled, so all of a group share their statements.

use jiff::Timestamp;
use sqlx::FromRow as _;

use super::moves::release;
use super::{Settle, Subject};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::ALREADY_CONNECTED;
use crate::store::error::StoreError;
use crate::store::writer::Tx;
use crate::store::{change, disconnects, json, millis};

/// An event whose external ticket is connected to a Serval ticket.
pub(super) struct Pair<'a> {
    pub(super) subject: Subject,
    pub(super) ticket_id: &'a ServalTicketId,
    /// Where the event goes.
    pub(super) to: EventState,
    pub(super) reason: Option<&'static str>,
    /// Whether what else is queued for the external ticket has nothing to do any more.
    pub(super) siblings_done: bool,
    pub(super) now: Timestamp,
}

impl Pair<'_> {
    fn is_as_mapped(&self) -> bool {
        self.subject.mapped_to.as_deref() == Some(self.ticket_id.as_str())
    }

    /// Whether it was mapped to another Serval ticket while the call was under way.
    fn was_mapped_away(&self) -> bool {
        let mapped_to = self.subject.mapped_to.as_deref();
        mapped_to.is_some_and(|mapped_to| mapped_to != self.ticket_id.as_str())
    }
}

/// Ends the claims with their attempts on record, writes the pairs down, moves their events, and
/// takes along what else is queued for external tickets that are connected as they are mapped.
pub(super) async fn finish(
    tx: &mut Tx,
    ended: &[&Settle],
    pairs: &[Pair<'_>],
) -> Result<(), StoreError> {
    // The events were queued when their claims were looked up, in this very transaction. The limit
    // is for each group: what is left over is skipped when it is claimed.
    const FINISH: &str = "\
        -- store::settle::end
        DELETE FROM claims WHERE event_id IN (SELECT value FROM json_each(?));
        -- store::settle::attempts
        INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, status,
            code, answer, request_id, retry_after, probe)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
            value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10
        FROM json_each(?);
        -- store::settle::pairs
        INSERT INTO connections (external, ticket_id, connected_at, event_id)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3
        FROM json_each(?) WHERE TRUE
        ON CONFLICT (external, ticket_id) DO NOTHING;
        -- store::settle::move
        UPDATE events
        SET state = pair.value ->> 1, reason = pair.value ->> 2, updated_at = pair.value ->> 3,
            due_at = pair.value ->> 3, not_before = 0, ticket_id = pair.value ->> 4,
            in_doubt = 0, last_error = NULL
        FROM json_each(?) AS pair
        WHERE events.id = pair.value ->> 0;
        -- store::settle::note
        INSERT INTO changes (event_id, at, state, reason)
        SELECT value ->> 0, value ->> 3, value ->> 1, value ->> 2 FROM json_each(?);
        -- store::settle::siblings
        SELECT e.id, pair.key
        FROM json_each(?) AS pair
        CROSS JOIN events AS e INDEXED BY events_head ON e.external = pair.value
        WHERE e.state = 'queued' AND e.hint IS NULL
            AND EXISTS (SELECT 1 FROM external_tickets AS x JOIN connections AS c
                ON c.external = x.id AND c.ticket_id = x.ticket_id
                WHERE x.id = e.external)
        LIMIT 1000";
    let events: Vec<i64> = ended.iter().map(|settle| settle.event.0).collect();
    let (elsewhere, arrived): (Vec<&Pair<'_>>, Vec<_>) =
        pairs.iter().partition(|pair| pair.was_mapped_away());
    let done: Vec<&Pair<'_>> = pairs.iter().filter(|pair| pair.siblings_done).collect();
    let tickets: Vec<i64> = done.iter().map(|pair| pair.subject.external).collect();
    let arrivals = moved(&arrived);
    let batch = tx.later();
    batch.push(FINISH);
    batch.bind(json(&events))?;
    batch.bind(attempts(ended))?;
    batch.bind(connections(pairs))?;
    batch.bind(arrivals.as_str())?;
    batch.bind(arrivals.as_str())?;
    batch.bind(json(&tickets))?;
    let siblings = tx.fetch_all().await?;
    for pair in pairs.iter().filter(|pair| !pair.is_as_mapped()) {
        disconnects::forget_where_asked(tx, pair.subject.external, pair.ticket_id).await?;
    }
    for pair in pairs.iter().filter(|pair| pair.to == EventState::Connected) {
        tx.tally.connected(&pair.subject.source, pair.now);
    }
    for pair in arrived {
        let source = &pair.subject.source;
        tx.counts.moved(source, EventState::Queued, pair.to, 1);
    }
    for pair in elsewhere {
        go_there_too(tx, pair).await?;
    }
    for sibling in siblings {
        let (sibling, key) = <(i64, i64)>::from_row(&sibling)?;
        let now = usize::try_from(key)
            .ok()
            .and_then(|key| done.get(key))
            .map(|pair| pair.now);
        let Some(now) = now else { continue };
        let (queued, skipped) = (EventState::Queued, EventState::Skipped);
        let reason = Some(ALREADY_CONNECTED);
        change::move_event(tx, EventId(sibling), queued, skipped, reason, now).await?;
    }
    Ok(())
}

fn attempts(ended: &[&Settle]) -> String {
    let attempts: Vec<_> = ended
        .iter()
        .filter_map(|settle| Some((settle.event.0, settle.attempt.as_ref()?)))
        .map(|(event, attempt)| {
            (
                event,
                millis(attempt.started_at),
                attempt.duration_ms,
                attempt.ticket_id.as_str(),
                attempt.outcome.as_str(),
                attempt.status,
                attempt.code.as_deref(),
                attempt.answer.as_deref(),
                attempt.request_id.as_deref(),
                attempt.retry_after_ms,
                attempt.is_probe,
            )
        })
        .collect();
    json(&attempts)
}

fn connections(pairs: &[Pair<'_>]) -> String {
    let rows: Vec<_> = pairs
        .iter()
        .map(|pair| {
            let (subject, at) = (&pair.subject, millis(pair.now));
            let ticket_id = pair.ticket_id.as_str();
            (subject.external, ticket_id, at, subject.event.0)
        })
        .collect();
    json(&rows)
}

fn moved(pairs: &[&Pair<'_>]) -> String {
    let rows: Vec<_> = pairs
        .iter()
        .map(|pair| {
            let (event, to) = (pair.subject.event.0, pair.to.as_str());
            let ticket_id = pair.ticket_id.as_str();
            (event, to, pair.reason, millis(pair.now), ticket_id)
        })
        .collect();
    json(&rows)
}

/// The event stays in the queue, for the Serval ticket that it is mapped to now.
async fn go_there_too(tx: &mut Tx, pair: &Pair<'_>) -> Result<(), StoreError> {
    const CLEAR: &str = "\
        -- store::settle::clear
        UPDATE events SET ticket_id = $2, last_error = NULL WHERE id = $1";
    sqlx::query(CLEAR)
        .bind(pair.subject.event.0)
        .bind(pair.ticket_id.as_str())
        .execute(tx.connection().await?)
        .await?;
    tx.wake = true;
    tx.place = None;
    release(tx, pair.subject.event, false, None, pair.now).await
}
