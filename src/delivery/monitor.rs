//! The worker, as operators see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use jiff::Timestamp;

use super::line::Mode;
use super::step::Context;
use crate::live::Live;
use crate::store::{Store, StoreError};

/// What operators see of the worker.
#[derive(Clone)]
pub struct Monitor {
    live: Live<Context>,
    beat: Arc<AtomicI64>,
    progress: Arc<AtomicI64>,
    in_flight: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Monitor {
    /// Of a worker that has not looked yet.
    pub(super) fn new(live: Live<Context>) -> Self {
        Self {
            live,
            beat: Arc::default(),
            progress: Arc::default(),
            in_flight: Arc::default(),
        }
    }

    /// The worker looks at its queue, with so many calls under way.
    pub(super) fn beat(&self, now: Timestamp, in_flight: usize) {
        self.beat.store(now.as_millisecond(), Ordering::Relaxed);
        self.in_flight.store(in_flight, Ordering::Relaxed);
    }

    /// A call ended.
    pub(super) fn progress(&self, now: Timestamp) {
        self.progress.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// How the line stands.
    pub fn mode(&self) -> Mode {
        self.live.now().line().mode().clone()
    }

    /// Whether an operator paused the calls.
    pub fn is_paused(&self) -> bool {
        self.live.now().line().is_paused()
    }

    /// Pauses or resumes the calls, now and after a restart. `store` is the handle of whoever asks.
    pub async fn set_paused(
        &self,
        store: &Store,
        paused: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        store.set_paused(paused, now).await?;
        self.live.now().line().set_paused(paused);
        Ok(())
    }

    /// When the worker last looked at the queue; `None` before its first look.
    pub fn last_beat(&self) -> Option<Timestamp> {
        stamp(&self.beat)
    }

    /// When a call last ended.
    pub fn last_progress(&self) -> Option<Timestamp> {
        stamp(&self.progress)
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Times that Serval was asked for a token since the start.
    pub fn token_refreshes(&self) -> u64 {
        let context = self.live.now();
        context.earlier_refreshes + context.serval.tokens().fetches()
    }

    /// Calls per second that the pace allows now; `None`: no limit.
    pub fn rate(&self) -> Option<f64> {
        self.live.now().pace.rate()
    }
}

fn stamp(millis: &AtomicI64) -> Option<Timestamp> {
    match millis.load(Ordering::Relaxed) {
        0 => None,
        millis => Timestamp::from_millisecond(millis).ok(),
    }
}
