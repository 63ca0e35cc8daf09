//! The consequences of a call's result: the settlement, the stored attempt, and the log lines. Pure but for
//! the log lines.

use std::time::Duration;

use jiff::Timestamp;

use super::connect::Linked;
use super::gate::breaker::CallKind;
use crate::domain::delivery::{Case, Next};
use crate::domain::ids::ServalTicketId;
use crate::domain::reason::Reason;
use crate::domain::trace::TraceParent;
use crate::serval::ServalError;
use crate::store::{Attempt, AttemptOutcome, Claim, SettleError, Settlement};

/// True if a result that could not be written is written again: until its claim runs out, and for as long as
/// another process holds the database, since nobody else can take the claim then.
pub(super) fn is_written_again(error: &SettleError, expires_at: Timestamp, now: Timestamp) -> bool {
    match error {
        SettleError::LostClaim => false,
        SettleError::Store(error) => error.is_held() || now < expires_at,
    }
}

/// Logs that a result was not written.
pub(super) fn log_unwritten(claim: &Claim, error: &SettleError) {
    let event = claim.event;
    match error {
        SettleError::LostClaim => {
            tracing::warn!(%event, "the claim was lost before its call ended");
        }
        SettleError::Store(error) => {
            tracing::error!(%event, %error, "a result could not be written");
        }
    }
}

/// Settlement if Serval has the pair.
pub(super) fn settle_linked(
    linked: &Linked,
    ticket_id: ServalTicketId,
    reconnects: bool,
) -> (AttemptOutcome, Settlement) {
    let connected = |ticket_id, reason| Settlement::Connected {
        ticket_id,
        reason,
        reconnects,
    };
    match linked {
        Linked::Connected(_) => (AttemptOutcome::Connected, connected(ticket_id, None)),
        // This event made the link by an earlier call, whose answer was lost. So it counts as
        // connected, while a link that was there before any call of ours is `Before`.
        Linked::AfterDoubt => {
            let reason = Some(Reason::AlreadyLinked);
            (AttemptOutcome::AlreadyLinked, connected(ticket_id, reason))
        }
        Linked::Before => (
            AttemptOutcome::AlreadyLinked,
            Settlement::AlreadyLinked { ticket_id },
        ),
    }
}

/// Settlement after a failed call.
pub(super) fn settle_failed(
    next: Next,
    case: Case,
    claim: &Claim,
    error: String,
) -> (AttemptOutcome, Settlement) {
    // With a hint, only questions were asked. An earlier doubt never ends by a failure.
    let in_doubt = case.failure.in_doubt && claim.hint.is_none();
    match next {
        Next::RetryAt { at, asked } => {
            let settlement = Settlement::Retry {
                at,
                asked,
                counts: !case.is_outage,
                in_doubt,
                error,
            };
            (AttemptOutcome::Retry, settlement)
        }
        // A hold is about all calls. The event keeps its number of tries.
        Next::Hold => {
            let error = Some(error);
            (
                AttemptOutcome::Held,
                Settlement::Release { in_doubt, error },
            )
        }
        Next::Dead(reason) => {
            let settlement = Settlement::Dead {
                reason,
                in_doubt,
                error,
            };
            (AttemptOutcome::Dead, settlement)
        }
    }
}

/// The attempt to store.
pub(super) fn attempt(
    result: &Result<Linked, ServalError>,
    outcome: AttemptOutcome,
    ticket_id: ServalTicketId,
    started_at: Timestamp,
    ended_at: Timestamp,
    kind: CallKind,
) -> Attempt {
    let (status, request_id, answer) = match result {
        Ok(Linked::Connected(answer)) => (Some(answer.status), answer.request_id.clone(), None),
        Ok(Linked::AfterDoubt | Linked::Before) => {
            let answer = "Serval lists the external ticket on this ticket";
            (Some(200), None, Some(answer.to_owned()))
        }
        Err(error) => {
            let request_id = error.request_id().map(str::to_owned);
            (error.status(), request_id, Some(error.summary()))
        }
    };
    let error = result.as_ref().err();
    let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    let took = ended_at.as_millisecond() - started_at.as_millisecond();
    Attempt {
        started_at,
        // The clock may have been set back meanwhile.
        duration_ms: took.max(0),
        ticket_id,
        outcome,
        status,
        code: error
            .and_then(ServalError::code)
            .map(|code| code.as_str().to_owned()),
        answer,
        request_id,
        retry_after_ms: error.and_then(ServalError::retry_after).map(millis),
        is_probe: kind == CallKind::Probe,
    }
}

/// Writes one line for each call. A failed call is logged here and nowhere else.
pub(super) fn log(claim: &Claim, attempt: &Attempt, error: Option<&ServalError>) {
    let error = error.map(ServalError::brief);
    // A macro, since tracing needs the level and the message as literals.
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                event = %claim.event,
                ticket.external = %claim.ticket,
                ticket.serval = %attempt.ticket_id,
                attempt = claim.tries + 1,
                trace = claim.traceparent.as_ref().map(TraceParent::trace_id),
                serval.status = attempt.status,
                duration_ms = attempt.duration_ms,
                error = error.as_deref(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_result_is_written_again_while_the_claim_lasts_or_nobody_can_take_it() {
        let (earlier, later) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let held = || SettleError::Store(StoreError::Held("database is locked".to_owned()));
        let full = || SettleError::Store(StoreError::Unavailable("disk is full".to_owned()));
        for (error, expires_at, expected) in [
            (full(), later, true),
            (full(), earlier, false),
            (held(), later, true),
            (held(), earlier, true),
            (SettleError::LostClaim, later, false),
        ] {
            let now = Timestamp::from_second(1).unwrap();
            let found = is_written_again(&error, expires_at, now);
            assert_eq!(found, expected, "{error} {expires_at}");
        }
    }
}
