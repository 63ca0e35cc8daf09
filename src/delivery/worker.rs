//! The worker: claims as many events as may be called for, and keeps the calls going.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hand::Hand;
use super::line::{Admission, Line};
use super::pace::Pace;
use super::step::{Context, step};
use super::watch::{take_pairs_apart, upkeep, watch_credentials};
use super::{Monitor, Routes, Settings, Steering};
use crate::clock::{JumpDetector, SharedClock};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::serval::ServalClient;
use crate::store::{Claim, ClaimScope, Store};

/// The worker looks at the queue at least this often: wake-ups are a courtesy, this is the promise.
const POLL: Duration = Duration::from_secs(1);

/// Claims whose calls ended and whose results are not written yet, for each place to call from:
/// beyond that the disk is too slow, and no more calls are made.
const UNSETTLED: usize = 8;

/// While webhooks bring all there is to do, what else became due is looked for so long after a call
/// ended: a look for each would cost more than many a call.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// Makes the connect calls.
pub struct Worker {
    live: Live<Context>,
    monitor: Monitor,
}

/// What the worker has going.
#[derive(Default)]
struct Calls {
    /// A task for each claim, until it is settled.
    tasks: JoinSet<()>,
    /// Whether the last claim left some behind.
    is_more_due: bool,
    /// Whether there is reason to look at the queue, though it was seen to be empty.
    is_to_look: bool,
    /// When the first call ended since the last look: the next event of its external ticket may wait.
    ended_at: Option<Instant>,
    /// When an event is due, as of the last look.
    next_due: Option<Timestamp>,
}

impl Calls {
    fn start(&mut self, context: &Arc<Context>, claim: Claim, is_probe: bool) {
        let held = context.hand.take();
        let context = Arc::clone(context);
        self.tasks
            .spawn(async move { step(&context, claim, held, is_probe).await });
    }
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
            let wait = self.fill(&mut calls).await;
            let calling = context.hand.calling();
            self.monitor.beat(context.clock.now(), calling);
            let Some(wait) = wait else { continue };
            tokio::select! {
                () = soft.cancelled() => {}
                Some(ended) = calls.tasks.join_next() => {
                    self.call_ended(ended);
                    calls.ended_at.get_or_insert_with(Instant::now);
                }
                () = context.hand.changed() => {}
                () = context.store.hands_off() => {}
                // They end at the soft stop only: one that died takes the worker, and so the
                // process, with it.
                Some(_) = helpers.join_next(), if !soft.is_cancelled() => break,
                () = context.store.woken() => calls.is_to_look = true,
                () = context.hurry.notified() => is_hurried = true,
                () = tokio::time::sleep(wait) => calls.is_to_look = true,
            }
            while let Some(ended) = calls.tasks.try_join_next() {
                self.call_ended(ended);
            }
        }
        context.hand.close();
        let finish = async {
            match context.store.end_hand_off().await {
                // They are handed back: there is no place to call from any more.
                Ok(claims) => claims
                    .into_iter()
                    .for_each(|claim| calls.start(context, claim, false)),
                Err(error) => {
                    tracing::warn!(%error, "claims may be left; the next start looks before it calls about them");
                }
            }
            while calls.tasks.join_next().await.is_some() {}
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

    /// Starts the calls that may be made now. Answers how long to wait for news, or `None` when
    /// there may be more to start at once.
    async fn fill(&self, calls: &mut Calls) -> Option<Duration> {
        let context = &self.live.now();
        for claim in context.store.handed_off() {
            calls.start(context, claim, false);
        }
        let now = context.clock.now();
        let hand = &context.hand;
        let is_behind = calls.tasks.len() > context.settings.concurrency * UNSETTLED;
        let admission = context.line().admission(hand.open(), hand.room(), now);
        match admission {
            Admission::Due(limit) if !is_behind => self.claim(context, calls, limit, now).await,
            Admission::Due(_) | Admission::Nothing => {
                context.store.close_hand_off();
                Some(until_news(context, now, None))
            }
            Admission::Probe => self.probe(context, calls, now).await,
        }
    }

    /// Claims up to `limit` events that are due. Where there are none, webhooks bring the next ones
    /// themselves.
    async fn claim(
        &self,
        context: &Arc<Context>,
        calls: &mut Calls,
        limit: usize,
        now: Timestamp,
    ) -> Option<Duration> {
        let store = &context.store;
        let is_handed = store.resize_hand_off(limit);
        let wait = |next_due| Some(until_news(context, now, next_due));
        let look_in = calls
            .ended_at
            .map(|ended_at| LOOK_AFTER.saturating_sub(ended_at.elapsed()));
        calls.is_to_look |= look_in.is_some_and(|wait| wait.is_zero());
        if is_handed && !calls.is_more_due && !calls.is_to_look {
            return wait(calls.next_due).map(|wait| look_in.map_or(wait, |look| look.min(wait)));
        }
        if !context.hand.is_worth(limit) {
            return wait(None);
        }
        calls.is_to_look = false;
        calls.ended_at = None;
        let lease = context.settings.lease();
        // A look first, since an idle worker writes nothing; a claim that was filled to its limit
        // says the same.
        if !calls.is_more_due
            && let Ok(next) = store.next_due().await
            && next.is_none_or(|next| next > now)
        {
            calls.next_due = next;
            store.open_hand_off(limit, lease);
            return wait(next);
        }
        calls.next_due = None;
        let claims = match store.claim_or_offer(limit, now, lease).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "nothing can be claimed");
                return Some(POLL);
            }
        };
        calls.is_more_due = claims.len() == limit;
        if claims.is_empty() {
            return wait(None);
        }
        for claim in claims {
            calls.start(context, claim, false);
        }
        None
    }

    /// Claims one event, due or not, to see whether Serval answers.
    async fn probe(
        &self,
        context: &Arc<Context>,
        calls: &mut Calls,
        now: Timestamp,
    ) -> Option<Duration> {
        let store = &context.store;
        store.close_hand_off();
        let lease = context.settings.lease();
        match store.claim(ClaimScope::Probe, 1, now, lease).await {
            Ok(claims) if claims.is_empty() => {
                context.line().probe_unused(now);
                Some(until_news(context, now, None))
            }
            Ok(claims) => {
                context.line().probe_sent();
                for claim in claims {
                    calls.start(context, claim, true);
                }
                None
            }
            Err(error) => {
                tracing::debug!(%error, "nothing can be claimed for a probe");
                Some(POLL)
            }
        }
    }
}

/// Waits are kept when the clock is set: an hour back must not cost an hour.
async fn follow_clock(context: &Context, detector: &mut JumpDetector) {
    let Some(jump) = detector.jumped(&*context.clock) else {
        return;
    };
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

fn until_news(context: &Context, now: Timestamp, next_due: Option<Timestamp>) -> Duration {
    let line = context.line().next_at();
    [next_due, line]
        .into_iter()
        .flatten()
        .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
        .fold(POLL, Duration::min)
        .max(Duration::from_millis(5))
}
