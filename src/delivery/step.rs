//! One claim, from the moment it was made to its settlement.
//!
//! Invariant: exactly one settlement ends a claim, unless the claim was lost. No transaction is open
//! while a call is in flight.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use super::classify::classify;
use super::clock::mapped_at;
use super::connect::{Linked, connect, request};
use super::context::Context;
use super::gate::breaker::{CallKind, PROBE_TIMEOUT, Signal};
use super::gate::slots::ClaimGuard;
use super::learn::lesson;
use super::record::{attempt, is_written_again, log, log_unwritten, settle_failed, settle_linked};
use super::settings::WAIT_LIMIT;
use super::unlink::wait_for_unlink;
use crate::domain::delivery::{Case, FailureKind, Next, decide};
use crate::domain::ids::ServalTicketId;
use crate::domain::reason::Reason;
use crate::domain::retry::{later, moved};
use crate::edge::clock::Moment;
use crate::edge::telemetry::traces;
use crate::serval::{ConnectRequest, NetworkKind, ServalError};
use crate::sources::SourcePolicy;
use crate::store::{Attempt, AttemptOutcome, Claim, Settlement};

/// Longest sleep of a call that waits for the pace. The clock may be set meanwhile, and the breaker
/// may open, so it looks again.
const PACE_NAP: Duration = Duration::from_secs(1);
/// Wait before a result is written again that the store did not accept.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

/// The work on one claim. The methods stand in the order of time.
pub(super) struct Step {
    context: Arc<Context>,
    claim: Claim,
    kind: CallKind,
    begun: Moment,
}

impl Step {
    pub(super) fn new(context: Arc<Context>, claim: Claim, kind: CallKind) -> Self {
        Self {
            begun: Moment::of(&*context.clock),
            context,
            claim,
            kind,
        }
    }

    /// Works until the claim is settled or lost, in the trace that the webhook began.
    pub(super) async fn run(mut self, in_flight: ClaimGuard) {
        let span = tracing::info_span!(
            "delivery",
            source = %self.claim.ticket.source,
            event = %self.claim.event,
            ticket.external = %self.claim.ticket,
            attempt = self.claim.tries + 1,
        );
        traces::continue_from(&span, self.claim.traceparent.as_ref());
        // If spans are exported, Serval's spans belong below this one.
        self.claim.traceparent = traces::traceparent(&span).or(self.claim.traceparent);
        async {
            match self.claim.hint.clone() {
                Some(hint) => self.learn(hint, in_flight).await,
                None => self.connect(in_flight).await,
            }
        }
        .instrument(span)
        .await;
    }

    /// Asks Serval about the ticket that the payload names, and writes down the answer. The event is
    /// claimed again for its connect call.
    async fn learn(&self, hint: ServalTicketId, in_flight: ClaimGuard) {
        let Some(slot) = self.acquire_slot().await else {
            return self.release().await;
        };
        let started_at = self.now();
        let lesson = self
            .within_limit(lesson(&self.context, &self.claim, &hint))
            .await;
        let held = (slot, in_flight);
        let lesson = match lesson {
            Ok(lesson) => lesson,
            Err(error) => return self.conclude(hint, started_at, Err(error), held).await,
        };
        drop(held);
        let now = self.now();
        self.record_signal(Signal::Alive, "", now);
        let (store, claim) = (&self.context.store, &self.claim);
        while let Err(error) = store.learn(claim, lesson.clone(), now).await {
            if !is_written_again(&error, claim.expires_at, self.now()) {
                return log_unwritten(claim, &error);
            }
            sleep(WRITE_AGAIN).await;
        }
    }

    /// Makes the connect call. It can end before the call for four reasons: the event needs none (it
    /// is settled), no slot was free in time, its Serval ticket is being unlinked for too long, or the event is
    /// not to be sent as it was claimed (the claim is released, and made again later).
    async fn connect(&self, in_flight: ClaimGuard) {
        let request = match self.request() {
            Ok(request) => request,
            Err(settlement) => {
                self.give_probe_back();
                return self.settle(None, settlement).await;
            }
        };
        let Some(slot) = self.acquire_slot().await else {
            return self.release().await;
        };
        let ticket_id = request.ticket_id.clone();
        let (context, claim) = (&self.context, &self.claim);
        let is_clear = wait_for_unlink(context, &claim.ticket, &ticket_id, self.kind);
        if let Err(settlement) = is_clear.await {
            self.give_probe_back();
            return self.settle(None, settlement).await;
        }
        let started_at = self.now();
        let result = self.within_limit(connect(context, claim, request)).await;
        let Some(result) = result.transpose() else {
            return self.release().await;
        };
        self.conclude(ticket_id, started_at, result, (slot, in_flight))
            .await;
    }

    /// The call to make, or the settlement of an event that needs none.
    fn request(&self) -> Result<ConnectRequest, Settlement> {
        let claim = &self.claim;
        let source = &claim.ticket.source;
        let Some(mounted) = self.context.sources.get(source) else {
            let error = format!("the source {source} is not configured any more");
            let (reason, in_doubt) = (Reason::UnknownSource, false);
            return Err(Settlement::Dead {
                reason,
                in_doubt,
                error,
            });
        };
        let Some(ticket_id) = claim.mapped_to.clone() else {
            return Err(Settlement::Park {
                until: later(self.now(), mounted.policy.park_for),
            });
        };
        if claim.is_connected && !mounted.policy.reconnects() {
            return Err(Settlement::Skip {
                reason: Reason::AlreadyConnected,
            });
        }
        Ok(request(claim, mounted, ticket_id))
    }

    /// Waits for a slot, then for the pace. `None`: no call may be made, since the breaker forbids it,
    /// or the claim could run out before the call ends. A probe takes no slot, since hanging calls may
    /// hold all of them.
    async fn acquire_slot(&self) -> Option<Option<SemaphorePermit<'_>>> {
        let started = Instant::now();
        let slot = match self.kind {
            CallKind::Probe => None,
            CallKind::Regular => {
                let slot = timeout(WAIT_LIMIT, self.context.slots.acquire());
                Some(slot.await.ok()??)
            }
        };
        loop {
            let is_allowed = self.context.breaker().allows(self.kind);
            if !is_allowed || started.elapsed() > WAIT_LIMIT {
                return None;
            }
            let wait = self.context.pace.wait(self.context.clock.monotonic());
            if wait.is_zero() {
                return Some(slot);
            }
            sleep(wait.min(PACE_NAP)).await;
        }
    }

    /// Bounds the exchange with Serval, so that it ends before the claim runs out.
    async fn within_limit<T>(
        &self,
        exchange: impl Future<Output = Result<T, ServalError>>,
    ) -> Result<T, ServalError> {
        let limit = self.limit();
        timeout(limit, exchange).await.unwrap_or_else(|_| {
            Err(ServalError::Network {
                kind: NetworkKind::Timeout,
                sent: true,
                detail: format!("nothing within {} s", limit.as_secs()),
            })
        })
    }

    fn limit(&self) -> Duration {
        match self.kind {
            CallKind::Probe => PROBE_TIMEOUT,
            CallKind::Regular => self.context.settings.call_limit(),
        }
    }

    /// Decides what the result means, writes the attempt, and settles. Slot and guard are `held` until
    /// Serval is asked nothing more: the next call may start while the result is written.
    async fn conclude(
        &self,
        ticket_id: ServalTicketId,
        started_at: Timestamp,
        result: Result<Linked, ServalError>,
        held: (Option<SemaphorePermit<'_>>, ClaimGuard),
    ) {
        let now = self.now();
        let (outcome, settlement) = match &result {
            Ok(linked) => {
                self.record_signal(Signal::Alive, "", now);
                let policy = self.context.policy(&self.claim.ticket.source);
                let reconnects = policy.is_some_and(SourcePolicy::reconnects);
                settle_linked(linked, ticket_id.clone(), reconnects)
            }
            Err(error) => self.failed(error, &ticket_id, now).await,
        };
        drop(held);
        let attempt = attempt(&result, outcome, ticket_id, started_at, now, self.kind);
        let took = Duration::from_millis(attempt.duration_ms.unsigned_abs());
        let source = &self.claim.ticket.source;
        self.context.metrics.connect(source, outcome.as_str(), took);
        log(&self.claim, &attempt, result.as_ref().err());
        self.settle(Some(attempt), settlement).await;
    }

    async fn failed(
        &self,
        error: &ServalError,
        ticket_id: &ServalTicketId,
        now: Timestamp,
    ) -> (AttemptOutcome, Settlement) {
        let failure = classify(error);
        self.record_signal(failure.into(), &error.brief(), now);
        // A gateway may limit the rate, too.
        let is_limit = failure.kind == FailureKind::Throttled || error.status() == Some(429);
        // What was asked of these credentials does not count for other ones. The breaker heeds it.
        let is_refused = failure.kind == FailureKind::CredentialsRefused;
        let wait = failure.retry_after.filter(|_| !is_refused);
        let monotonic = self.context.clock.monotonic();
        let pace = &self.context.pace;
        pace.heed(is_limit, wait, &error.brief(), monotonic);
        let is_unknown = failure.kind == FailureKind::Permanent(Reason::NotFound);
        // The breaker may have opened by this very failure: then it does not count.
        let is_outage = !self.context.breaker().counts_tries() || self.kind == CallKind::Probe;
        let (mapped_at, unknown_since) = if is_unknown {
            let mapped_at = mapped_at(&self.context, &self.claim.ticket).await;
            (mapped_at, self.unknown_since(now).await)
        } else {
            (None, None)
        };
        // The event was moved with the clock, the claim was not.
        let set_since = self.begun.set_since(&*self.context.clock);
        let case = Case {
            failure,
            tries: self.claim.tries,
            queued_at: moved(self.claim.queued_at, set_since),
            is_outage,
            mapped_at,
            unknown_since,
        };
        let mut next = decide(case, &self.context.settings.retry, now, fastrand::f64());
        if next == Next::Dead(Reason::NotFound) && self.is_known(ticket_id).await {
            next = Next::Dead(Reason::Unimplemented);
        }
        settle_failed(next, case, &self.claim, error.summary())
    }

    /// Time of the first `not_found` since the event entered the queue, which it does anew if its mapping
    /// changes.
    async fn unknown_since(&self, now: Timestamp) -> Option<Timestamp> {
        let (store, claim) = (&self.context.store, &self.claim);
        let first = store.first_not_found(claim.event, claim.queued_at..=now);
        first.await.ok().flatten()
    }

    /// True if Serval knows the ticket. Then a `not_found` is about the call: the server does not have it,
    /// or not what else it names. The claim lasts for one request more: see [`Settings::lease`].
    ///
    /// [`Settings::lease`]: super::settings::Settings::lease
    async fn is_known(&self, ticket_id: &ServalTicketId) -> bool {
        let limit = self.limit().min(self.context.settings.call_timeout);
        let ticket = timeout(limit, self.context.serval.ticket(ticket_id)).await;
        matches!(ticket, Ok(Ok(Some(_))))
    }

    /// Tells the breaker how the call ended.
    fn record_signal(&self, signal: Signal, error: &str, now: Timestamp) {
        let context = &self.context;
        if matches!(signal, Signal::Refused(_)) && context.is_outdated() {
            return self.give_probe_back();
        }
        let ticket = &self.claim.ticket;
        let change = context
            .breaker()
            .record(signal, ticket, self.kind, error, now);
        context.announce(change, error);
    }

    /// Releases the claim without a call. The event stays in the queue.
    async fn release(&self) {
        self.give_probe_back();
        let (in_doubt, error) = (false, None);
        self.settle(None, Settlement::Release { in_doubt, error })
            .await;
    }

    /// Tells the breaker that its probe made no call.
    fn give_probe_back(&self) {
        if self.kind == CallKind::Probe {
            self.context.breaker().probe_unused(self.now());
        }
    }

    /// Writes the settlement, again and again while that may help. The call is not made again for that: after
    /// the claim ran out, the event is in doubt.
    async fn settle(&self, attempt: Option<Attempt>, settlement: Settlement) {
        let (store, claim) = (&self.context.store, &self.claim);
        loop {
            let now = self.now();
            let settled = store.settle(claim, attempt.clone(), settlement.clone(), now);
            match settled.await {
                Ok(()) => return,
                Err(error) if is_written_again(&error, claim.expires_at, now) => {
                    sleep(WRITE_AGAIN).await;
                }
                Err(error) => return log_unwritten(claim, &error),
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }
}
