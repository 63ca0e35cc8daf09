//! Pairs that Serval has now: most of what is settled, so all of a group share their statements.

use jiff::Timestamp;

use super::Subject;
use super::moves::release;
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

/// Writes the pairs down and moves their events.
pub(super) async fn connect(tx: &mut Tx, pairs: &[Pair<'_>]) -> Result<(), StoreError> {
    if pairs.is_empty() {
        return Ok(());
    }
    insert_connections(tx, pairs).await?;
    for pair in pairs.iter().filter(|pair| !pair.is_as_mapped()) {
        disconnects::forget_where_asked(tx, pair.subject.external, pair.ticket_id).await?;
    }
    for pair in pairs.iter().filter(|pair| pair.to == EventState::Connected) {
        tx.tally.connected(&pair.subject.source, pair.now);
    }
    let (elsewhere, arrived): (Vec<&Pair<'_>>, Vec<_>) =
        pairs.iter().partition(|pair| pair.was_mapped_away());
    move_events(tx, &arrived).await?;
    for pair in elsewhere {
        go_there_too(tx, pair).await?;
    }
    skip_siblings(tx, pairs).await
}

async fn insert_connections(tx: &mut Tx, pairs: &[Pair<'_>]) -> Result<(), StoreError> {
    const PAIRS: &str = "\
        -- store::settle::pairs
        INSERT INTO connections (external, ticket_id, connected_at, event_id)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3
        FROM json_each($1) WHERE TRUE
        ON CONFLICT (external, ticket_id) DO NOTHING";
    let rows: Vec<_> = pairs
        .iter()
        .map(|pair| {
            let (subject, at) = (&pair.subject, millis(pair.now));
            (
                subject.external,
                pair.ticket_id.as_str(),
                at,
                subject.event.0,
            )
        })
        .collect();
    sqlx::query(PAIRS)
        .bind(json(&rows))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

/// The events were queued when their claims were looked up, in this very transaction.
async fn move_events(tx: &mut Tx, pairs: &[&Pair<'_>]) -> Result<(), StoreError> {
    const MOVE: &str = "\
        -- store::settle::move
        UPDATE events
        SET state = pair.value ->> 1, reason = pair.value ->> 2, updated_at = pair.value ->> 3,
            due_at = pair.value ->> 3, not_before = 0, ticket_id = pair.value ->> 4,
            in_doubt = 0, last_error = NULL
        FROM json_each($1) AS pair
        WHERE events.id = pair.value ->> 0";
    const NOTE: &str = "\
        -- store::settle::note
        INSERT INTO changes (event_id, at, state, reason)
        SELECT value ->> 0, value ->> 3, value ->> 1, value ->> 2 FROM json_each($1)";
    if pairs.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = pairs
        .iter()
        .map(|pair| {
            let (event, to) = (pair.subject.event.0, pair.to.as_str());
            (
                event,
                to,
                pair.reason,
                millis(pair.now),
                pair.ticket_id.as_str(),
            )
        })
        .collect();
    let rows = json(&rows);
    for statement in [MOVE, NOTE] {
        sqlx::query(statement)
            .bind(rows.as_str())
            .execute(&mut tx.connection)
            .await?;
    }
    for pair in pairs {
        let source = &pair.subject.source;
        tx.counts.moved(source, EventState::Queued, pair.to, 1);
    }
    Ok(())
}

/// The event stays in the queue, for the Serval ticket that it is mapped to now.
async fn go_there_too(tx: &mut Tx, pair: &Pair<'_>) -> Result<(), StoreError> {
    const CLEAR: &str = "\
        -- store::settle::clear
        UPDATE events SET ticket_id = $2, last_error = NULL WHERE id = $1";
    sqlx::query(CLEAR)
        .bind(pair.subject.event.0)
        .bind(pair.ticket_id.as_str())
        .execute(&mut tx.connection)
        .await?;
    tx.wake = true;
    release(tx, pair.subject.event, false, None, pair.now).await
}

/// What else is queued for external tickets that are connected as they are mapped.
async fn skip_siblings(tx: &mut Tx, pairs: &[Pair<'_>]) -> Result<(), StoreError> {
    // The limit is for each group: what is left over is skipped when it is claimed.
    const SIBLINGS: &str = "\
        -- store::settle::siblings
        SELECT e.id, pair.key
        FROM json_each($1) AS pair
        CROSS JOIN events AS e INDEXED BY events_head ON e.external = pair.value
        WHERE e.state = 'queued' AND e.hint IS NULL
            AND EXISTS (SELECT 1 FROM external_tickets AS x JOIN connections AS c
                ON c.external = x.id AND c.ticket_id = x.ticket_id
                WHERE x.id = e.external)
        LIMIT 1000";
    let done: Vec<&Pair<'_>> = pairs.iter().filter(|pair| pair.siblings_done).collect();
    if done.is_empty() {
        return Ok(());
    }
    let tickets: Vec<_> = done.iter().map(|pair| pair.subject.external).collect();
    let siblings: Vec<(i64, i64)> = sqlx::query_as(SIBLINGS)
        .bind(json(&tickets))
        .fetch_all(&mut tx.connection)
        .await?;
    for (sibling, key) in siblings {
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
