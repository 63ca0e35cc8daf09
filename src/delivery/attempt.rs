//! What is kept and said of one call.

use jiff::Timestamp;

use super::call::Ended;
use crate::domain::ids::ServalTicketId;
use crate::domain::trace::TraceParent;
use crate::store::{Attempt, AttemptOutcome, Claim};

/// The call as it goes on record.
pub(super) fn attempt(
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
        Ended::AlreadyLinked | Ended::LinkedBefore => {
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
pub(super) fn report(claim: &Claim, attempt: &Attempt, ended: &Ended) {
    let error = match ended {
        Ended::Failed(error) => Some(error.brief()),
        Ended::Connected(_) | Ended::AlreadyLinked | Ended::LinkedBefore => None,
    };
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
