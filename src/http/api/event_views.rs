//! Events as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::store::{AttemptRow, ChangeRow, EventDetail, EventRow};

/// The words of the states.
pub(in crate::http) fn state_words() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(EventState::ALL.map(EventState::as_str)))
        .build()
}

/// What a list and a single event have in common.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventSummary {
    /// Such as `evt_42`.
    #[schema(value_type = String)]
    id: EventId,
    /// The source that it came from.
    source: String,
    /// The external ticket that it is about.
    external_id: Option<String>,
    /// `externalTicketSubtype`: `incident` or `requested_item`.
    subtype: Option<String>,
    /// What happened, in the sender's words.
    event_type: String,
    /// Where it stands.
    #[schema(schema_with = state_words)]
    state: EventState,
    /// Why, where the state alone does not say.
    reason: Option<String>,
    /// The Serval ticket: of the last connect, else of the mapping.
    ticket_id: Option<String>,
    /// When it arrived.
    received_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// Queued: when the next try is due; parked: when it expires.
    due_at: Option<Timestamp>,
    /// What went wrong last.
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
    /// How many calls were made about it.
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
    /// The calls made about it, oldest first.
    attempts: Vec<AttemptView>,
    /// Its states, oldest first.
    history: Vec<ChangeView>,
    /// The raw body; null after its retention, where it was not kept, and where it is not shown.
    body: Option<String>,
    /// What is sent to Serval, but for the channel target.
    sent: Option<Sent>,
}

/// What is sent to Serval.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent {
    external_ticket_id: Option<String>,
    external_ticket_subtype: Option<String>,
    /// JSON as it arrived.
    external_ticket_data: String,
    accounted_for_message_ids: Vec<String>,
}

impl EventDetailView {
    /// Of an event, with its payload or without.
    pub(super) fn new(detail: EventDetail, shows_payload: bool) -> Self {
        let EventDetail {
            row,
            attempts,
            changes,
            payload,
            accounted_for,
        } = detail;
        let payload = payload.filter(|_| shows_payload);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let sent = payload.as_ref().map(|(body, object)| Sent {
            external_ticket_id: row.external_id.clone(),
            external_ticket_subtype: row.subtype.clone(),
            external_ticket_data: text(&body[object.clone()]),
            accounted_for_message_ids: accounted_for,
        });
        Self {
            summary: row.into(),
            attempts: attempts.into_iter().map(AttemptView::from).collect(),
            history: changes.into_iter().map(ChangeView::from).collect(),
            body: payload.as_ref().map(|(body, _)| text(body)),
            sent,
        }
    }
}

/// One call to Serval.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(crate) struct AttemptView {
    /// When it began.
    started_at: Timestamp,
    /// How long it took.
    duration_ms: i64,
    /// The Serval ticket.
    ticket_id: String,
    /// `connected`, `already_linked`, `retry`, `held` or `dead`.
    outcome: String,
    /// The HTTP status; null: no answer.
    status: Option<i64>,
    /// Serval's error code.
    code: Option<String>,
    /// What Serval said, shortened.
    answer: Option<String>,
    /// Serval's request id.
    request_id: Option<String>,
    /// How long Serval asked to wait.
    retry_after_ms: Option<i64>,
    /// Whether it was the probe of an outage, which costs the event nothing.
    probe: bool,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        Self {
            started_at: row.started_at,
            duration_ms: row.duration_ms,
            ticket_id: row.ticket_id,
            outcome: row.outcome,
            status: row.status,
            code: row.code,
            answer: row.answer,
            request_id: row.request_id,
            retry_after_ms: row.retry_after_ms,
            probe: row.is_probe,
        }
    }
}

/// A change of state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(crate) struct ChangeView {
    /// When.
    at: Timestamp,
    /// To which state.
    #[schema(schema_with = state_words)]
    state: EventState,
    /// Why.
    reason: Option<String>,
}

impl From<ChangeRow> for ChangeView {
    fn from(row: ChangeRow) -> Self {
        Self {
            at: row.at,
            state: row.state,
            reason: row.reason,
        }
    }
}
