//! The events, newest first, by any of their properties.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::fault::{Fault, render};
use super::href;
use super::page::{Numbers, Page, Tab, View};
use super::paging::{self, Pager, ROWS, cut};
use super::time::When;
use crate::domain::event::EventState;
use crate::operator::one_spelling;
use crate::store::{EventFilter, EventRow};

#[derive(Template)]
#[template(path = "events.html", config = "src/console/askama.toml")]
struct EventsPage {
    page: Page,
    rows: Vec<EventLine>,
    states: Vec<&'static str>,
    sources: Vec<String>,
    state: String,
    source: String,
    external_id: String,
    reason: String,
    is_filtered: bool,
    pager: Pager,
}

/// An event as lists show it.
pub(super) struct EventLine {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) source: String,
    pub(super) external_id: Option<String>,
    /// What people call the external ticket.
    pub(super) name: String,
    pub(super) ticket_href: Option<String>,
    pub(super) event_type: String,
    pub(super) state: &'static str,
    pub(super) reason: Option<String>,
    pub(super) serval: Option<String>,
    pub(super) received_at: When,
    pub(super) updated_at: When,
    pub(super) due_at: Option<When>,
    pub(super) attempts: i64,
    pub(super) last_error: Option<String>,
}

/// What the events are about.
pub(super) fn tickets(rows: &[EventRow]) -> impl Iterator<Item = (&str, Option<&str>)> {
    rows.iter()
        .map(|row| (row.source.as_str(), row.external_id.as_deref()))
}

/// An event, seen from now.
pub(super) fn event_line(row: EventRow, numbers: &Numbers, now: Timestamp) -> EventLine {
    let name = row.external_id.as_deref();
    let name = name.map(|id| numbers.name(&row.source, id));
    let ticket_href = row
        .external_id
        .as_deref()
        .map(|id| href::ticket(&row.source, id));
    EventLine {
        id: row.id.to_string(),
        name: name.unwrap_or_default(),
        href: href::event(row.id),
        ticket_href,
        received_at: When::at(row.received_at, now),
        updated_at: When::at(row.updated_at, now),
        due_at: (!row.state.is_terminal()).then(|| When::at(row.due_at, now)),
        source: row.source,
        external_id: row.external_id,
        event_type: row.event_type,
        state: row.state.as_str(),
        reason: row.reason,
        serval: row.ticket_id,
        attempts: row.attempts,
        last_error: row.last_error,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventsQuery {
    state: Option<String>,
    source: Option<String>,
    external_id: Option<String>,
    reason: Option<String>,
    cursor: Option<String>,
}

/// The list.
pub(super) async fn show(view: View, Query(query): Query<EventsQuery>) -> Result<Response, Fault> {
    let (desk, now) = (view.desk(), view.desk().now());
    let [word, source, external_id, reason, cursor] = [
        &query.state,
        &query.source,
        &query.external_id,
        &query.reason,
        &query.cursor,
    ]
    .map(|filter| paging::set(filter.as_ref()));
    let read = |word| {
        let unknown = || Fault::malformed(format!("No state is called {word:?}."));
        EventState::parse(word).ok_or_else(unknown)
    };
    let mut rows = desk
        .store()
        .events(&EventFilter {
            state: word.map(read).transpose()?,
            source: source.map(|name| desk.source(name)).transpose()?,
            external_id: external_id.map(|id| one_spelling(id.to_owned())),
            reason: reason.map(str::to_owned),
            before: paging::cursor(cursor)?,
            limit: ROWS + 1,
        })
        .await?;
    let filters = [
        ("state", word),
        ("source", source),
        ("external_id", external_id),
        ("reason", reason),
    ];
    let pager = cut(&mut rows, "/events", &filters, cursor, |row| {
        row.id.to_string()
    });
    let numbers = view.numbers(tickets(&rows)).await?;
    let text = |filter: Option<&str>| filter.unwrap_or_default().to_owned();
    let page = EventsPage {
        page: view.page("Events", Tab::Events).await?,
        rows: rows
            .into_iter()
            .map(|row| event_line(row, &numbers, now))
            .collect(),
        states: EventState::ALL.map(EventState::as_str).into(),
        sources: desk
            .source_names()
            .iter()
            .map(ToString::to_string)
            .collect(),
        is_filtered: filters.iter().any(|(_, filter)| filter.is_some()),
        state: text(word),
        source: text(source),
        external_id: text(external_id),
        reason: text(reason),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}
