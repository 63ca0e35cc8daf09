//! One claimed event: look if in doubt, connect, decide, settle.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::attempt::{attempt, report};
use super::call::{Ended, call, timed_out};
use super::classify::classify;
use super::learn::look_into;
use super::line::{Line, PROBE_TIMEOUT, Signal, Turn};
use super::pace::Pace;
use super::settings::TURN_PATIENCE;
use super::{Routes, Settings};
use crate::clock::SharedClock;
use crate::domain::delivery::{FailureKind, Next, decide};
use crate::domain::ids::ServalTicketId;
use crate::domain::ingest::ALREADY_CONNECTED;
use crate::domain::retry::later;
use crate::metrics::Metrics;
use crate::serval::{ConnectRequest, ServalClient};
use crate::store::{Attempt, AttemptOutcome, Claim, SettleError, Settlement, Store};
use crate::telemetry::traces;

/// How long a call that waits for its turn sleeps at most.
const NAP: Duration = Duration::from_secs(1);
/// Between tries to write a settlement that the store did not take.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What the steps of a worker share.
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) serval: ServalClient,
    pub(super) clock: SharedClock,
    pub(super) routes: Routes,
    pub(super) settings: Settings,
    pub(super) pace: Pace,
    pub(super) line: Mutex<Line>,
    pub(super) metrics: Metrics,
}

impl Context {
    pub(super) fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says and counts how a call ended.
    fn report(&self, claim: &Claim, attempt: &Attempt) {
        report(claim, attempt);
        let took = Duration::from_millis(attempt.duration_ms.unsigned_abs());
        let outcome = attempt.outcome.as_str();
        self.metrics.connect(&claim.ticket.source, outcome, took);
    }
}

/// Works on a claim until it is settled or lost, in the trace that its webhook began.
pub(super) async fn step(context: &Context, mut claim: Claim, is_probe: bool) {
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
    take_step(context, claim, is_probe).instrument(span).await;
}

async fn take_step(context: &Context, claim: Claim, is_probe: bool) {
    if let Some(hint) = claim.hint.clone() {
        return learn(context, &claim, &hint, is_probe).await;
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
    if !wait_for_turn(context, is_probe).await {
        return hand_back(context, &claim, is_probe).await;
    }
    let started_at = context.clock.now();
    let ended = call(context, &claim, &request, is_probe).await;
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
    context.report(&claim, &attempt);
    settle(context, &claim, Some(attempt), settlement).await;
}

/// Looks into the Serval ticket that the payload names; the event is claimed again for the rest.
async fn learn(context: &Context, claim: &Claim, hint: &ServalTicketId, is_probe: bool) {
    if !wait_for_turn(context, is_probe).await {
        return hand_back(context, claim, is_probe).await;
    }
    let started_at = context.clock.now();
    let limit = if is_probe {
        PROBE_TIMEOUT
    } else {
        context.settings.call_limit()
    };
    let looked = tokio::time::timeout(limit, look_into(context, claim, hint)).await;
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
    context.report(claim, &attempt);
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
        object: claim.object.clone().into(),
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

/// Waits for the pace. `false`: no call may be made, because the line stands, or the claim would not
/// last for it.
async fn wait_for_turn(context: &Context, is_probe: bool) -> bool {
    let started = Instant::now();
    loop {
        if !context.line().takes(is_probe) || started.elapsed() > TURN_PATIENCE {
            return false;
        }
        let wait = context.pace.wait(context.clock.now());
        if wait.is_zero() {
            return true;
        }
        // In short naps: the clock may be set, and the line may stop.
        tokio::time::sleep(wait.min(NAP)).await;
    }
}

/// Tells the line how the call ended, and decides what becomes of the event.
fn judge(
    context: &Context,
    claim: &Claim,
    ticket_id: &ServalTicketId,
    ended: &Ended,
    is_probe: bool,
    now: Timestamp,
) -> (AttemptOutcome, Settlement) {
    let ticket_id = ticket_id.clone();
    let route = context.routes.get(&claim.ticket.source);
    let reconnects = route.is_some_and(|route| route.reconnects);
    let error = match ended {
        Ended::Connected(_) => {
            note(context, claim, Signal::Alive, is_probe, "", now);
            let settlement = Settlement::Connected {
                ticket_id,
                reason: None,
                reconnects,
            };
            return (AttemptOutcome::Connected, settlement);
        }
        Ended::LinkedBefore => {
            note(context, claim, Signal::Alive, is_probe, "", now);
            return (
                AttemptOutcome::AlreadyLinked,
                Settlement::AlreadyLinked { ticket_id },
            );
        }
        Ended::AlreadyLinked => {
            note(context, claim, Signal::Alive, is_probe, "", now);
            let reason = Some("already_linked");
            return (
                AttemptOutcome::AlreadyLinked,
                Settlement::Connected {
                    ticket_id,
                    reason,
                    reconnects,
                },
            );
        }
        Ended::Failed(error) => error,
    };
    let failure = classify(error);
    let said = error.summary();
    let signal = match failure.kind {
        FailureKind::Permanent(_) | FailureKind::Exists => Signal::Alive,
        kind @ (FailureKind::Unreachable
        | FailureKind::Unavailable
        | FailureKind::Faulty
        | FailureKind::Throttled
        | FailureKind::CredentialsRefused) => Signal::Failing(kind),
    };
    note(context, claim, signal, is_probe, &said, now);
    if failure.kind == FailureKind::Throttled {
        context.pace.slow_down(failure.retry_after, now);
    }
    let counts = context.line().counts_tries() && !is_probe;
    let in_doubt = failure.in_doubt || claim.in_doubt;
    let policy = &context.settings.retry;
    let jitter = fastrand::f64();
    // While the line is open an event pays with neither tries nor age nor a long wait: it goes behind
    // the others, so that the next probe takes another one.
    let (tries, queued_at) = if counts {
        (claim.tries, claim.queued_at)
    } else {
        (0, now)
    };
    match decide(failure, tries, queued_at, policy, now, jitter) {
        Next::RetryAt { at, asked } => {
            let settlement = Settlement::Retry {
                at,
                asked,
                counts,
                in_doubt,
                error: said,
            };
            (AttemptOutcome::Retry, settlement)
        }
        Next::Hold => (
            AttemptOutcome::Held,
            Settlement::Release {
                in_doubt,
                error: Some(said),
            },
        ),
        Next::Dead(reason) => (
            AttemptOutcome::Dead,
            Settlement::Dead {
                reason,
                error: said,
            },
        ),
    }
}

fn note(
    context: &Context,
    claim: &Claim,
    signal: Signal,
    is_probe: bool,
    said: &str,
    now: Timestamp,
) {
    let turn = context
        .line()
        .note(signal, &claim.ticket, is_probe, said, now);
    match turn {
        Turn::Same => {}
        Turn::Opened => {
            tracing::error!(
                error = said,
                "Serval is failing: calls stop but for a probe every few seconds, and no event loses a try",
            );
            // So that the probes take turns, however long each event waits by itself.
            context.settings.hurry.notify_one();
        }
        Turn::Held => tracing::error!(
            error = said,
            "Serval refuses our credentials: calls stop until it accepts them; check [serval]",
        ),
        Turn::Recovered => {
            tracing::info!("Serval answers again");
            context.settings.hurry.notify_one();
        }
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
