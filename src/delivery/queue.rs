//! Decides when the worker claims, and starts a step for each claim: for the events that the store hands
//! off, and for the events that are due in the queue.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::Context;
use super::gate::breaker::{Admission, CallKind};
use super::step::Step;
use crate::domain::retry::later;
use crate::store::{Claim, ClaimScope, Offer};

/// Upper bound between two polls of the queue. Wake-ups only make it faster.
const POLL: Duration = Duration::from_secs(1);

/// While all events come by the hand-off, the wait after a call before the queue is polled: a poll after
/// each call would cost more than the call.
const POLL_AFTER_CALL: Duration = Duration::from_millis(10);

/// Unsettled claims for each slot. With more, the disk is too slow, and no calls are made.
const UNSETTLED: usize = 8;

/// The running steps, and what is known about the queue.
pub(super) struct Calls {
    /// A task for each claim, until it is settled.
    pub(super) tasks: JoinSet<()>,
    /// True if the last claim was filled to its limit.
    is_more_due: bool,
    polled_at: Instant,
    /// Time of the next poll, although the last one found nothing due.
    poll_at: Instant,
    /// Time at which the next event is due, as of the last poll.
    next_due: Option<Timestamp>,
}

impl Default for Calls {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            tasks: JoinSet::new(),
            is_more_due: false,
            polled_at: now,
            poll_at: now,
            next_due: None,
        }
    }
}

impl Calls {
    /// Starts a step for each claim.
    pub(super) fn start(&mut self, context: &Arc<Context>, claims: Vec<Claim>, kind: CallKind) {
        for claim in claims {
            let in_flight = context.slots.count_claim();
            let step = Step::new(Arc::clone(context), claim, kind);
            self.tasks.spawn(step.run(in_flight));
        }
    }

    /// A step has ended. The next event of the same external ticket may have waited for it.
    pub(super) fn step_ended(&mut self) {
        self.poll_at = self.poll_at.min(Instant::now() + POLL_AFTER_CALL);
    }

    /// The queue may have something due.
    pub(super) fn poll_soon(&mut self) {
        self.poll_at = Instant::now();
    }

    fn polled(&mut self, next_due: Option<Timestamp>) {
        self.polled_at = Instant::now();
        self.poll_at = self.polled_at + POLL;
        self.next_due = next_due;
    }

    /// Starts the steps that may be started now. Returns how long to wait for news; `None`: there may be
    /// more to start at once.
    pub(super) async fn fill(&mut self, context: &Arc<Context>) -> Option<Duration> {
        self.start(context, context.store.handed_off(), CallKind::Regular);
        let now = context.clock.now();
        let slots = &context.slots;
        if !context.store.leads() {
            // Another replica makes the calls.
            context.store.close_hand_off();
            return Some(POLL);
        }
        let is_behind = self.tasks.len() > context.settings.concurrency * UNSETTLED;
        let admission = context
            .breaker()
            .admission(slots.claims(), slots.claim_limit(), now);
        match admission {
            Admission::Due(limit) if !is_behind => self.claim(context, limit, now).await,
            Admission::Due(_) | Admission::Nothing => {
                // No call may be made now, so new events must not be claimed either.
                context.store.close_hand_off();
                Some(until_news(context, now, None))
            }
            Admission::Probe => self.probe(context, now).await,
        }
    }

    /// Claims up to `limit` due events. If none is due, opens the hand-off: then the transaction that stores
    /// an event claims it, too.
    ///
    /// A claim costs a transaction, and a poll of the queue a read. So this returns early, in this order,
    /// if the hand-off brings all there is, if too few claims are free to be worth a transaction, and if a
    /// poll finds nothing due.
    async fn claim(
        &mut self,
        context: &Arc<Context>,
        limit: usize,
        now: Timestamp,
    ) -> Option<Duration> {
        let store = &context.store;
        let offer = Offer {
            places: limit,
            expires_at: later(now, context.settings.lease()),
        };
        // While the hand-off is open, new events come by it. The queue can hold only retries and events
        // behind a running call, so a poll now and then is enough.
        let is_handing_off = store.renew_hand_off(offer);
        let poll_in = self.poll_at.saturating_duration_since(Instant::now());
        if is_handing_off && !self.is_more_due && !poll_in.is_zero() {
            return Some(until_news(context, now, self.next_due).min(poll_in));
        }
        if !context.slots.is_worth_claiming(limit) {
            if self.polled_at.elapsed() >= POLL {
                // Under a steady load slots never become free together. Closing the hand-off keeps new
                // webhooks from overtaking the queue for longer than this.
                store.close_hand_off();
            }
            return Some(until_news(context, now, None));
        }
        // An idle worker must write nothing, so it reads first. After a full claim more is due anyway.
        if !self.is_more_due
            && let Ok(next) = store.next_due(now).await
            && next.is_none_or(|next| next > now)
        {
            self.polled(next);
            store.open_hand_off(offer);
            return Some(until_news(context, now, next));
        }
        self.polled(None);
        let claims = match store.claim_or_offer(offer, now).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "the queue cannot be claimed from");
                return Some(POLL);
            }
        };
        self.is_more_due = claims.len() == limit;
        if claims.is_empty() {
            return Some(until_news(context, now, None));
        }
        self.start(context, claims, CallKind::Regular);
        None
    }

    /// True if no call is under way, and no event waits for one.
    async fn is_idle(&self, context: &Context, now: Timestamp) -> bool {
        self.tasks.is_empty() && matches!(context.store.next_due(now).await, Ok(None))
    }

    /// Claims one event, due or not, to test whether Serval answers.
    async fn probe(&mut self, context: &Arc<Context>, now: Timestamp) -> Option<Duration> {
        let store = &context.store;
        store.close_hand_off();
        let lease = context.settings.lease();
        // The probe takes an event whether it is due or not: all of them wait, because of the
        // outage that the probe is to end.
        match store.claim(ClaimScope::Probe, 1, now, lease).await {
            Ok(claims) if claims.is_empty() => {
                if self.is_idle(context, now).await {
                    tracing::info!(
                        "no event waits: the next call shows whether Serval answers again"
                    );
                    context.breaker().nothing_waits();
                } else {
                    context.breaker().probe_unused(now);
                }
                Some(until_news(context, now, None))
            }
            Ok(claims) => {
                context.breaker().probe_sent();
                self.start(context, claims, CallKind::Probe);
                None
            }
            Err(error) => {
                tracing::debug!(%error, "no event can be claimed for a probe");
                Some(POLL)
            }
        }
    }
}

/// Time until something can be due: an event, a probe or the next poll.
fn until_news(context: &Context, now: Timestamp, next_due: Option<Timestamp>) -> Duration {
    let probe = context.breaker().next_at();
    [next_due, probe]
        .into_iter()
        .flatten()
        .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
        .fold(POLL, Duration::min)
        .max(Duration::from_millis(5))
}
