//! The timeline of an external ticket.
//!
//! Invariant: pages that follow each other show everything once. What belongs to an event is on the
//! page of the event. All else is on the page of its time.

use jiff::Timestamp;

use super::event::ChangeRow;
use super::events::EventRow;
use super::ticket_rows::{Call, Connection};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::store::attempt::Attempt;
use crate::store::audit::AuditRow;
use crate::store::links::conflict::{Conflict, Decision};
use crate::store::links::mapping::Mapping;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Time.
    pub at: Timestamp,
    /// The thing that happened.
    pub what: What,
}

/// Kinds of things that happen.
#[derive(Debug, Clone)]
pub enum What {
    /// A webhook brought an event.
    Received {
        /// Id of the event.
        event: EventId,
        /// Type of the event, in the sender's words.
        event_type: String,
    },
    /// An event changed its state.
    Moved {
        /// Id of the event.
        event: EventId,
        /// New state.
        state: EventState,
        /// Reason for it.
        reason: Option<String>,
    },
    /// A connect call was made.
    Call {
        /// Event that was sent.
        event: EventId,
        /// The call.
        attempt: Attempt,
    },
    /// The mapping was written.
    Mapped {
        /// Serval ticket.
        ticket_id: String,
        /// Writer of the mapping.
        origin: String,
        /// Event whose payload named the Serval ticket.
        taught_by: Option<EventId>,
    },
    /// Serval accepted the pair.
    Connected {
        /// Serval ticket.
        ticket_id: String,
    },
    /// A payload named another Serval ticket than the mapping.
    Contradicted {
        /// Number of the conflict.
        conflict: i64,
        /// Serval ticket of the mapping.
        mapped_to: Option<String>,
        /// Serval ticket that the payload named.
        learned: String,
    },
    /// A conflict was decided.
    Decided {
        /// Number of the conflict.
        conflict: i64,
        /// The decision.
        decision: Decision,
    },
    /// A person did something.
    Acted(AuditRow),
}

/// Rows that a timeline is made of, newest first.
pub(super) struct History<'a> {
    pub(super) events: &'a [EventRow],
    pub(super) mapping: Option<&'a Mapping>,
    pub(super) connections: &'a [Connection],
    pub(super) conflicts: &'a [Conflict],
    pub(super) changes: Vec<ChangeRow>,
    pub(super) calls: Vec<Call>,
    pub(super) audit: Vec<AuditRow>,
}

/// Time of a page. Older things are on a later page, newer ones on an earlier page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Span {
    fn has(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
    }
}

/// Makes the timeline of a page, newest first.
pub(super) fn assemble(history: History<'_>, span: Span) -> Vec<Moment> {
    // Within a millisecond, the order of the pushes below is the order in which things follow from
    // each other. So all begins with the oldest, the sort is stable, and the end turns it around.
    let mut moments = Vec::new();
    let mut push = |at, what| moments.push(Moment { at, what });
    for event in history.events.iter().rev() {
        let (id, at) = (event.id, event.received_at);
        let event_type = event.event_type.clone();
        push(
            at,
            What::Received {
                event: id,
                event_type,
            },
        );
        let (state, reason) = (event.first_state, event.first_reason.clone());
        push(
            at,
            What::Moved {
                event: id,
                state,
                reason,
            },
        );
    }
    for (at, what) in beside(&history).filter(|(at, _)| span.has(*at)) {
        push(at, what);
    }
    for row in history.audit.into_iter().rev() {
        if span.has(row.at) {
            push(row.at, What::Acted(row));
        }
    }
    for Call { event, attempt } in history.calls.into_iter().rev() {
        push(attempt.started_at, What::Call { event, attempt });
    }
    for change in history.changes.into_iter().rev() {
        let (event, state, reason) = (change.event, change.state, change.reason);
        push(
            change.at,
            What::Moved {
                event,
                state,
                reason,
            },
        );
    }
    moments.sort_by_key(|moment| moment.at);
    moments.reverse();
    moments
}

/// Returns what belongs to the external ticket, not to an event.
fn beside<'a>(history: &History<'a>) -> impl Iterator<Item = (Timestamp, What)> + use<'a> {
    let mapped = history.mapping.into_iter().map(|mapping| {
        let mapped = What::Mapped {
            ticket_id: mapping.ticket_id.clone(),
            origin: mapping.origin.clone(),
            taught_by: mapping.taught_by,
        };
        (mapping.updated_at, mapped)
    });
    let conflicts = history.conflicts.iter().rev().flat_map(|row| {
        let conflict = row.id;
        let found = What::Contradicted {
            conflict,
            mapped_to: row.mapped_to.clone(),
            learned: row.learned.to_string(),
        };
        // A decided conflict has two moments in the history: when it was found, and when it was
        // decided.
        let decided = row.decided_at.zip(row.decision);
        let decided = decided.map(|(at, decision)| (at, What::Decided { conflict, decision }));
        std::iter::once((row.created_at, found)).chain(decided)
    });
    let connected = history.connections.iter().map(|connection| {
        let ticket_id = connection.ticket_id.clone();
        (connection.connected_at, What::Connected { ticket_id })
    });
    mapped.chain(conflicts).chain(connected)
}
