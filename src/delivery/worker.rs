//! The worker: its loop claims events, starts steps, and waits for news.

use std::sync::{Arc, Mutex};

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::clock::{Upkeep, keep_time};
use super::context::Context;
use super::gate::breaker::{Breaker, CallKind};
use super::gate::pace::Pace;
use super::gate::slots::CallSlots;
use super::monitor::Monitor;
use super::queue::Calls;
use super::settings::Settings;
use super::watch::{expire_parked, unlink_pairs, watch_credentials};
use crate::edge::clock::SteadyClock;
use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::serval::ServalClient;
use crate::sources::Sources;
use crate::store::Store;

/// Makes the connect calls.
#[derive(Debug)]
pub struct Worker {
    live: Live<Context>,
    monitor: Monitor,
    clock: Arc<SteadyClock>,
}

impl Worker {
    /// Creates a worker. [`run`](Self::run) starts it.
    pub fn new(
        store: Store,
        serval: ServalClient,
        clock: Arc<SteadyClock>,
        sources: Sources,
        settings: Settings,
        metrics: Metrics,
    ) -> Self {
        let live = Live::new(Context {
            store,
            serval,
            earlier_refreshes: 0,
            clock: Arc::<SteadyClock>::clone(&clock),
            sources,
            pace: Arc::new(Pace::new(settings.rate)),
            breaker: Arc::new(Mutex::new(Breaker::new(settings.breaker_threshold))),
            slots: Arc::new(CallSlots::new(settings.concurrency, settings.rate)),
            unlinks: Arc::default(),
            retry_now: Arc::default(),
            account: Arc::default(),
            own_account: 0,
            settings,
            metrics,
        });
        let monitor = Monitor::new(live.clone());
        Self {
            live,
            monitor,
            clock,
        }
    }

    /// The handle that shows and steers the running worker.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Works until `soft`, then waits for the running steps. `hard` drops them: the next start finds their
    /// events in doubt.
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) {
        // Only the shared parts of this context are used here: a reload does not replace them.
        let context = &self.live.now();
        let mut calls = Calls::default();
        let mut helpers = JoinSet::new();
        helpers.spawn(watch_credentials(self.live.clone(), soft.clone()));
        helpers.spawn(expire_parked(self.live.clone(), soft.clone()));
        helpers.spawn(unlink_pairs(self.live.clone(), soft.clone()));
        let mut upkeep = Upkeep::begin(&self.clock);
        let mut retries_now = false;
        // After this, `/readyz` fails when this heartbeat stops.
        self.monitor.beat();
        while !soft.is_cancelled() {
            keep_time(context, &self.clock, &mut upkeep).await;
            if std::mem::take(&mut retries_now)
                && let Err(error) = context.store.retry_all_now(context.clock.now()).await
            {
                tracing::warn!(%error, "waiting retries keep their schedule");
            }
            let wait = calls.fill(&self.live.now()).await;
            self.monitor.beat();
            let Some(wait) = wait else { continue };
            tokio::select! {
                () = soft.cancelled() => {}
                Some(ended) = calls.tasks.join_next() => self.step_ended(&mut calls, ended),
                () = context.slots.changed() => {}
                () = context.store.hands_off() => {}
                // The helpers end only at the soft stop. If one died, the worker ends, and so does the
                // process.
                Some(_) = helpers.join_next(), if !soft.is_cancelled() => break,
                () = context.store.woken() => calls.poll_soon(),
                () = context.retry_now.notified() => retries_now = true,
                () = tokio::time::sleep(wait) => calls.poll_soon(),
            }
            // All that have ended, before the queue is claimed from again.
            while let Some(ended) = calls.tasks.try_join_next() {
                self.step_ended(&mut calls, ended);
            }
        }
        context.slots.close();
        let finish = async {
            // Events that were handed off last: their steps get no slot, so they release their claims. They
            // need the current context, since they were stored under its configuration.
            let context = &self.live.now();
            let last = context.store.end_hand_off().await;
            calls.start(context, last, CallKind::Regular);
            while calls.tasks.join_next().await.is_some() {}
        };
        tokio::select! {
            () = finish => {}
            () = hard.cancelled() => {
                tracing::warn!("calls in flight are dropped; the next start asks Serval before it repeats them");
            }
        }
    }

    /// Restores the pause of before a restart. Call it before operators can pause or resume.
    pub async fn restore_pause(&self) {
        let context = self.live.now();
        match context.store.is_paused().await {
            Ok(paused) => {
                if paused {
                    tracing::warn!(
                        "calls to Serval are paused; `POST /api/v1/connects/resume` resumes them"
                    );
                }
                context.breaker().is_paused = paused;
            }
            Err(error) => tracing::error!(%error, "cannot read whether calls are paused"),
        }
    }

    /// Says to other replicas that this one is alive, and takes over their time. Call it before webhooks come.
    pub async fn join_replicas(&self, calls: String) {
        let store = self.live.now().store.clone();
        if let Err(error) = store.beat_once(calls).await {
            tracing::warn!(%error, "this replica could not say that it is alive");
        }
        if let Some(time) = store.server_time() {
            self.clock.follow_server(time);
        }
    }

    fn step_ended(&self, calls: &mut Calls, ended: Result<(), JoinError>) {
        calls.step_ended();
        if let Err(error) = ended {
            // The claim runs out, and the event is claimed again, in doubt. The text of the panic may quote
            // the event, so it is not logged; its place is in the log already.
            tracing::error!(task = %error.id(), "a delivery step panicked");
            let context = self.live.now();
            context.breaker().probe_unused(context.clock.now());
            return;
        }
        self.monitor.progress();
    }
}
