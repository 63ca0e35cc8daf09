//! The handle of the worker: shows it to operators and health checks, and steers it.
//!
//! Invariant: a step ends with the configuration that it began with. The states of the breaker, the pace
//! and the slots stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::directory::Directory;
use super::gate::breaker::Mode;
use super::gate::pace::AskedToWait;
use super::settings::Settings;
use crate::domain::retry::later;
use crate::edge::live::Live;
use crate::serval::ServalClient;
use crate::sources::Sources;
use crate::store::{Store, StoreError};

/// Shows the worker, pauses it, and changes its configuration. Clones share it.
#[derive(Debug, Clone)]
pub struct Monitor {
    live: Live<Context>,
    beat: Arc<Mark>,
    progress: Arc<Mark>,
}

impl Monitor {
    pub(super) fn new(live: Live<Context>) -> Self {
        Self {
            live,
            beat: Arc::default(),
            progress: Arc::default(),
        }
    }

    /// Serval's directory, asked with the worker's client.
    pub fn directory(&self) -> Directory {
        Directory::of_worker(self.live.clone())
    }

    /// The worker polls its queue.
    pub(super) fn beat(&self) {
        self.beat.set(self.live.now().clock.monotonic());
    }

    /// A call ended.
    pub(super) fn progress(&self) {
        self.progress.set(self.live.now().clock.monotonic());
    }

    /// State of the circuit breaker.
    pub fn mode(&self) -> Mode {
        self.live.now().breaker().mode().clone()
    }

    /// Failure of the last call, if it failed. Holds no text of the answer.
    pub fn fault(&self) -> Option<String> {
        self.live.now().breaker().fault().map(str::to_owned)
    }

    /// True while an operator has paused the calls.
    pub fn is_paused(&self) -> bool {
        self.live.now().breaker().is_paused
    }

    /// Pauses or resumes the calls, now and after a restart. `store` carries the operator's name.
    pub async fn set_paused(
        &self,
        store: &Store,
        paused: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        store.set_paused(paused, now).await?;
        self.live.now().breaker().is_paused = paused;
        Ok(())
    }

    /// Replaces the configuration. `serval`: a new client, if its account or limits changed. Only one task
    /// may call this.
    pub fn steer(&self, serval: Option<ServalClient>, sources: Sources, settings: Settings) {
        let now = self.live.now();
        let mut next = Context {
            sources,
            ..Context::clone(&now)
        };
        if let Some(serval) = serval {
            // A new client counts its token fetches from zero. The metric must never fall, so the
            // old client's number is carried along.
            next.earlier_refreshes += now.serval.tokens().fetches();
            next.own_account = next.account.fetch_add(1, Ordering::Relaxed) + 1;
            next.serval = serval;
        }
        // Breaker, pace and slots are shared with the running steps. They are changed in place: a
        // new one would forget an outage, and would allow more calls than the limit.
        next.breaker().threshold = settings.breaker_threshold;
        next.pace.set_rate(settings.rate);
        next.slots.resize(settings.concurrency, settings.rate);
        next.settings = settings;
        self.live.replace(next);
    }

    /// Time since the worker's last poll of the queue; `None` before its first.
    pub fn since_beat(&self) -> Option<Duration> {
        self.beat.since(self.live.now().clock.monotonic())
    }

    /// Time since a call last ended; `None` before the first.
    pub fn since_progress(&self) -> Option<Duration> {
        self.progress.since(self.live.now().clock.monotonic())
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        self.live.now().slots.in_use()
    }

    /// Token requests since the start.
    pub fn token_refreshes(&self) -> u64 {
        let context = self.live.now();
        context.earlier_refreshes + context.serval.tokens().fetches()
    }

    /// Serval's wish to be asked later, if calls wait for it now. While the breaker is closed, a wish about
    /// one event stops no other.
    pub fn asked_to_wait(&self) -> Option<AskedToWait> {
        let context = self.live.now();
        let tries_all = match context.breaker().mode() {
            Mode::Closed | Mode::Held(_) => true,
            Mode::Suspect(_) | Mode::Open(_) => false,
        };
        let asked = context.pace.asked(tries_all, context.clock.monotonic());
        asked.map(|(left, reason)| AskedToWait {
            reason,
            until: later(context.clock.now(), left),
        })
    }

    /// Current pace, in calls per second; `None`: no limit.
    pub fn rate(&self) -> Option<f64> {
        self.live.now().pace.rate()
    }
}

/// The last time of something, as monotonic milliseconds plus 1; 0: never. A clock that is set makes it
/// neither older nor newer.
#[derive(Debug, Default)]
struct Mark(AtomicU64);

impl Mark {
    fn set(&self, monotonic: Duration) {
        let millis = u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    fn since(&self, monotonic: Duration) -> Option<Duration> {
        let at = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(monotonic.saturating_sub(Duration::from_millis(at)))
    }
}
