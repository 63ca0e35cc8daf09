//! The end of a claim, as the worker reports it.

use jiff::Timestamp;

use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::reason::Reason;
use crate::store::attempt::Attempt;

/// End of a claim: what happens to its event.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Serval has the pair.
    Connected {
        /// The Serval ticket.
        ticket_id: ServalTicketId,
        /// `already_linked` if the links at Serval showed it.
        reason: Option<Reason>,
        /// True if later events of the external ticket are sent, too.
        reconnects: bool,
    },
    /// The links at Serval showed, before the call, that it has the pair.
    AlreadyLinked {
        /// The Serval ticket.
        ticket_id: ServalTicketId,
    },
    /// Try again.
    Retry {
        /// Time of the next try.
        at: Timestamp,
        /// True if Serval asked to wait until then.
        asked: bool,
        /// True if the backoff counts this try.
        counts: bool,
        /// True if the call may have reached Serval.
        in_doubt: bool,
        /// Cause of the failure.
        error: String,
    },
    /// Back into the queue as it was.
    Release {
        /// True if the call may have reached Serval.
        in_doubt: bool,
        /// Cause, if something went wrong.
        error: Option<String>,
    },
    /// No mapping.
    Park {
        /// Time at which the event expires.
        until: Timestamp,
    },
    /// Nothing to do.
    Skip {
        /// Reason.
        reason: Reason,
    },
    /// Given up.
    Dead {
        /// Reason.
        reason: Reason,
        /// True if the call may have reached Serval.
        in_doubt: bool,
        /// Serval's answer, for people.
        error: String,
    },
}

impl Settlement {
    /// Returns what went wrong, if anything did.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Retry { error, .. } | Self::Dead { error, .. } => Some(error),
            Self::Release { error, .. } => error.as_deref(),
            Self::Connected { .. }
            | Self::AlreadyLinked { .. }
            | Self::Park { .. }
            | Self::Skip { .. } => None,
        }
    }

    /// True if Serval may have the pair.
    pub(super) fn leaves_doubt(&self) -> bool {
        match self {
            Self::Retry { in_doubt, .. }
            | Self::Release { in_doubt, .. }
            | Self::Dead { in_doubt, .. } => *in_doubt,
            Self::Connected { .. }
            | Self::AlreadyLinked { .. }
            | Self::Park { .. }
            | Self::Skip { .. } => false,
        }
    }

    /// True if Serval has the pair.
    pub(super) fn is_pair(&self) -> bool {
        matches!(self, Self::Connected { .. } | Self::AlreadyLinked { .. })
    }

    /// True if the event would wait or be given up.
    pub(super) fn is_unsent(&self) -> bool {
        match self {
            Self::Retry { .. } | Self::Release { .. } | Self::Park { .. } | Self::Dead { .. } => {
                true
            }
            Self::Connected { .. } | Self::AlreadyLinked { .. } | Self::Skip { .. } => false,
        }
    }

    /// Returns until when the event would be parked.
    pub(super) fn parks_until(&self) -> Option<Timestamp> {
        if let Self::Park { until } = self {
            return Some(*until);
        }
        None
    }
}

/// A claim and its end.
pub(crate) struct Settle {
    pub(super) event: EventId,
    pub(super) token: String,
    /// Serval ticket of the mapping when the event was claimed.
    pub(super) mapped_to: Option<String>,
    /// True if their pair was in doubt.
    pub(super) was_in_doubt: bool,
    pub(super) attempt: Option<Attempt>,
    pub(super) settlement: Settlement,
    pub(super) now: Timestamp,
}
