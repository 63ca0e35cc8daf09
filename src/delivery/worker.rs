//! The worker: keeps the calls going, and follows the clock.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hand::Hand;
use super::line::Line;
use super::pace::Pace;
use super::queue::Calls;
use super::step::Context;
use super::watch::{take_pairs_apart, upkeep, watch_credentials};
use super::{Monitor, Routes, Settings, Steering};
use crate::clock::{JumpDetector, SharedClock};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::serval::ServalClient;
use crate::store::Store;

/// Makes the connect calls.
pub struct Worker {
    live: Live<Context>,
    monitor: Monitor,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that has not started.
    pub fn new(
        store: Store,
        serval: ServalClient,
        clock: SharedClock,
        routes: Routes,
        settings: Settings,
        metrics: Metrics,
    ) -> Self {
        let live = Live::new(Context {
            store,
            serval,
            earlier_refreshes: 0,
            clock,
            routes,
            pace: Arc::new(Pace::new(settings.rate)),
            line: Arc::new(std::sync::Mutex::new(Line::new(settings.breaker_threshold))),
            hand: Arc::new(Hand::new(settings.concurrency, settings.rate)),
            apart: Arc::default(),
            hurry: Arc::default(),
            account: Arc::default(),
            own_account: 0,
            settings,
            metrics,
        });
        let monitor = Monitor::new(live.clone());
        Self { live, monitor }
    }

    /// Gives it another configuration while it runs.
    pub fn steering(&self) -> Steering {
        Steering::new(self.live.clone())
    }

    /// A view of the worker for others.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Works until `soft`, then finishes what is in flight; at `hard` it drops that, too: the next
    /// start takes it up again.
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) {
        // What these have is the same in every configuration: store, clock, line, pace and hand.
        let context = &self.live.now();
        let mut calls = Calls::default();
        let mut helpers = JoinSet::new();
        helpers.spawn(watch_credentials(self.live.clone(), soft.clone()));
        helpers.spawn(upkeep(self.live.clone(), soft.clone()));
        helpers.spawn(take_pairs_apart(self.live.clone(), soft.clone()));
        let mut detector = JumpDetector::new(&*context.clock);
        let mut is_hurried = false;
        // From here on its silence counts.
        self.monitor.beat(context.clock.now(), 0);
        while !soft.is_cancelled() {
            // Before anything is written by a clock that was set.
            follow_clock(context, &mut detector).await;
            if std::mem::take(&mut is_hurried) {
                hasten(context).await;
            }
            let wait = calls.fill(&self.live.now()).await;
            let calling = context.hand.calling();
            self.monitor.beat(context.clock.now(), calling);
            let Some(wait) = wait else { continue };
            tokio::select! {
                () = soft.cancelled() => {}
                Some(ended) = calls.ended() => self.call_ended(ended),
                () = context.hand.changed() => {}
                () = context.store.hands_off() => {}
                // They end at the soft stop only: one that died takes the worker, and so the
                // process, with it.
                Some(_) = helpers.join_next(), if !soft.is_cancelled() => break,
                () = context.store.woken() => calls.look_soon(),
                () = context.hurry.notified() => is_hurried = true,
                () = tokio::time::sleep(wait) => calls.look_soon(),
            }
            while let Some(ended) = calls.ended_already() {
                self.call_ended(ended);
            }
        }
        context.hand.close();
        let finish = async {
            // They are handed back, for there is no place to call from any more: by the rules of now,
            // under which they were stored.
            let context = &self.live.now();
            for claim in context.store.end_hand_off().await {
                calls.start(context, claim, false);
            }
            while calls.ended().await.is_some() {}
        };
        tokio::select! {
            () = finish => {}
            () = hard.cancelled() => {
                tracing::warn!("calls under way are handed back; the next start looks before it repeats them");
            }
        }
    }

    /// Takes up a pause of before the restart. Comes before anybody can pause or resume.
    pub async fn restore_pause(&self) {
        let context = self.live.now();
        match context.store.is_paused().await {
            Ok(paused) => {
                if paused {
                    tracing::warn!(
                        "calls to Serval are paused; `POST /api/v1/connects/resume` resumes them"
                    );
                }
                context.line().set_paused(paused);
            }
            Err(error) => tracing::error!(%error, "cannot read whether calls are paused"),
        }
    }

    fn call_ended(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            // Its claim runs out by itself, and the event is looked into again.
            // Its text may quote the event; where it happened is in the log already.
            tracing::error!(task = %error.id(), "a delivery step panicked");
            let context = self.live.now();
            context.line().probe_unused(context.clock.now());
            return;
        }
        self.monitor.progress(self.live.now().clock.now());
    }
}

/// Waits are kept when the clock is set: an hour back must not cost an hour.
async fn follow_clock(context: &Context, detector: &mut JumpDetector) {
    let Some(jump) = detector.jumped(&*context.clock) else {
        return;
    };
    // What is handed off from now on would last by the old clock, and not be moved.
    context.store.close_hand_off();
    tracing::warn!(jump_ms = jump, "the clock was set; what waits follows it");
    context.line().follow_clock(jump);
    context.pace.follow_clock(jump);
    let now = context.clock.now();
    let was = now
        .saturating_sub(jiff::SignedDuration::from_millis(jump))
        .unwrap_or(now);
    if let Err(error) = context.store.follow_clock(jump, was).await {
        tracing::error!(%error, "what waits could not follow the clock");
    }
}

async fn hasten(context: &Context) {
    if let Err(error) = context.store.hasten(context.clock.now()).await {
        tracing::warn!(%error, "what waits out the outage keeps its own schedule");
    }
}
