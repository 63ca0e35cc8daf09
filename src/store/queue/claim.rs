//! Claims: the exclusive right to work on one event.
//!
//! A claim is stored before its call is made. It has a token, which the settlement must show, and a
//! time at which it runs out. Then its event is due again, and its pair in doubt, since the call may have
//! been made.
//! An external ticket has at most one claim, for its oldest event.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::ids::{EventId, ExternalTicket, ServalTicketId};
use crate::domain::trace::TraceParent;

/// Proves that a claim is still held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimToken(String);

impl ClaimToken {
    pub(crate) fn random() -> Self {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).expect("the system has randomness to give");
        Self(hex::encode(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A claimed event, with all that its call needs.
#[derive(Clone)]
pub struct Claim {
    /// The event.
    pub event: EventId,
    /// External ticket of the event.
    pub ticket: ExternalTicket,
    /// Needed to settle.
    pub token: ClaimToken,
    /// Time at which the claim runs out.
    pub expires_at: Timestamp,
    /// Tries that the backoff counts.
    pub tries: u32,
    /// The event whose call may have made the pair of the mapping: this one or another one of the external
    /// ticket. `None`: the pair is not in doubt.
    pub doubt: Option<EventId>,
    /// Time at which the event entered the queue.
    pub queued_at: Timestamp,
    /// `externalTicketSubtype`.
    pub subtype: Option<String>,
    /// Serval ticket of the mapping.
    pub mapped_to: Option<ServalTicketId>,
    /// True if Serval has the pair of the mapping.
    pub is_connected: bool,
    /// True if the messages of its channel are direct, though its id does not tell.
    pub is_direct: bool,
    /// Serval ticket that the payload names, not yet checked.
    pub hint: Option<ServalTicketId>,
    /// Serval message ids that the external system has already, from the mapping.
    pub accounted_for: Vec<String>,
    /// Trace of the webhook.
    pub traceparent: Option<TraceParent>,
    /// Number of the commits before it that changed or withdrew waiting events.
    pub(crate) revision: u64,
    /// The external object, byte for byte.
    pub object: Bytes,
}

impl fmt::Debug for Claim {
    /// Leaves out the object, which is private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("event", &self.event)
            .field("ticket", &self.ticket)
            .field("expires_at", &self.expires_at)
            .field("object_bytes", &self.object.len())
            .finish_non_exhaustive()
    }
}

/// Choice of the events that a claim may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimScope {
    /// Events that are due.
    Due,
    /// The event that has waited longest, due or not, for a test call. A wait that Serval asked for is
    /// kept.
    Probe,
}
