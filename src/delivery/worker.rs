//! The worker: claims as many events as may be called for, and keeps the calls going.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Routes;
use super::line::{Admission, Line, Mode, Turn};
use super::pace::Pace;
use super::step::{Context, step};
use crate::clock::{JumpDetector, SharedClock};
use crate::domain::retry::RetryPolicy;
use crate::serval::{ServalClient, ServalError};
use crate::store::{ClaimScope, Store};

/// The worker looks at the queue at least this often: wake-ups are a courtesy, this is the promise.
const POLL: Duration = Duration::from_secs(1);
/// Between looks for parked events whose time is over.
const EXPIRY_CHECK: Duration = Duration::from_secs(10);
/// How much longer a claim lasts than its call may take: time to settle.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How long a claimed event waits for its turn before it is handed back.
pub(super) const TURN_PATIENCE: Duration = Duration::from_mins(1);

/// How delivery goes about it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Calls in flight.
    pub concurrency: usize,
    /// Calls per second; 0: no limit.
    pub rate: u32,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Failures in a row that open the line.
    pub breaker_threshold: usize,
    /// For one exchange with Serval.
    pub call_timeout: Duration,
    /// Told when what waits should not wait any longer.
    pub(super) hurry: Arc<Notify>,
}

impl Settings {
    /// Settings from the configuration.
    pub fn new(delivery: &crate::config::DeliveryConfig, call_timeout: Duration) -> Self {
        Self {
            concurrency: delivery.concurrency,
            rate: delivery.rate,
            retry: RetryPolicy::giving_up_after(delivery.give_up_after),
            breaker_threshold: usize::try_from(delivery.breaker_threshold).unwrap_or(usize::MAX),
            call_timeout,
            hurry: Arc::default(),
        }
    }

    /// For all exchanges of one call: a token, a look, the connect, a second token and try.
    pub(super) fn call_limit(&self) -> Duration {
        self.call_timeout.saturating_mul(3)
    }

    /// How long a claim lasts: the wait for its turn, the call and its settlement lie inside.
    fn lease(&self) -> Duration {
        TURN_PATIENCE + self.call_limit() + LEASE_MARGIN
    }
}

/// Makes the connect calls.
pub struct Worker {
    context: Arc<Context>,
    monitor: Monitor,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

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
    /// How the line stands.
    pub fn mode(&self) -> Mode {
        self.context.line().mode().clone()
    }

    /// Whether an operator paused the calls.
    pub fn is_paused(&self) -> bool {
        self.context.line().is_paused()
    }

    /// Pauses or resumes the calls, now and after a restart.
    pub async fn set_paused(&self, paused: bool) -> Result<(), crate::store::StoreError> {
        self.context.store.set_paused(paused).await?;
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

impl Worker {
    /// A worker that has not started.
    pub fn new(
        store: Store,
        serval: ServalClient,
        clock: SharedClock,
        routes: Routes,
        settings: Settings,
    ) -> Self {
        let pace = Pace::new(settings.rate);
        let line = std::sync::Mutex::new(Line::new(settings.breaker_threshold));
        let context = Arc::new(Context {
            store,
            serval,
            clock,
            routes,
            settings,
            pace,
            line,
        });
        let monitor = Monitor {
            context: Arc::clone(&context),
            beat: Arc::default(),
            progress: Arc::default(),
            in_flight: Arc::default(),
        };
        Self { context, monitor }
    }

    /// A view of the worker for others.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Works until `soft`, then finishes what is in flight; at `hard` it drops that, too: the next
    /// start takes it up again.
    #[expect(
        clippy::disallowed_methods,
        reason = "the worker's own set waits for its calls"
    )]
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) {
        let context = &self.context;
        let mut calls = JoinSet::new();
        let mut helpers = JoinSet::new();
        helpers.spawn(watch_credentials(Arc::clone(context), soft.clone()));
        helpers.spawn(upkeep(Arc::clone(context), soft.clone()));
        let mut detector = JumpDetector::new(&*context.clock);
        let mut is_hurried = false;
        while !soft.is_cancelled() {
            // Before anything is written by a clock that was set.
            self.follow_clock(&mut detector).await;
            if std::mem::take(&mut is_hurried) {
                self.hasten().await;
            }
            let now = context.clock.now();
            self.monitor
                .beat
                .store(now.as_millisecond(), Ordering::Relaxed);
            let wait = self.fill(&mut calls).await;
            self.monitor.in_flight.store(calls.len(), Ordering::Relaxed);
            let Some(wait) = wait else { continue };
            tokio::select! {
                () = soft.cancelled() => {}
                Some(ended) = calls.join_next() => self.call_ended(ended),
                // They end at the soft stop only: one that died takes the worker, and so the
                // process, with it.
                Some(_) = helpers.join_next(), if !soft.is_cancelled() => break,
                () = context.store.woken() => {}
                () = context.settings.hurry.notified() => is_hurried = true,
                () = tokio::time::sleep(wait) => {}
            }
            while let Some(ended) = calls.try_join_next() {
                self.call_ended(ended);
            }
        }
        let finish = async { while calls.join_next().await.is_some() {} };
        tokio::select! {
            () = finish => {}
            () = hard.cancelled() => {
                tracing::warn!("calls under way are handed back; the next start looks before it repeats them");
            }
        }
    }

    /// Takes up a pause of before the restart. Comes before anybody can pause or resume.
    pub async fn restore_pause(&self) {
        match self.context.store.is_paused().await {
            Ok(paused) => {
                if paused {
                    tracing::warn!(
                        "calls to Serval are paused; `POST /api/v1/connects/resume` resumes them"
                    );
                }
                self.context.line().set_paused(paused);
            }
            Err(error) => tracing::error!(%error, "cannot read whether calls are paused"),
        }
    }

    fn call_ended(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            // Its claim runs out by itself, and the event is looked into again.
            tracing::error!(%error, "a delivery step panicked");
            self.context.line().probe_unused(self.context.clock.now());
            return;
        }
        let now = self.context.clock.now().as_millisecond();
        self.monitor.progress.store(now, Ordering::Relaxed);
    }

    /// Waits are kept when the clock is set: an hour back must not cost an hour.
    async fn follow_clock(&self, detector: &mut JumpDetector) {
        let Some(jump) = detector.jumped(&*self.context.clock) else {
            return;
        };
        tracing::warn!(jump_ms = jump, "the clock was set; what waits follows it");
        self.context.line().follow_clock(jump);
        self.context.pace.follow_clock(jump);
        let now = self.context.clock.now();
        let was = now
            .saturating_sub(jiff::SignedDuration::from_millis(jump))
            .unwrap_or(now);
        if let Err(error) = self.context.store.follow_clock(jump, was).await {
            tracing::error!(%error, "what waits could not follow the clock");
        }
    }

    async fn hasten(&self) {
        if let Err(error) = self.context.store.hasten(self.context.clock.now()).await {
            tracing::warn!(%error, "what waits out the outage keeps its own schedule");
        }
    }

    /// Starts the calls that may be made now. Answers how long to wait for news, or `None` when
    /// there may be more to start at once.
    async fn fill(&self, calls: &mut JoinSet<()>) -> Option<Duration> {
        let context = &self.context;
        let now = context.clock.now();
        let concurrency = context.settings.concurrency;
        let admission = context.line().admission(calls.len(), concurrency, now);
        let (scope, limit) = match admission {
            Admission::Nothing => return Some(self.until_news(now, None)),
            Admission::Due(limit) => (ClaimScope::Due, limit),
            Admission::Probe => (ClaimScope::Probe, 1),
        };
        let is_probe = scope == ClaimScope::Probe;
        if !is_probe && !self.is_due(now).await {
            let next = context.store.next_due().await.ok().flatten();
            return Some(self.until_news(now, next));
        }
        let lease = context.settings.lease();
        let claims = match context.store.claim(scope, limit, now, lease).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "nothing can be claimed");
                return Some(POLL);
            }
        };
        if is_probe {
            let mut line = context.line();
            if claims.is_empty() {
                line.probe_unused(now)
            } else {
                line.probe_sent()
            }
        }
        if claims.is_empty() {
            return Some(self.until_news(now, None));
        }
        for claim in claims {
            let context = Arc::clone(context);
            calls.spawn(async move { step(&context, claim, is_probe).await });
        }
        None
    }

    /// Whether something waits, by a read: an idle worker writes nothing.
    async fn is_due(&self, now: Timestamp) -> bool {
        match self.context.store.next_due().await {
            Ok(next) => next.is_some_and(|next| next <= now),
            Err(_) => true,
        }
    }

    fn until_news(&self, now: Timestamp, next_due: Option<Timestamp>) -> Duration {
        let line = self.context.line().next_at();
        [next_due, line]
            .into_iter()
            .flatten()
            .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
            .fold(POLL, Duration::min)
            .max(Duration::from_millis(5))
    }
}

/// Tries the credentials at the start, and while the line is held for them.
async fn watch_credentials(context: Arc<Context>, soft: CancellationToken) {
    let mut is_first = true;
    loop {
        let now = context.clock.now();
        let is_due = match context.line().mode() {
            Mode::Held(hold) => hold.check_at <= now,
            Mode::Flowing | Mode::Suspect(_) | Mode::Open(_) => is_first,
        };
        if is_due {
            check_credentials(&context).await;
            is_first = false;
        }
        tokio::select! {
            () = soft.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn check_credentials(context: &Context) {
    let result = context.serval.check_credentials().await;
    let now = context.clock.now();
    match result {
        Ok(()) => {
            if context.line().release() == Turn::Recovered {
                tracing::info!("Serval accepts our credentials; calls go on");
                context.settings.hurry.notify_one();
            }
        }
        Err(error @ ServalError::CredentialsRefused { .. }) => {
            if context.line().hold(&error.summary(), now) == Turn::Held {
                tracing::error!(
                    error = error.summary(),
                    "Serval refuses our credentials: calls stop until it accepts them; check [serval]",
                );
            }
        }
        // Serval is away; that is the breaker's matter. A hold stays, and is looked at again.
        Err(error) => {
            tracing::debug!(
                error = error.summary(),
                "the credentials could not be checked"
            );
            if matches!(context.line().mode(), Mode::Held(_)) {
                context.line().hold("", now);
            }
        }
    }
}

/// Ends what has been parked for too long.
async fn upkeep(context: Arc<Context>, soft: CancellationToken) {
    loop {
        match context.store.expire_parked(context.clock.now()).await {
            Ok(0) | Err(_) => {}
            Ok(expired) => {
                tracing::warn!(expired, "parked events expired: no mapping came in time");
                continue;
            }
        }
        tokio::select! {
            () = soft.cancelled() => return,
            () = tokio::time::sleep(EXPIRY_CHECK) => {}
        }
    }
}
