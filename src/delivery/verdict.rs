//! What the end of a call means: for the line to Serval, and for the event.

use jiff::Timestamp;

use super::call::Ended;
use super::classify::classify;
use super::line::{Signal, Turn};
use super::step::Context;
use crate::domain::delivery::{FailureKind, Next, decide};
use crate::domain::ids::ServalTicketId;
use crate::store::{AttemptOutcome, Claim, Settlement};

/// Tells the line how the call ended, and decides what becomes of the event.
pub(super) fn judge(
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
    note(context, claim, signal, is_probe, &error.brief(), now);
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

/// Tells the line how a call ended, and says aloud what that turned.
pub(super) fn note(
    context: &Context,
    claim: &Claim,
    signal: Signal,
    is_probe: bool,
    said: &str,
    now: Timestamp,
) {
    if signal == Signal::Failing(FailureKind::CredentialsRefused) && context.is_outdated() {
        if is_probe {
            context.line().probe_unused(now);
        }
        return;
    }
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
            context.hurry.notify_one();
        }
        Turn::Held => tracing::error!(
            error = said,
            "Serval refuses our credentials: calls stop until it accepts them; check [serval]",
        ),
        Turn::Recovered => {
            tracing::info!("Serval answers again");
            context.hurry.notify_one();
        }
    }
}
