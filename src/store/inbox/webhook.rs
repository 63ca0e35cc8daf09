//! A webhook as it is handed to the store, and the answer.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::event::{EventState, NewEvent};
use crate::domain::feed::Sign;
use crate::domain::ids::{EventId, ExternalId, SourceName};
use crate::domain::trace::TraceParent;

/// A verified webhook, ready to be stored.
#[derive(Clone)]
pub struct Webhook {
    /// Source.
    pub source: SourceName,
    /// Time of arrival.
    pub received_at: Timestamp,
    /// Longest time that an event of the source is parked, in milliseconds.
    pub park_for_ms: i64,
    /// True if the source keeps the bodies of ignored events.
    pub keep_ignored_bodies: bool,
    /// True if changed records of a connected external ticket are sent again.
    pub reconnects: bool,
    /// The word of the webhook on the state of its source.
    pub sign: Sign,
    /// Trace of the request.
    pub traceparent: Option<TraceParent>,
    /// The raw body.
    pub body: Bytes,
    /// Events that the source read in the body.
    pub events: Vec<NewEvent>,
}

impl Webhook {
    /// Time until which an event of it is parked.
    pub(crate) fn parked_until(&self) -> Option<Timestamp> {
        let until = self.received_at.as_millisecond();
        Timestamp::from_millisecond(until.saturating_add(self.park_for_ms)).ok()
    }
}

impl fmt::Debug for Webhook {
    /// Leaves out the body, which is private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("source", &self.source)
            .field("received_at", &self.received_at)
            .field("events", &self.events.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Answer for one event of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Stored event; for a duplicate, the earlier one.
    pub id: EventId,
    /// External id, if the event names one.
    pub external_id: Option<ExternalId>,
    /// State.
    pub state: EventState,
    /// Reason for the state, if it has one.
    pub reason: Option<String>,
    /// True if the same delivery was stored before.
    pub duplicate: bool,
    /// Name of the delivery, if one of the same name was stored before with another content.
    pub reused_name: Option<String>,
}
