//! Where a claimed event can go, each as the rows it changes.

use jiff::Timestamp;

use super::Subject;
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::EventId;
use crate::domain::ingest::{SUPERSEDED, park};
use crate::store::error::StoreError;
use crate::store::writer::Tx;
use crate::store::{change, millis};

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
        .execute(tx.connection().await?)
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
        .execute(tx.connection().await?)
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
        .execute(tx.connection().await?)
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
        WHERE state = 'parked' AND external = $1";
    const EXPIRY: &str = "\
        -- store::settle::expiry
        UPDATE events SET due_at = $2 WHERE id = $1";
    if subject.mapped_to.is_some() {
        return Ok(());
    }
    let parked: Option<(i64, i64, i64)> = sqlx::query_as(PARKED)
        .bind(subject.external)
        .fetch_optional(tx.connection().await?)
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
            .execute(tx.connection().await?)
            .await?;
    }
    Ok(())
}
