//! Settings that survive a restart, and the expiry of parked events.

use std::time::Duration;

use jiff::Timestamp;

use super::transition;
use crate::domain::event::{EventState, NAMED_IN_VAIN};
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::store::audit::{self, Action};
use crate::store::commit::turn::Patience;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis};

const PAUSED: &str = "paused";
const PROBED: &str = "probed_at";
/// Largest number of events that expire in one transaction, so that webhooks do not wait for long.
const EXPIRE_STEP: i64 = 100;

/// Size of a large record: on a full disk a small one may still fit where an event does not.
const PROBE_BYTES: usize = 64 * 1024;
/// Longest time that a probe waits. Whoever asks for the state has a time limit, too.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Numbers of events that expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Number of all of them.
    pub events: u64,
    /// Number of those whose payload names a Serval ticket that cannot be used.
    pub named: u64,
}

impl Store {
    /// Writes as many bytes as an event takes, to see whether the database still takes events.
    pub async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let value = format!("{} {}", now.as_millisecond(), " ".repeat(PROBE_BYTES));
        let patience = Patience {
            turn: PROBE_PATIENCE,
            end: PROBE_PATIENCE,
        };
        let probed = self.write_within(Some(patience), move |tx| {
            let value = value.clone();
            Box::pin(async move { set(tx, PROBED, &value).await })
        });
        probed.await.map_err(|error| {
            if !matches!(error, StoreError::Overloaded | StoreError::Unfinished) {
                return error;
            }
            let seconds = PROBE_PATIENCE.as_secs();
            let what = format!("no write was possible within {seconds} s");
            StoreError::Unavailable(what)
        })
    }

    /// True if an operator stopped the calls to Serval.
    pub async fn is_paused(&self) -> Result<bool, StoreError> {
        const GET: &str = "\
            -- store::settings::get
            SELECT value FROM settings WHERE key = $1";
        let value: Option<String> = sql::fetch_optional(&self.readers, GET, args![PAUSED]).await?;
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
        if let Some(replica) = &self.shared.replica {
            replica.set_paused(paused);
        }
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Expires parked events whose time is over, at most [`EXPIRE_STEP`].
    pub async fn expire_parked(&self, now: Timestamp) -> Result<Expired, StoreError> {
        const OVERDUE: &str = "\
            -- store::settings::overdue
            SELECT id, COALESCE(instr(last_error, $3) = 1, FALSE)
            FROM events INDEXED BY events_expiry
            WHERE state = 'parked' AND due_at <= $1
            ORDER BY due_at, id LIMIT $2";
        let overdue = move |limit: i64| args![millis(now), limit, NAMED_IN_VAIN];
        let any: Option<(i64, bool)> =
            sql::fetch_optional(&self.readers, OVERDUE, overdue(1)).await?;
        if any.is_none() {
            return Ok(Expired::default());
        }
        self.write(move |tx| {
            Box::pin(async move {
                let overdue: Vec<(i64, bool)> = tx.fetch_all(OVERDUE, overdue(EXPIRE_STEP)).await?;
                let mut expired = Expired::default();
                let (from, to) = (EventState::Parked, EventState::Expired);
                let reason = Some(Reason::NoMapping);
                for (id, is_named) in overdue {
                    transition::move_event(tx, EventId(id), from, to, reason, now).await?;
                    expired.events += 1;
                    expired.named += u64::from(is_named);
                }
                Ok(expired)
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
    tx.run(SET, args![key, value]).await?;
    Ok(())
}
