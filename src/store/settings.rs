//! Switches that survive a restart, and the upkeep that time asks for.

use jiff::Timestamp;

use super::audit::{self, Action};
use super::error::StoreError;
use super::writer::Tx;
use super::{Store, change, millis};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;

const PAUSED: &str = "paused";
/// Events that expire in one transaction at most, so that acknowledgements never wait for long.
const EXPIRE_STEP: i64 = 100;

impl Store {
    /// Whether an operator stopped the calls to Serval.
    pub async fn is_paused(&self) -> Result<bool, StoreError> {
        const GET: &str = "\
            -- store::settings::get
            SELECT value FROM settings WHERE key = $1";
        let value: Option<String> = sqlx::query_scalar(GET)
            .bind(PAUSED)
            .fetch_optional(&self.readers)
            .await?;
        Ok(value.as_deref() == Some("true"))
    }

    /// Stops or restarts the calls to Serval, across restarts.
    pub async fn set_paused(&self, paused: bool, now: Timestamp) -> Result<(), StoreError> {
        let by = self.by.clone();
        let action = if paused {
            Action::Pause
        } else {
            Action::Resume
        };
        self.write(move |tx| {
            let by = by.clone();
            Box::pin(async move {
                set(tx, PAUSED, &paused.to_string()).await?;
                audit::note(tx, by.as_deref(), action, None, None, now).await
            })
        })
        .await?;
        self.shared.wake.notify_one();
        Ok(())
    }

    pub(super) async fn set(&self, key: &'static str, value: String) -> Result<(), StoreError> {
        self.write(move |tx| {
            let value = value.clone();
            Box::pin(async move { set(tx, key, &value).await })
        })
        .await
    }

    /// Expires parked events whose time is over, a step at a time; answers how many.
    pub async fn expire_parked(&self, now: Timestamp) -> Result<usize, StoreError> {
        const OVERDUE: &str = "\
            -- store::settings::overdue
            SELECT id FROM events INDEXED BY events_expiry
            WHERE state = 'parked' AND due_at <= $1
            ORDER BY due_at, id LIMIT $2";
        let any: Option<i64> = sqlx::query_scalar(OVERDUE)
            .bind(millis(now))
            .bind(1_i64)
            .fetch_optional(&self.readers)
            .await?;
        if any.is_none() {
            return Ok(0);
        }
        self.write(move |tx| {
            Box::pin(async move {
                let overdue: Vec<i64> = sqlx::query_scalar(OVERDUE)
                    .bind(millis(now))
                    .bind(EXPIRE_STEP)
                    .fetch_all(tx.connection().await?)
                    .await?;
                for id in &overdue {
                    let (from, to) = (EventState::Parked, EventState::Expired);
                    change::move_event(tx, EventId(*id), from, to, Some("no_mapping"), now).await?;
                }
                Ok(overdue.len())
            })
        })
        .await
    }

    /// The clock was set by `jump` milliseconds: what waits for a moment waits for as long as
    /// before, what is due stays due, and the claims in hand last as long as before. `was`: what
    /// the clock showed. What was written by the new clock already is right as it is.
    pub async fn follow_clock(&self, jump: i64, was: Timestamp) -> Result<(), StoreError> {
        const EVENTS: &str = "\
            -- store::settings::follow_clock
            UPDATE events
            SET due_at = due_at + $1, queued_at = queued_at + $1,
                not_before = CASE WHEN not_before > 0 THEN not_before + $1 ELSE 0 END
            WHERE state IN ('queued', 'parked') AND updated_at <= $2";
        const CLAIMS: &str = "\
            -- store::settings::follow_clock_claims
            UPDATE claims SET expires_at = expires_at + $1";
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(EVENTS)
                    .bind(jump)
                    .bind(millis(was))
                    .execute(tx.connection().await?)
                    .await?;
                sqlx::query(CLAIMS)
                    .bind(jump)
                    .execute(tx.connection().await?)
                    .await?;
                tx.claims_last_until = 0;
                tx.wake = true;
                Ok(())
            })
        })
        .await
    }

    /// Makes the events that wait out an outage due now, except where Serval asked to wait.
    pub async fn hasten(&self, now: Timestamp) -> Result<(), StoreError> {
        const HASTEN: &str = "\
            -- store::settings::hasten
            UPDATE events INDEXED BY events_due SET due_at = MAX($1, not_before)
            WHERE state = 'queued' AND due_at > $1 AND due_at > not_before";
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(HASTEN)
                    .bind(millis(now))
                    .execute(tx.connection().await?)
                    .await?;
                tx.wake = true;
                Ok(())
            })
        })
        .await
    }
}

async fn set(tx: &mut Tx, key: &'static str, value: &str) -> Result<(), StoreError> {
    const SET: &str = "\
        -- store::settings::set
        INSERT INTO settings (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sqlx::query(SET)
        .bind(key)
        .bind(value)
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}
