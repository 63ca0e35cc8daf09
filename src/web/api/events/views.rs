//! Events in the form that the API shows.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::store::{Attempt, ChangeRow, EventDetail, EventRow};

/// Members of an event in a list and of a single event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventSummary {
    /// Event id.
    #[schema(value_type = String, pattern = "^evt_[0-9]{1,18}$", example = "evt_42")]
    id: EventId,
    /// Source of the event.
    source: String,
    /// Id of the external ticket.
    external_id: Option<String>,
    /// `externalTicketSubtype`: `incident` or `requested_item`.
    subtype: Option<String>,
    /// Type of event, in the sender's words.
    event_type: String,
    /// State of the event.
    #[schema(schema_with = EventState::schema)]
    state: EventState,
    /// Reason for the state, if it has one.
    reason: Option<String>,
    /// Serval ticket of the last connect, else of the mapping.
    ticket_id: Option<String>,
    /// Time of arrival.
    received_at: Timestamp,
    /// Time of the last change.
    updated_at: Timestamp,
    /// For a queued event the time of the next try; for a parked event the time at which it expires.
    due_at: Option<Timestamp>,
    /// The last error.
    last_error: Option<String>,
}

impl From<EventRow> for EventSummary {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            source: row.source,
            external_id: row.external_id,
            subtype: row.subtype,
            event_type: row.event_type,
            state: row.state,
            reason: row.reason,
            ticket_id: row.ticket_id,
            received_at: row.received_at,
            updated_at: row.updated_at,
            due_at: (!row.state.is_terminal()).then_some(row.due_at),
            last_error: row.last_error,
        }
    }
}

/// An event in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    #[serde(flatten)]
    summary: EventSummary,
    /// Number of calls for this event.
    attempts: i64,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        Self {
            attempts: row.attempts,
            summary: row.into(),
        }
    }
}

/// An event with its history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventDetail)]
pub(crate) struct EventDetailView {
    #[serde(flatten)]
    summary: EventSummary,
    /// Calls for this event, oldest first.
    attempts: Vec<Attempt>,
    /// States of the event, oldest first.
    history: Vec<ChangeRow>,
    /// Raw body; null if it was deleted, not kept, or may not be shown.
    body: Option<String>,
    /// Content of the connect call, without the channel target.
    sent: Option<Sent>,
}

/// Content of a connect call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent {
    external_ticket_id: Option<String>,
    external_ticket_subtype: Option<String>,
    /// Object as JSON, byte for byte.
    external_ticket_data: String,
    accounted_for_message_ids: Vec<String>,
}

impl EventDetailView {
    /// Shows an event with or without its payload.
    pub(super) fn new(detail: EventDetail, shows_payload: bool) -> Self {
        let EventDetail {
            row,
            attempts,
            changes,
            payload,
            accounted_for,
        } = detail;
        // The token or the configuration may forbid stored objects. Then body and sent part are
        // missing, not empty.
        let payload = payload.filter(|_| shows_payload);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let sent = payload.as_ref().map(|body| Sent {
            external_ticket_id: row.external_id.clone(),
            external_ticket_subtype: row.subtype.clone(),
            external_ticket_data: text(&body.object()),
            accounted_for_message_ids: accounted_for,
        });
        Self {
            summary: row.into(),
            attempts,
            history: changes,
            body: payload.as_ref().map(|body| text(&body.bytes)),
            sent,
        }
    }
}
