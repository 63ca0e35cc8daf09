//! The page of an external ticket: its state, its mapping and its history.
//!
//! This facade holds the page and composes the actions, because a refused action shows the page again.

mod actions;
mod stations;
mod story;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;

pub(crate) use actions::{confirm_forget, disconnect, forget, map, release, replay, reveal};

use super::payload::Payload;
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::store::{EventRow, TicketPage};
use crate::web::console::frame::{
    Fault, List, Numbers, Page, ROWS, Tab, View, href, render_with, words,
};
use stations::{Mark, Station, way};
pub(crate) use story::{Step, of_event as event_steps};

#[derive(Template)]
#[template(path = "ticket.html", config = "src/web/console/askama.toml")]
struct TicketView<'a> {
    page: Page,
    source: &'a str,
    external_id: &'a str,
    href: String,
    number: Option<String>,
    title: Option<String>,
    standing: Standing,
    stations: [Station; 3],
    found: TicketPage,
    /// Refusal of the form that maps.
    error: Option<String>,
    typed: &'a str,
    why: &'a str,
    /// Event that may be replayed.
    again: Option<EventId>,
    /// Sentences about what its replay does.
    outlook: Vec<String>,
    /// True if anything is stored that can be erased.
    is_known: bool,
    /// True if its source is configured, so that it can be mapped.
    is_configured: bool,
    numbers: Numbers,
    steps: Vec<Step>,
    first: Option<String>,
    next: Option<String>,
    payload: Payload,
}

/// Its state, in words.
struct Standing {
    tone: &'static str,
    state: &'static str,
    text: &'static str,
    advice: Option<&'static str>,
    last_error: Option<String>,
}

/// The page.
pub(crate) async fn show(
    view: View,
    Path((source, external_id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let ticket = view
        .operators()
        .stored_ticket(&source, &external_id)
        .await?;
    page(&view, &ticket, None, None).await
}

/// Shows the page: with the `error` of a form that was refused, or with a payload.
async fn page(
    view: &View,
    ticket: &ExternalTicket,
    error: Option<String>,
    payload: Option<Payload>,
) -> Result<Response, Fault> {
    let (operators, now) = (view.operators(), view.operators().now());
    let before = List::read(&view.fields, "", []).after()?;
    let mut found = operators.store().ticket_page(ticket, before, ROWS).await?;
    let (source, external_id) = (ticket.source.as_str(), ticket.external_id.as_str());
    let href = href::ticket(source, external_id);
    // The object is read only for its number and title. It is shown only on request.
    let object = match found.object {
        Some(event) => operators.store().object(event).await?,
        None => None,
    };
    let title = operators.title(source, object.as_deref());
    let number = title.number.or_else(|| found.number.clone());
    let frame = view
        .page(number.as_deref().unwrap_or(external_id), Tab::Elsewhere)
        .await?;
    let unasked = Payload::unasked(view, object.is_some(), format!("{href}/payload"));
    let next = found.next.map(|next| next.to_string());
    // Both read all connections and conflicts, so they come before the lists are shortened.
    let (standing, is_known) = (standing(&found), found.is_known());
    let stations = way(&facts(&found, operators.calls().is_paused));
    // Serval may still have the record on tickets that it was mapped to before.
    let mapped_to = found.mapping.as_ref().map(|mapping| &mapping.ticket_id);
    found
        .connections
        .retain(|connection| Some(&connection.ticket_id) != mapped_to);
    found
        .conflicts
        .retain(|conflict| conflict.decision.is_none());
    let again = replayable(&found);
    let outlook = match again {
        Some(_) => operators.outlook_of_one(ticket).await?.words(),
        None => Vec::new(),
    };
    let status = match error {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    // A refused form keeps what was typed. An address must not fill it in.
    let typed = error.is_some().then_some(&view.fields);
    let field = |name| typed.and_then(|typed| typed.get(name)).unwrap_or_default();
    let ticket_page = TicketView {
        page: frame,
        source,
        external_id,
        title: title.title,
        standing,
        stations,
        error,
        typed: field("ticket_id"),
        why: field("reason"),
        again,
        outlook,
        is_known,
        is_configured: operators.kind(source).is_some(),
        numbers: Numbers::one(source, external_id, number.as_deref()),
        number,
        steps: story::of_ticket(&found.timeline, now),
        first: before.map(|_| href.clone()),
        next: next.map(|next| href::list(&href, &[("cursor", Some(&next))])),
        payload: payload.unwrap_or(unasked),
        found,
        href,
    };
    Ok(render_with(status, &ticket_page))
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

/// Facts for the line of stations.
fn facts(found: &TicketPage, is_paused: bool) -> stations::Facts<'_> {
    let of_state = |state| found.counts.iter().filter(move |(of, _)| *of == state);
    let ignored = of_state(EventState::Ignored).map(|(_, n)| n).sum();
    stations::Facts {
        telling: telling(found).map(|event| event.state),
        events: found.counts.iter().map(|(_, n)| n).sum(),
        ignored,
        ticket_id: found
            .mapping
            .as_ref()
            .map(|mapping| mapping.ticket_id.as_str()),
        is_connected: is_connected(found),
        is_paused,
    }
}

fn is_connected(found: &TicketPage) -> bool {
    let mapping = found.mapping.as_ref();
    mapping.is_some_and(|mapping| mapping.connected_at.is_some())
}

/// The event that tells most about the external ticket.
fn telling(found: &TicketPage) -> Option<&EventRow> {
    let of = |states: &[EventState]| {
        let mut events = found.events.iter();
        events.find(|event| states.contains(&event.state))
    };
    // An event that will be sent tells more than one that waits, and that more than one that ended. An
    // old dead event of a connected ticket tells nothing.
    of(&[EventState::Queued])
        .or_else(|| of(&[EventState::Parked]))
        .or_else(|| of(&[EventState::Dead, EventState::Expired]).filter(|_| !is_connected(found)))
}

/// The state of the external ticket, from its most relevant event.
fn standing(found: &TicketPage) -> Standing {
    if let Some(event) = telling(found) {
        return Standing {
            tone: event.state.as_str(),
            state: event.state.as_str(),
            text: words::meaning(event.state, event.reason.as_deref()),
            advice: words::advice(event.state, event.reason.as_deref()),
            last_error: event.last_error.clone(),
        };
    }
    let map_now = "You can map it now; its next webhook then connects it.";
    let (tone, state, text, advice) = if is_connected(found) {
        let text = "Serval has linked the external ticket.";
        ("connected", "connected", text, None)
    } else if found.mapping.is_some() {
        let text = "It is mapped, but no webhook that can be sent has arrived yet.";
        let advice = "Its next webhook connects it.";
        ("queued", "mapped", text, Some(advice))
    } else if found.is_known() {
        let text = "It has no mapping, and no event waits for one.";
        ("skipped", "unmapped", text, Some(map_now))
    } else {
        let text =
            "Nothing is stored about it: no webhook about it was accepted, or it was forgotten.";
        ("skipped", "unknown", text, Some(map_now))
    };
    Standing {
        tone,
        state,
        text,
        advice,
        last_error: None,
    }
}
