//! An external ticket: where it stands, where it belongs, and all that happened to it.

mod actions;
mod story;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

pub(super) use actions::{confirm_forget, forget, map, release, replay, reveal};

use super::conflicts::{ConflictView, conflict_view};
use super::fault::{Fault, render};
use super::page::{Numbers, Page, Tab, View};
use super::paging::{self, ROWS};
use super::payload::Payload;
use super::time::When;
use super::{href, words};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::store::{EventDetail, TicketPage};
pub(super) use story::Step;

#[derive(Template)]
#[template(path = "ticket.html", config = "src/console/askama.toml")]
struct TicketView {
    page: Page,
    source: String,
    external_id: String,
    href: String,
    number: Option<String>,
    title: Option<String>,
    standing: Standing,
    mapping: Option<MappingView>,
    pending: Vec<PendingView>,
    others: Vec<ConnectionView>,
    form: MapForm,
    /// What may be replayed.
    again: Option<String>,
    /// Whether anything is stored that could be forgotten.
    is_known: bool,
    /// Whether its source is configured, so that it can be mapped.
    is_configured: bool,
    conflicts: Vec<ConflictView>,
    steps: Vec<Step>,
    first: Option<String>,
    next: Option<String>,
    payload: Payload,
}

/// Where it stands, in words.
struct Standing {
    tone: &'static str,
    state: &'static str,
    text: String,
    advice: Option<&'static str>,
    last_error: Option<String>,
}

struct MappingView {
    ticket_id: String,
    origin: String,
    created_at: When,
    updated_at: When,
    connected_at: Option<When>,
    messages: usize,
    version: String,
}

struct PendingView {
    ticket_id: String,
    due_at: When,
    last_error: Option<String>,
}

struct ConnectionView {
    ticket_id: String,
    at: When,
}

/// The form that maps, as it was sent and why it was refused.
#[derive(Debug, Default)]
struct MapForm {
    ticket_id: String,
    why: String,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TicketQuery {
    cursor: Option<String>,
}

/// What a page shows beside what is stored.
#[derive(Debug, Default)]
struct Shown {
    before: Option<EventId>,
    form: MapForm,
    payload: Option<Payload>,
    status: StatusCode,
}

/// The page.
pub(super) async fn show(
    view: View,
    Path((source, external_id)): Path<(String, String)>,
    Query(query): Query<TicketQuery>,
) -> Result<Response, Fault> {
    let ticket = view.desk().stored_ticket(&source, &external_id)?;
    let shown = Shown {
        before: paging::cursor(paging::set(query.cursor.as_ref()))?,
        ..Shown::default()
    };
    page(&view, &ticket, shown).await
}

async fn page(view: &View, ticket: &ExternalTicket, shown: Shown) -> Result<Response, Fault> {
    let (desk, now) = (view.desk(), view.desk().now());
    let found = desk.store().ticket_page(ticket, shown.before, ROWS).await?;
    let (source, external_id) = (ticket.source.as_str(), ticket.external_id.as_str());
    let href = href::ticket(source, external_id);
    let object = match found.object {
        Some(event) => desk.store().object(event).await?,
        None => None,
    };
    let title = desk.title(source, object.as_deref());
    let number = title.number.or_else(|| found.number.clone());
    let frame = view
        .page(number.as_deref().unwrap_or(external_id), Tab::Elsewhere)
        .await?;
    let numbers = Numbers::one(source, external_id, number.as_deref());
    let unasked = Payload::unasked(view, object.is_some(), format!("{href}/payload"));
    let next = found
        .next
        .map(|next| href::list(&href, &[("cursor", Some(&next.to_string()))]));
    let mapped_to = found.mapping.as_ref().map(|m| m.ticket_id.clone());
    let ticket_page = TicketView {
        page: frame,
        source: source.to_owned(),
        external_id: external_id.to_owned(),
        number,
        title: title.title,
        standing: standing(&found),
        pending: found
            .disconnects
            .iter()
            .map(|pending| PendingView {
                ticket_id: pending.ticket_id.clone(),
                due_at: When::at(pending.due_at, now),
                last_error: pending.last_error.clone(),
            })
            .collect(),
        others: found
            .connections
            .iter()
            .filter(|connection| Some(&connection.ticket_id) != mapped_to.as_ref())
            .map(|connection| ConnectionView {
                ticket_id: connection.ticket_id.clone(),
                at: When::at(connection.connected_at, now),
            })
            .collect(),
        mapping: found.mapping.as_ref().map(|mapping| MappingView {
            ticket_id: mapping.ticket_id.clone(),
            origin: words::origin(&mapping.origin).to_owned(),
            created_at: When::at(mapping.created_at, now),
            updated_at: When::at(mapping.updated_at, now),
            connected_at: mapping.connected_at.map(|at| When::at(at, now)),
            messages: mapping.accounted_for.len(),
            version: mapping.version(),
        }),
        form: shown.form,
        again: replayable(&found).map(|event| event.to_string()),
        is_known: found.is_known(),
        is_configured: desk.kind(source).is_some(),
        conflicts: found
            .conflicts
            .iter()
            .filter(|conflict| conflict.decision.is_none())
            .map(|conflict| conflict_view(conflict.clone(), &numbers, now))
            .collect(),
        steps: story::of_ticket(&found.timeline, now),
        first: shown.before.map(|_| href.clone()),
        next,
        payload: shown.payload.unwrap_or(unasked),
        href,
    };
    Ok(render(shown.status, &ticket_page))
}

/// The newest event that a replay would send.
fn replayable(found: &TicketPage) -> Option<EventId> {
    let is_stuck = |state| matches!(state, EventState::Dead | EventState::Expired);
    let is_moving = found
        .events
        .iter()
        .any(|event| matches!(event.state, EventState::Queued | EventState::Parked));
    let mut stuck = found.events.iter().filter(|event| is_stuck(event.state));
    stuck.next().filter(|_| !is_moving).map(|event| event.id)
}

/// The event that says most about where the external ticket stands.
fn standing(found: &TicketPage) -> Standing {
    let is_connected = found
        .mapping
        .as_ref()
        .is_some_and(|mapping| mapping.connected_at.is_some());
    let of = |states: &[EventState]| {
        let mut events = found.events.iter();
        events.find(|event| states.contains(&event.state))
    };
    let telling = of(&[EventState::Queued])
        .or_else(|| of(&[EventState::Parked]))
        .or_else(|| of(&[EventState::Dead, EventState::Expired]).filter(|_| !is_connected));
    match (telling, is_connected) {
        (Some(event), _) => Standing {
            tone: event.state.as_str(),
            state: event.state.as_str(),
            text: words::meaning(event.state, event.reason.as_deref()).to_owned(),
            advice: words::advice(event.state, event.reason.as_deref()),
            last_error: event.last_error.clone(),
        },
        (None, true) => Standing {
            tone: "connected",
            state: "connected",
            text: "Serval has the external ticket on its ticket.".to_owned(),
            advice: None,
            last_error: None,
        },
        (None, false) if found.mapping.is_some() => Standing {
            tone: "queued",
            state: "mapped",
            text: "It is mapped, and no webhook about it that could be sent has arrived."
                .to_owned(),
            advice: Some("It connects with the next webhook about it."),
            last_error: None,
        },
        (None, false) => Standing {
            tone: "skipped",
            state: if found.is_known() {
                "unmapped"
            } else {
                "unknown"
            },
            text: if found.is_known() {
                "No mapping, and nothing waits for one.".to_owned()
            } else {
                "Nothing is stored about it: no webhook about it was accepted, or it was forgotten."
                    .to_owned()
            },
            advice: Some("You can map it ahead; its next webhook connects it then."),
            last_error: None,
        },
    }
}

/// What became of one event, newest first.
pub(super) fn event_steps(detail: &EventDetail, now: Timestamp) -> Vec<Step> {
    story::of_event(detail, now)
}
