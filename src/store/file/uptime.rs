//! Keeps the [`Uptime`] of a database, and moves what waits when the clock made a step.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;

use super::copied;
use crate::domain::uptime::{CutOff, Uptime};
use crate::store::engine::Conn;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::queue::schedule;
use crate::store::sql::{self, args, moment};

const UPTIME: &str = "uptime";

/// Goes on after a pause, in the transaction of the start.
pub(crate) async fn resume(conn: &mut Conn, now: Timestamp) -> Result<Uptime, StoreError> {
    const GET: &str = "\
        -- store::uptime::get
        SELECT value FROM settings WHERE key = $1";
    let kept: Option<String> = sql::fetch_optional(&mut *conn, GET, args![UPTIME]).await?;
    let kept = kept.and_then(|kept| serde_json::from_str(&kept).ok());
    let mut uptime = match kept {
        Some(uptime) => uptime,
        None => Uptime::new(newest(conn).await?.unwrap_or(now)),
    };
    if let Some(step) = uptime.resume(now) {
        tracing::warn!(
            step_s = step / 1000,
            "the clock does not show what it may show after a short pause: it was set, or the daemon was off; \
             waiting events keep what is left of their time, and retention counts none of it"
        );
        move_waits(conn, step).await?;
    }
    save(conn, &uptime).await?;
    Ok(uptime)
}

/// Returns the time of the newest row: the last sign of life of a version that left no other.
async fn newest(conn: &mut Conn) -> Result<Option<Timestamp>, StoreError> {
    const NEWEST: &str = "\
        -- store::uptime::newest
        SELECT MAX(at) FROM (
            SELECT MAX(received_at, updated_at) AS at FROM events
            WHERE id = (SELECT MAX(id) FROM events)
            UNION ALL SELECT at FROM changes WHERE id = (SELECT MAX(id) FROM changes)) AS newest";
    let newest: Option<i64> = sql::fetch_one(conn, NEWEST, args![]).await?;
    Ok(newest.and_then(|newest| moment(newest).ok()))
}

async fn move_waits(conn: &mut Conn, step: i64) -> Result<(), StoreError> {
    schedule::on_step(conn, step).await?;
    copied::on_step(conn, step).await
}

async fn save(conn: &mut Conn, uptime: &Uptime) -> Result<(), StoreError> {
    const SET: &str = "\
        -- store::uptime::set
        INSERT INTO settings (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let value = serde_json::to_string(uptime).unwrap_or_default();
    sql::run(conn, SET, args![UPTIME, value]).await?;
    Ok(())
}

impl Store {
    /// Moves the times of waiting events, claims and unlinks by `step` milliseconds, because the clock was set
    /// by that much: they last as long as they would have. `now`: what the clock shows after it.
    pub async fn follow_clock(&self, step: i64, now: Timestamp) -> Result<(), StoreError> {
        // The clock of one replica moves nobody's waits.
        if self.shared.replica.is_some() {
            return Ok(());
        }
        let mut uptime = self.uptime();
        uptime.follow(step, now);
        let written = uptime.clone();
        self.write(move |tx| {
            let uptime = written.clone();
            Box::pin(async move {
                let conn = tx.connection().await?;
                move_waits(conn, step).await?;
                save(conn, &uptime).await?;
                tx.claims_last_until = 0;
                tx.effects.wake = true;
                Ok(())
            })
        })
        .await?;
        self.keep(uptime);
        Ok(())
    }

    /// Writes that the daemon is alive, so that the next start knows when it was.
    pub async fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.shared.replica.is_some() {
            return Ok(());
        }
        let mut uptime = self.uptime();
        uptime.beat(now);
        let written = uptime.clone();
        self.write(move |tx| {
            let uptime = written.clone();
            Box::pin(async move { save(tx.connection().await?, &uptime).await })
        })
        .await?;
        self.keep(uptime);
        Ok(())
    }

    /// The last step of the clock: what it showed after it, and its length in milliseconds.
    pub fn last_step(&self) -> Option<(Timestamp, i64)> {
        self.uptime().last_step()
    }

    /// Returns what this clock would have shown at a time that is in the database. See
    /// [`Uptime::on_this_clock`].
    pub fn on_this_clock(&self, at: Timestamp) -> Timestamp {
        self.uptime().on_this_clock(at)
    }

    /// Decides what is older than `keep`. See [`Uptime::cut_off`].
    pub fn cut_off(&self, keep: Duration, now: Timestamp) -> Option<CutOff> {
        self.uptime().cut_off(keep, now)
    }

    fn uptime(&self) -> Uptime {
        let uptime = self.shared.uptime.lock();
        uptime.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, uptime: Uptime) {
        let kept = self.shared.uptime.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = uptime;
    }
}
