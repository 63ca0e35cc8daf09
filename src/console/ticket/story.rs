//! The time line of an external ticket, each step in words.

use jiff::Timestamp;

use crate::console::time::{When, span};
use crate::console::{href, words};
use crate::domain::ids::EventId;
use crate::store::{AttemptRow, AuditRow, EventDetail, Moment, What};

/// A step.
pub(in crate::console) struct Step {
    pub(in crate::console) at: When,
    /// Its colour: the name of a state, or of none.
    pub(in crate::console) tone: &'static str,
    pub(in crate::console) title: String,
    pub(in crate::console) detail: Option<String>,
    /// The event that it is about.
    pub(in crate::console) event: Option<(String, String)>,
}

/// What happened to an external ticket, newest first.
pub(super) fn of_ticket(timeline: &[Moment], now: Timestamp) -> Vec<Step> {
    let is_news = |moment: &&Moment| !timeline.iter().any(|other| tells(other, moment));
    timeline
        .iter()
        .filter(is_news)
        .map(|moment| step(moment, now))
        .collect()
}

/// Whether a step says already what another would say again: that somebody mapped it, or that a call
/// connected it.
fn tells(said: &Moment, again: &Moment) -> bool {
    match (&said.what, &again.what) {
        (What::Acted(row), What::Mapped { .. }) => row.action == "map" && said.at == again.at,
        (What::Call { attempt, .. }, What::Connected { ticket_id }) => {
            attempt.ticket_id == *ticket_id
                && matches!(attempt.outcome.as_str(), "connected" | "already_linked")
        }
        _ => false,
    }
}

/// A moment in words.
fn step(moment: &Moment, now: Timestamp) -> Step {
    let link = |event: &EventId| (event.to_string(), href::event(*event));
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
            match attempt.outcome.as_str() {
                "connected" | "already_linked" => "connected",
                "dead" => "dead",
                _ => "parked",
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
            format!("Serval has it on {ticket_id}"),
            None,
            None,
        ),
        What::Contradicted {
            mapped_to, learned, ..
        } => (
            "dead",
            "A payload contradicts the mapping".to_owned(),
            Some(format!(
                "mapped to {mapped_to}, the payload names {learned}"
            )),
            None,
        ),
        What::Decided { decision, .. } => (
            "mapped",
            match decision.as_str() {
                "keep" => "The mapping was kept".to_owned(),
                _ => "The mapping was replaced by what the payload named".to_owned(),
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

/// What became of an event, newest first.
pub(super) fn of_event(detail: &EventDetail, now: Timestamp) -> Vec<Step> {
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

/// How a call went, in a line.
pub(super) fn call(attempt: &AttemptRow) -> String {
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
    let outcome = words::outcome(&attempt.outcome);
    format!("{what} to {}: {outcome} ({took})", attempt.ticket_id)
}

/// What Serval answered.
pub(super) fn answer(attempt: &AttemptRow) -> Option<String> {
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
