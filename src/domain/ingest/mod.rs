//! The first state of a new event. The inbox decides it in the transaction that stores the event.

use super::event::{Disposition, EventState, NewEvent, Rank, stands_before};
use super::ids::{EventId, ServalTicketId};
use super::reason::Reason;
use super::report::Report;

/// Facts about the external ticket of a new event, when it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketFacts {
    /// Serval ticket of the mapping.
    pub mapped_to: Option<String>,
    /// True if Serval has the pair of the mapping.
    pub connected: bool,
    /// Parked event, with its rank.
    pub parked: Option<(EventId, Rank)>,
    /// True if changed records of a connected external ticket are sent again.
    pub reconnects: bool,
    /// The newest save that is known.
    pub newest: Option<(EventId, Rank)>,
    /// A save that waits in the queue, has no claim, and teaches nothing.
    pub waiting: Option<EventId>,
    /// True if the record or message of the event was deleted before the event arrived.
    pub is_gone: bool,
}

impl TicketFacts {
    /// True if a newer save of the same external ticket is known.
    pub fn is_outrun(&self, event: &NewEvent) -> bool {
        let by = |(_, newest): (EventId, Rank)| newest.outranks(event.rank);
        event.report == Report::Save && self.newest.is_some_and(by)
    }
}

/// First state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// State.
    pub state: EventState,
    /// Reason, if the state alone does not tell.
    pub reason: Option<Reason>,
    /// Event in the same state that it replaces; that one becomes `skipped` (`superseded`).
    pub supersedes: Option<EventId>,
}

impl Placement {
    fn at(state: EventState, reason: Option<Reason>) -> Self {
        Self {
            state,
            reason,
            supersedes: None,
        }
    }
}

/// Decides the first state of `event`. `is_twin`: another event with its content key is stored.
pub fn place(event: &NewEvent, is_twin: bool, ticket: &TicketFacts) -> Placement {
    match event.disposition {
        Disposition::Ignore(reason) | Disposition::SetAside(reason) => {
            Placement::at(EventState::Ignored, Some(Reason::Ignored(reason)))
        }
        _ if ticket.is_gone => Placement::at(EventState::Skipped, Some(Reason::Deleted)),
        Disposition::Bury(reason) => Placement::at(EventState::Dead, Some(reason)),
        // An echo may be the write that names the Serval ticket for the first time.
        Disposition::Skip(_) if event.hint.is_some() && ticket.mapped_to.is_none() => {
            Placement::at(EventState::Queued, Some(Reason::LearningEcho))
        }
        Disposition::Skip(reason) => Placement::at(EventState::Skipped, Some(reason)),
        Disposition::Connect => connect(event, is_twin, ticket),
    }
}

fn connect(event: &NewEvent, is_twin: bool, ticket: &TicketFacts) -> Placement {
    let hint = event.hint.as_ref().map(ServalTicketId::as_str);
    if hint.is_some()
        && hint != ticket.mapped_to.as_deref()
        && !(is_twin && ticket.mapped_to.is_some())
    {
        // Of twins, one may name the Serval ticket and the other not: that one must not be lost.
        Placement::at(EventState::Queued, Some(Reason::Learning))
    } else if is_twin {
        Placement::at(EventState::Skipped, Some(Reason::Duplicate))
    } else if ticket.mapped_to.is_some() && ticket.connected && !ticket.reconnects {
        Placement::at(EventState::Skipped, Some(Reason::AlreadyConnected))
    } else if ticket.is_outrun(event) {
        Placement::at(EventState::Skipped, Some(Reason::Superseded))
    } else if ticket.mapped_to.is_none() {
        // A new event arrives after all others.
        park((EventId(i64::MAX), event.rank), ticket.parked)
    } else {
        Placement {
            supersedes: ticket.waiting.filter(|_| event.report == Report::Save),
            ..Placement::at(EventState::Queued, None)
        }
    }
}

/// Decides which of two events of an unmapped external ticket is kept.
pub fn park(event: (EventId, Rank), parked: Option<(EventId, Rank)>) -> Placement {
    match parked {
        Some(kept) if stands_before(kept, event) => {
            Placement::at(EventState::Skipped, Some(Reason::Superseded))
        }
        Some((loser, _)) => Placement {
            state: EventState::Parked,
            reason: Some(Reason::NoMapping),
            supersedes: Some(loser),
        },
        None => Placement::at(EventState::Parked, Some(Reason::NoMapping)),
    }
}

#[cfg(test)]
mod tests;
