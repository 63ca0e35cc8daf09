//! The time line of an external ticket, each step in words.

use jiff::Timestamp;

use crate::domain::ids::EventId;
use crate::store::{Attempt, AttemptOutcome, AuditRow, Decision, EventDetail, Moment, What};
use crate::web::console::frame::{When, href, span, words};

/// A step.
pub(crate) struct Step {
    pub(crate) at: When,
    /// Name of a state, which gives the colour; empty: none.
    pub(crate) tone: &'static str,
    pub(crate) title: String,
    pub(crate) detail: Option<String>,
    /// The event of the step.
    pub(crate) event: Option<(String, String)>,
}

/// History of an external ticket, newest first.
pub(super) fn of_ticket(timeline: &[Moment], now: Timestamp) -> Vec<Step> {
    let is_news = |moment: &&Moment| !timeline.iter().any(|other| tells(other, moment));
    timeline
        .iter()
        .filter(is_news)
        .map(|moment| step(moment, now))
        .collect()
}

/// True if another step shows the same: that it was mapped, or that a call connected it.
fn tells(said: &Moment, again: &Moment) -> bool {
    match (&said.what, &again.what) {
        (What::Acted(row), What::Mapped { .. }) => row.action == "map" && said.at == again.at,
        (What::Call { attempt, .. }, What::Connected { ticket_id }) => {
            attempt.ticket_id.as_str() == ticket_id
                && matches!(
                    attempt.outcome,
                    AttemptOutcome::Connected | AttemptOutcome::AlreadyLinked
                )
        }
        _ => false,
    }
}

/// A moment in words.
fn step(moment: &Moment, now: Timestamp) -> Step {
    let link = |event: &EventId| (event.to_string(), href::event(*event));
    // The match has no wildcard: a new kind of moment needs its text here.
    let (tone, title, detail, event) = match &moment.what {
        What::Received { event, event_type } => (
            "arrived",
            "Webhook arrived".to_owned(),
            Some(event_type.clone()),
            Some(link(event)),
        ),
        What::Moved {
            event,
            state,
            reason,
        } => {
            let meaning = words::meaning(*state, reason.as_deref());
            let title = match reason {
                Some(reason) => format!("{} · {reason}", state.as_str()),
                None => state.as_str().to_owned(),
            };
            (
                state.as_str(),
                title,
                Some(meaning.to_owned()),
                Some(link(event)),
            )
        }
        What::Call { event, attempt } => (
            match attempt.outcome {
                AttemptOutcome::Connected | AttemptOutcome::AlreadyLinked => "connected",
                AttemptOutcome::Dead => "dead",
                AttemptOutcome::Retry | AttemptOutcome::Held => "parked",
            },
            call(attempt),
            answer(attempt),
            Some(link(event)),
        ),
        What::Mapped {
            ticket_id,
            origin,
            taught_by,
        } => (
            "mapped",
            format!("Mapped to {ticket_id}"),
            Some(words::origin(origin).to_owned()),
            taught_by.as_ref().map(link),
        ),
        What::Connected { ticket_id } => (
            "connected",
            format!("Serval linked it to {ticket_id}"),
            None,
            None,
        ),
        What::Contradicted {
            mapped_to, learned, ..
        } => (
            "dead",
            "A payload contradicts the mapping".to_owned(),
            Some(match mapped_to {
                Some(mapped_to) => format!("mapped to {mapped_to}, the payload names {learned}"),
                None => format!(
                    "the payload names {learned}, which the same id of another source is mapped to"
                ),
            }),
            None,
        ),
        What::Decided { decision, .. } => (
            "mapped",
            match decision {
                Decision::Keep => "The mapping was kept".to_owned(),
                Decision::Replace => {
                    "The mapping was replaced with the ticket of the payload".to_owned()
                }
            },
            None,
            None,
        ),
        What::Acted(row) => ("person", acted(row), row.reason.clone(), None),
    };
    Step {
        at: When::at(moment.at, now),
        tone,
        title,
        detail,
        event,
    }
}

/// History of an event, newest first.
pub(crate) fn of_event(detail: &EventDetail, now: Timestamp) -> Vec<Step> {
    let event = detail.row.id;
    let changes = detail.changes.iter().map(|change| Moment {
        at: change.at,
        what: What::Moved {
            event,
            state: change.state,
            reason: change.reason.clone(),
        },
    });
    let calls = detail.attempts.iter().map(|attempt| Moment {
        at: attempt.started_at,
        what: What::Call {
            event,
            attempt: attempt.clone(),
        },
    });
    // The sort is stable, so a call stands before the change that it caused, if both have the same
    // time.
    let mut moments: Vec<Moment> = calls.chain(changes).collect();
    moments.sort_by_key(|moment| moment.at);
    moments
        .iter()
        .rev()
        .map(|moment| Step {
            event: None,
            ..step(moment, now)
        })
        .collect()
}

/// One line about a call.
pub(super) fn call(attempt: &Attempt) -> String {
    let took = if attempt.duration_ms < 1000 {
        format!("{} ms", attempt.duration_ms)
    } else {
        let millis = attempt.duration_ms.unsigned_abs();
        span(std::time::Duration::from_millis(millis))
    };
    let what = if attempt.is_probe {
        "Probe"
    } else {
        "Connect call"
    };
    let outcome = words::outcome(attempt.outcome.as_str());
    format!("{what} to {}: {outcome} ({took})", attempt.ticket_id)
}

/// Serval's answer.
pub(super) fn answer(attempt: &Attempt) -> Option<String> {
    let parts = [
        attempt.status.map(|status| format!("HTTP {status}")),
        attempt.code.clone(),
        attempt.answer.clone(),
        attempt.retry_after_ms.map(|millis| {
            let wait = std::time::Duration::from_millis(millis.unsigned_abs());
            format!("asked to wait {}", span(wait))
        }),
        attempt
            .request_id
            .as_ref()
            .map(|id| format!("request {id}")),
    ];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" · "))
}

fn acted(row: &AuditRow) -> String {
    let action = words::action(&row.action);
    match &row.subject {
        Some(subject) => format!("{} {action}: {subject}", row.actor),
        None => format!("{} {action}", row.actor),
    }
}
