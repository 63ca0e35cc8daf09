//! The worker, as operators see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use jiff::Timestamp;

use super::line::Mode;
use super::step::Context;
use crate::store::{Store, StoreError};

/// What operators see of the worker.
#[derive(Clone)]
pub struct Monitor {
    context: Arc<Context>,
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
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
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
        self.context.line().mode().clone()
    }

    /// Whether an operator paused the calls.
    pub fn is_paused(&self) -> bool {
        self.context.line().is_paused()
    }

    /// Pauses or resumes the calls, now and after a restart. `store` is the handle of whoever asks.
    pub async fn set_paused(
        &self,
        store: &Store,
        paused: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        store.set_paused(paused, now).await?;
        self.context.line().set_paused(paused);
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
        self.context.serval.tokens().fetches()
    }

    /// Calls per second that the pace allows now; `None`: no limit.
    pub fn rate(&self) -> Option<f64> {
        self.context.pace.rate()
    }
}

fn stamp(millis: &AtomicI64) -> Option<Timestamp> {
    match millis.load(Ordering::Relaxed) {
        0 => None,
        millis => Timestamp::from_millisecond(millis).ok(),
    }
}
