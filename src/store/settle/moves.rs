//! Where a claimed event can go, each as the rows it changes.

use jiff::Timestamp;

use super::Subject;
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::{ALREADY_CONNECTED, SUPERSEDED, park};
use crate::store::error::StoreError;
use crate::store::writer::Tx;
use crate::store::{change, millis};

/// Serval has the pair: the event goes `to` its end.
pub(super) async fn paired(
    tx: &mut Tx,
    subject: &Subject,
    ticket_id: &ServalTicketId,
    to: EventState,
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
    change::move_event(tx, subject.event, EventState::Queued, to, reason, now).await?;
    Ok(())
}

/// The pair is connected: what else is queued for the external ticket has nothing to do.
pub(super) async fn skip_siblings(
    tx: &mut Tx,
    subject: &Subject,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SIBLINGS: &str = "\
        -- store::settle::siblings
        SELECT id FROM events
        WHERE state = 'queued' AND source = $1 AND external_id = $2 AND hint IS NULL
            AND EXISTS (SELECT 1 FROM mappings AS m JOIN connections AS c
                ON c.source = m.source AND c.external_id = m.external_id
                AND c.ticket_id = m.ticket_id
                WHERE m.source = $1 AND m.external_id = $2)
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

pub(super) async fn reschedule(
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

pub(super) async fn release(
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

pub(super) async fn set_error(tx: &mut Tx, event: EventId, error: &str) -> Result<(), StoreError> {
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
pub(super) async fn park_event(
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
        let reason = Some(SUPERSEDED);
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
