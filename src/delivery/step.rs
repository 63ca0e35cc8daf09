//! One claimed event: look if in doubt, connect, decide, settle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, SemaphorePermit};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::apart::{Apart, clear_the_way};
use super::attempt::{attempt, report};
use super::call::{Ended, call, timed_out};
use super::hand::{Hand, Held};
use super::learn::look_into;
use super::line::{Line, PROBE_TIMEOUT, Signal};
use super::pace::Pace;
use super::settings::TURN_PATIENCE;
use super::verdict::{judge, note};
use super::{Routes, Settings};
use crate::clock::SharedClock;
use crate::domain::ids::ServalTicketId;
use crate::domain::ingest::ALREADY_CONNECTED;
use crate::domain::retry::later;
use crate::metrics::Metrics;
use crate::serval::{ConnectRequest, ServalClient};
use crate::store::{Attempt, Claim, SettleError, Settlement, Store};
use crate::telemetry::traces;

/// How long a call that waits for its turn sleeps at most.
const NAP: Duration = Duration::from_secs(1);
/// Between tries to write a settlement that the store did not take.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What the steps of a worker work with. A reload puts another one in its place; a step keeps the one
/// that it began with, which its claim was made for.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) serval: ServalClient,
    /// Tokens that earlier clients asked for.
    pub(super) earlier_refreshes: u64,
    pub(super) clock: SharedClock,
    pub(super) routes: Routes,
    pub(super) settings: Settings,
    pub(super) pace: Arc<Pace>,
    pub(super) line: Arc<Mutex<Line>>,
    pub(super) hand: Arc<Hand>,
    pub(super) apart: Arc<Apart>,
    /// Told when what waits should not wait any longer.
    pub(super) hurry: Arc<Notify>,
    /// The account at Serval that is in force; see [`Context::is_outdated`].
    pub(super) account: Arc<AtomicU64>,
    /// The account that `serval` calls with.
    pub(super) own_account: u64,
    pub(super) metrics: Metrics,
}

impl Context {
    /// Whether calls are made with another account by now: what Serval says about this one's
    /// credentials is over.
    pub(super) fn is_outdated(&self) -> bool {
        self.account.load(Ordering::Relaxed) != self.own_account
    }

    pub(super) fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says and counts how a call ended.
    fn report(&self, claim: &Claim, attempt: &Attempt, ended: &Ended) {
        report(claim, attempt, ended);
        let took = Duration::from_millis(attempt.duration_ms.unsigned_abs());
        let outcome = attempt.outcome.as_str();
        self.metrics.connect(&claim.ticket.source, outcome, took);
    }
}

/// Works on a claim until it is settled or lost, in the trace that its webhook began.
pub(super) async fn step(context: &Context, mut claim: Claim, held: Held, is_probe: bool) {
    let span = tracing::info_span!(
        "delivery",
        source = %claim.ticket.source,
        event = %claim.event,
        ticket.external = %claim.ticket,
        attempt = claim.tries + 1,
    );
    traces::continue_from(&span, claim.traceparent.as_ref());
    // Serval's part of the trace goes below this step, where steps are recorded.
    claim.traceparent = traces::traceparent(&span).or(claim.traceparent);
    take_step(context, claim, held, is_probe)
        .instrument(span)
        .await;
}

async fn take_step(context: &Context, claim: Claim, held: Held, is_probe: bool) {
    if let Some(hint) = claim.hint.clone() {
        return learn(context, &claim, held, &hint, is_probe).await;
    }
    let request = match prepare(context, &claim) {
        Ok(request) => request,
        Err(settlement) => {
            if is_probe {
                context.line().probe_unused(context.clock.now());
            }
            return settle(context, &claim, None, settlement).await;
        }
    };
    let Some(place) = turn(context, is_probe).await else {
        return hand_back(context, &claim, is_probe).await;
    };
    if !clear_the_way(context, &claim, &request.ticket_id, is_probe).await {
        return hand_back(context, &claim, is_probe).await;
    }
    let started_at = context.clock.now();
    let ended = call(context, &claim, &request, is_probe).await;
    // Others may call while this is written down.
    drop((place, held));
    let now = context.clock.now();
    let (outcome, settlement) = judge(context, &claim, &request.ticket_id, &ended, is_probe, now);
    let attempt = attempt(
        &ended,
        request.ticket_id,
        outcome,
        started_at,
        now,
        is_probe,
    );
    context.report(&claim, &attempt, &ended);
    settle(context, &claim, Some(attempt), settlement).await;
}

/// Looks into the Serval ticket that the payload names; the event is claimed again for the rest.
async fn learn(
    context: &Context,
    claim: &Claim,
    held: Held,
    hint: &ServalTicketId,
    is_probe: bool,
) {
    let Some(place) = turn(context, is_probe).await else {
        return hand_back(context, claim, is_probe).await;
    };
    let started_at = context.clock.now();
    let limit = if is_probe {
        PROBE_TIMEOUT
    } else {
        context.settings.call_limit()
    };
    let looked = tokio::time::timeout(limit, look_into(context, claim, hint)).await;
    drop((place, held));
    let now = context.clock.now();
    let error = match looked {
        Ok(Ok(lesson)) => {
            note(context, claim, Signal::Alive, is_probe, "", now);
            if let Err(error) = context.store.learn(claim, lesson, now).await {
                tracing::warn!(event = %claim.event, %error, "what was learned could not be written");
            }
            return;
        }
        Ok(Err(error)) => error,
        Err(_) => timed_out(limit),
    };
    let ended = Ended::Failed(error);
    let (outcome, settlement) = judge(context, claim, hint, &ended, is_probe, now);
    let attempt = attempt(&ended, hint.clone(), outcome, started_at, now, is_probe);
    context.report(claim, &attempt, &ended);
    settle(context, claim, Some(attempt), settlement).await;
}

/// The call to make, or what becomes of the event without one.
fn prepare(context: &Context, claim: &Claim) -> Result<ConnectRequest, Settlement> {
    let source = &claim.ticket.source;
    let Some(route) = context.routes.get(source) else {
        let error = format!("the source {source} is not configured any more");
        return Err(Settlement::Dead {
            reason: "unknown_source",
            error,
        });
    };
    let Some(ticket_id) = claim.mapped_to.clone() else {
        return Err(Settlement::Park {
            until: later(context.clock.now(), route.park_for),
        });
    };
    if claim.is_connected && !route.reconnects {
        return Err(Settlement::Skip {
            reason: ALREADY_CONNECTED,
        });
    }
    Ok(ConnectRequest {
        ticket_id,
        channel_target: route.target(&claim.ticket.external_id),
        external_id: claim.ticket.external_id.clone(),
        object: claim.object.clone(),
        subtype: claim.subtype.clone(),
        accounted_for_message_ids: claim.accounted_for.clone(),
        traceparent: claim.traceparent.clone(),
    })
}

/// Gives a claim back without a call.
async fn hand_back(context: &Context, claim: &Claim, is_probe: bool) {
    if is_probe {
        context.line().probe_unused(context.clock.now());
    }
    let in_doubt = claim.in_doubt;
    settle(
        context,
        claim,
        None,
        Settlement::Release {
            in_doubt,
            error: None,
        },
    )
    .await;
}

/// Waits for a place to call from, then for the pace. `None`: no call may be made, because the line
/// stands, or the claim would not last for it. A probe needs no place.
async fn turn(context: &Context, is_probe: bool) -> Option<Option<SemaphorePermit<'_>>> {
    let started = Instant::now();
    let place = if is_probe {
        None
    } else {
        let place = tokio::time::timeout(TURN_PATIENCE, context.hand.place());
        Some(place.await.ok()??)
    };
    loop {
        if !context.line().takes(is_probe) || started.elapsed() > TURN_PATIENCE {
            return None;
        }
        let wait = context.pace.wait(context.clock.now());
        if wait.is_zero() {
            return Some(place);
        }
        // In short naps: the clock may be set, and the line may stop.
        tokio::time::sleep(wait.min(NAP)).await;
    }
}

/// Writes the settlement; while the store takes no writes, again and again until the claim's time
/// is over. The call is not repeated for that: the next claim looks first.
async fn settle(
    context: &Context,
    claim: &Claim,
    attempt: Option<Attempt>,
    settlement: Settlement,
) {
    loop {
        let now = context.clock.now();
        match context
            .store
            .settle(claim, attempt.clone(), settlement.clone(), now)
            .await
        {
            Ok(()) => return,
            Err(SettleError::LostClaim) => {
                tracing::warn!(event = %claim.event, "the claim was lost before its call ended");
                return;
            }
            Err(SettleError::Store(_)) if now < claim.expires_at => {
                tokio::time::sleep(SETTLE_AGAIN).await;
            }
            Err(SettleError::Store(error)) => {
                tracing::error!(event = %claim.event, %error, "a result could not be written");
                return;
            }
        }
    }
}
