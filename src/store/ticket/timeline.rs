//! What happened to an external ticket, in the order in which it did.
//!
//! Invariant: pages that follow each other show everything once. What belongs to an event is on the
//! page of the event; all else on the page of its time.

use jiff::Timestamp;

use super::TicketPage;
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::store::{AttemptRow, AuditRow};

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A webhook brought an event.
    Received {
        /// The event.
        event: EventId,
        /// What happened over there, in the sender's words.
        event_type: String,
    },
    /// The event is in a state from then on.
    Moved {
        /// The event.
        event: EventId,
        /// To which state.
        state: EventState,
        /// Why.
        reason: Option<String>,
    },
    /// A call to Serval.
    Call {
        /// The event that it was made for.
        event: EventId,
        /// How it went.
        attempt: AttemptRow,
    },
    /// It was mapped.
    Mapped {
        /// To which Serval ticket.
        ticket_id: String,
        /// Who said so.
        origin: String,
        /// The event whose payload said so.
        taught_by: Option<EventId>,
    },
    /// Serval has the pair.
    Connected {
        /// The Serval ticket.
        ticket_id: String,
    },
    /// A payload named another Serval ticket than the mapping did.
    Contradicted {
        /// The conflict's number.
        conflict: i64,
        /// What the mapping said.
        mapped_to: String,
        /// What the payload named.
        learned: String,
    },
    /// The conflict was decided.
    Decided {
        /// The conflict's number.
        conflict: i64,
        /// `keep` or `replace`.
        decision: String,
    },
    /// A person did something.
    Acted(AuditRow),
}

/// What is stored beside the events of a page.
pub(super) struct History {
    pub(super) changes: Vec<(EventId, Timestamp, EventState, Option<String>)>,
    pub(super) attempts: Vec<(EventId, AttemptRow)>,
    pub(super) audit: Vec<AuditRow>,
}

/// The time of a page: what is older comes later, what is newer came before.
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

/// The time line of a page, newest first.
pub(super) fn assemble(page: &TicketPage, history: History, span: Span) -> Vec<Moment> {
    // The oldest first, as things follow from each other within a millisecond; turned at the end.
    let mut moments = Vec::new();
    for event in page.events.iter().rev() {
        moments.push(Moment {
            at: event.received_at,
            what: What::Received {
                event: event.id,
                event_type: event.event_type.clone(),
            },
        });
        moments.push(Moment {
            at: event.received_at,
            what: What::Moved {
                event: event.id,
                state: event.first_state,
                reason: event.first_reason.clone(),
            },
        });
    }
    moments.extend(beside(page, span));
    let acted = history.audit.into_iter().rev();
    moments.extend(acted.filter(|row| span.has(row.at)).map(|row| Moment {
        at: row.at,
        what: What::Acted(row),
    }));
    moments.extend(
        history
            .attempts
            .into_iter()
            .rev()
            .map(|(event, attempt)| Moment {
                at: attempt.started_at,
                what: What::Call { event, attempt },
            }),
    );
    let moved = history.changes.into_iter().rev();
    moments.extend(moved.map(|(event, at, state, reason)| Moment {
        at,
        what: What::Moved {
            event,
            state,
            reason,
        },
    }));
    // Stable: what has the same time stays in the order above.
    moments.sort_by_key(|moment| moment.at);
    moments.reverse();
    moments
}

/// What belongs to the external ticket, not to an event.
fn beside(page: &TicketPage, span: Span) -> impl Iterator<Item = Moment> {
    let mapping = page.mapping.iter().map(|mapping| Moment {
        at: mapping.updated_at,
        what: What::Mapped {
            ticket_id: mapping.ticket_id.clone(),
            origin: mapping.origin.clone(),
            taught_by: mapping.taught_by,
        },
    });
    let conflicts = page.conflicts.iter().rev();
    let conflicts = conflicts.flat_map(|conflict| {
        let found = Moment {
            at: conflict.created_at,
            what: What::Contradicted {
                conflict: conflict.id,
                mapped_to: conflict.mapped_to.clone(),
                learned: conflict.learned.clone(),
            },
        };
        let decided = conflict.decided_at.zip(conflict.decision.clone());
        let decided = decided.map(|(at, decision)| Moment {
            at,
            what: What::Decided {
                conflict: conflict.id,
                decision,
            },
        });
        std::iter::once(found).chain(decided)
    });
    let connected = page.connections.iter().map(|connection| Moment {
        at: connection.connected_at,
        what: What::Connected {
            ticket_id: connection.ticket_id.clone(),
        },
    });
    mapping
        .chain(conflicts)
        .chain(connected)
        .filter(move |moment| span.has(moment.at))
}
