//! One claimed event: look if in doubt, connect, decide, settle.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::classify::classify;
use super::line::{Line, PROBE_TIMEOUT, Signal, Turn};
use super::pace::Pace;
use super::worker::TURN_PATIENCE;
use super::{Routes, Settings};
use crate::clock::SharedClock;
use crate::domain::delivery::{FailureKind, Next, decide};
use crate::domain::ids::ServalTicketId;
use crate::domain::ingest::ALREADY_CONNECTED;
use crate::domain::retry::later;
use crate::serval::{Answer, ConnectRequest, NetworkKind, ServalClient, ServalError};
use crate::store::{Attempt, AttemptOutcome, Claim, SettleError, Settlement, Store};

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
}

impl Context {
    pub(super) fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connect, or the look before it, came to.
enum Ended {
    /// Serval took it.
    Connected(Answer),
    /// A look showed that Serval has it.
    AlreadyLinked,
    /// Neither.
    Failed(ServalError),
}

/// Works on a claim until it is settled or lost.
pub(super) async fn step(context: &Context, claim: Claim, is_probe: bool) {
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
        if is_probe {
            context.line().probe_unused(context.clock.now());
        }
        let release = Settlement::Release {
            in_doubt: claim.in_doubt,
            error: None,
        };
        return settle(context, &claim, None, release).await;
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
    report(&claim, &attempt);
    settle(context, &claim, Some(attempt), settlement).await;
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
    if claim.is_connected {
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
    })
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

/// Makes the call, under a limit that lies inside of the claim's time.
async fn call(context: &Context, claim: &Claim, request: &ConnectRequest, is_probe: bool) -> Ended {
    let limit = if is_probe {
        PROBE_TIMEOUT
    } else {
        context.settings.call_limit()
    };
    let exchange = look_and_connect(context, claim, request);
    match tokio::time::timeout(limit, exchange).await {
        Ok(ended) => ended,
        Err(_) => Ended::Failed(ServalError::Network {
            kind: NetworkKind::Timeout,
            sent: true,
            detail: format!("nothing within {} s", limit.as_secs()),
        }),
    }
}

async fn look_and_connect(context: &Context, claim: &Claim, request: &ConnectRequest) -> Ended {
    if claim.in_doubt {
        match look(context, request).await {
            Ok(true) => return Ended::AlreadyLinked,
            Ok(false) => {}
            // Serval answers, but will not say: the connect itself gets the last word.
            Err(error) if is_last_word(&error) => {}
            Err(error) => return Ended::Failed(error),
        }
    }
    let error = match context.serval.connect(request).await {
        Ok(answer) => return Ended::Connected(answer),
        Err(error) => error,
    };
    if classify(&error).kind != FailureKind::Exists {
        return Ended::Failed(error);
    }
    match look(context, request).await {
        Ok(true) => Ended::AlreadyLinked,
        Ok(false) => Ended::Failed(error),
        Err(unseen) if is_last_word(&unseen) => Ended::Failed(error),
        // Nothing is known yet: the next try asks again.
        Err(unseen) => Ended::Failed(unseen),
    }
}

/// Whether a look that failed would fail again.
fn is_last_word(error: &ServalError) -> bool {
    matches!(
        classify(error).kind,
        FailureKind::Permanent(_) | FailureKind::Exists
    )
}

/// Whether Serval has the pair.
async fn look(context: &Context, request: &ConnectRequest) -> Result<bool, ServalError> {
    let links = context.serval.external_tickets(&request.ticket_id).await?;
    let wanted = request.external_id.as_str();
    Ok(links
        .iter()
        .any(|link| link.external_ticket_id.eq_ignore_ascii_case(wanted)))
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
    let error = match ended {
        Ended::Connected(_) => {
            note(context, claim, Signal::Alive, is_probe, "", now);
            return (
                AttemptOutcome::Connected,
                Settlement::Connected {
                    ticket_id,
                    reason: None,
                },
            );
        }
        Ended::AlreadyLinked => {
            note(context, claim, Signal::Alive, is_probe, "", now);
            let reason = Some("already_linked");
            return (
                AttemptOutcome::AlreadyLinked,
                Settlement::Connected { ticket_id, reason },
            );
        }
        Ended::Failed(error) => error,
    };
    let failure = classify(error);
    let said = error.summary();
    let signal = match failure.kind {
        FailureKind::Permanent(_) | FailureKind::Exists => Signal::Alive,
        kind => Signal::Failing(kind),
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

fn attempt(
    ended: &Ended,
    ticket_id: ServalTicketId,
    outcome: AttemptOutcome,
    started_at: Timestamp,
    now: Timestamp,
    is_probe: bool,
) -> Attempt {
    let duration_ms = now
        .as_millisecond()
        .saturating_sub(started_at.as_millisecond())
        .max(0);
    let attempt = Attempt {
        started_at,
        duration_ms,
        ticket_id,
        outcome,
        status: None,
        code: None,
        answer: None,
        request_id: None,
        retry_after_ms: None,
        is_probe,
    };
    match ended {
        Ended::Connected(answer) => Attempt {
            status: Some(answer.status),
            request_id: answer.request_id.clone(),
            ..attempt
        },
        Ended::AlreadyLinked => {
            let answer = Some("Serval lists the external ticket on this ticket".to_owned());
            Attempt {
                status: Some(200),
                answer,
                ..attempt
            }
        }
        Ended::Failed(error) => Attempt {
            status: error.status(),
            code: error.code().map(|code| code.as_str().to_owned()),
            answer: Some(error.summary()),
            request_id: error.request_id().map(str::to_owned),
            retry_after_ms: error
                .retry_after()
                .map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
            ..attempt
        },
    }
}

/// One line for each call: this is where its failure is logged, and nowhere else.
fn report(claim: &Claim, attempt: &Attempt) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                event = %claim.event,
                ticket.external = %claim.ticket,
                ticket.serval = %attempt.ticket_id,
                attempt = claim.tries + 1,
                serval.status = attempt.status,
                duration_ms = attempt.duration_ms,
                error = attempt.answer.as_deref().filter(|_| is_failure(attempt.outcome)),
                $message
            )
        };
    }
    match attempt.outcome {
        AttemptOutcome::Connected => line!(info, "connected"),
        AttemptOutcome::AlreadyLinked => line!(info, "connected: Serval has the pair already"),
        AttemptOutcome::Retry => line!(warn, "connect failed; it will be tried again"),
        AttemptOutcome::Held => line!(warn, "connect failed; it waits until Serval takes calls"),
        AttemptOutcome::Dead => line!(error, "connect failed for good; see `events show`"),
    }
}

fn is_failure(outcome: AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Connected | AttemptOutcome::AlreadyLinked => false,
        AttemptOutcome::Retry | AttemptOutcome::Held | AttemptOutcome::Dead => true,
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
