//! What a call came to, and where its event goes.

use jiff::Timestamp;

use crate::domain::ids::ServalTicketId;

/// How one call ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Serval took it.
    Connected,
    /// A look showed that Serval has it.
    AlreadyLinked,
    /// It will be tried again.
    Retry,
    /// The line waits; it costs the event nothing.
    Held,
    /// It was the last one.
    Dead,
}

impl AttemptOutcome {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Connected,
        Self::AlreadyLinked,
        Self::Retry,
        Self::Held,
        Self::Dead,
    ];

    /// The word used in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::AlreadyLinked => "already_linked",
            Self::Retry => "retry",
            Self::Held => "held",
            Self::Dead => "dead",
        }
    }
}

/// One call to Serval, for the record.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The Serval ticket it was about.
    pub ticket_id: ServalTicketId,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Serval's error code.
    pub code: Option<String>,
    /// What Serval said, or what went wrong on the way, shortened.
    pub answer: Option<String>,
    /// Serval's request id.
    pub request_id: Option<String>,
    /// How long Serval asked to wait, in milliseconds.
    pub retry_after_ms: Option<i64>,
    /// Whether it was the probe of an outage.
    pub is_probe: bool,
}

/// Where a claimed event goes.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Serval has the pair.
    Connected {
        /// The Serval ticket.
        ticket_id: ServalTicketId,
        /// `already_linked` where a look showed it.
        reason: Option<&'static str>,
        /// Whether later events of the external ticket have something to do all the same.
        reconnects: bool,
    },
    /// A look before the call showed that Serval has the pair.
    AlreadyLinked {
        /// The Serval ticket.
        ticket_id: ServalTicketId,
    },
    /// Try again.
    Retry {
        /// Not before.
        at: Timestamp,
        /// Serval asked to wait until then.
        asked: bool,
        /// Whether the retry schedule counts this try.
        counts: bool,
        /// Whether the call may have reached Serval.
        in_doubt: bool,
        /// What went wrong.
        error: String,
    },
    /// Back into the queue as it was.
    Release {
        /// Whether the call may have reached Serval.
        in_doubt: bool,
        /// What went wrong, if anything did.
        error: Option<String>,
    },
    /// No mapping.
    Park {
        /// When the event expires.
        until: Timestamp,
    },
    /// Nothing to do.
    Skip {
        /// Why.
        reason: &'static str,
    },
    /// Given up.
    Dead {
        /// Why, in a word.
        reason: &'static str,
        /// What Serval said.
        error: String,
    },
}
