//! The list of events, newest first, with filters.

use askama::Template;
use axum::response::Response;

use crate::domain::event::EventState;
use crate::operators::Refusal;
use crate::store::{EventFilter, EventRow};
use crate::web::console::frame::{
    Fault, List, Numbers, Page, ROWS, Tab, View, field_error, href, render,
};

#[derive(Template)]
#[template(path = "events.html", config = "src/web/console/askama.toml")]
struct EventsPage<'a> {
    page: Page,
    list: List<'a, 6>,
    rows: Vec<EventRow>,
    numbers: Numbers,
    /// Why the external id of the filter names nothing.
    refused: Option<String>,
    /// Possible causes, where no event is found.
    absent: Vec<String>,
}

/// The external tickets of the events.
pub(crate) fn tickets(rows: &[EventRow]) -> impl Iterator<Item = (&str, Option<&str>)> {
    rows.iter()
        .map(|row| (row.source.as_str(), row.external_id.as_deref()))
}

/// The list.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let operators = view.operators();
    let filters = ["state", "source", "external_id", "reason", "since", "until"];
    let mut list = List::read(&view.fields, "/events", filters);
    let [word, source, external_id, reason, since, until] = list.set;
    let window = view.window(since, until)?;
    let read = |word| {
        let unknown = || Fault::malformed(format!("No state is called {word:?}."));
        EventState::parse(word).ok_or_else(unknown)
    };
    let source = source.map(|name| operators.source(name)).transpose()?;
    let external_id = match external_id {
        Some(typed) => Some(operators.external_filter(source.as_ref(), typed).await),
        None => None,
    };
    // The form is shown again with what was typed, and with what is wrong.
    let (external_id, refused) = match external_id.transpose() {
        Ok(external_id) => (external_id, None),
        Err(refusal @ Refusal::Store(_)) => return Err(refusal.into()),
        Err(refusal) => (None, Some(field_error(&refusal))),
    };
    let filter = EventFilter {
        state: word.map(read).transpose()?,
        source,
        external_id: external_id.map(|id| id.to_string()),
        reason: reason.map(str::to_owned),
        arrived: operators.store().arrived(&window).await?,
        before: list.after()?,
        limit: ROWS + 1,
    };
    let mut rows = if refused.is_none() {
        operators.store().events(&filter).await?
    } else {
        Vec::new()
    };
    let absent = if rows.is_empty() && refused.is_none() {
        absent(&view, &filter).await?
    } else {
        Vec::new()
    };
    list.cut(&mut rows, |row| row.id.to_string());
    // One query for the numbers of all rows.
    let numbers = view.numbers(tickets(&rows)).await?;
    let page = EventsPage {
        page: view.page("Events", Tab::Events).await?,
        list,
        rows,
        numbers,
        refused,
        absent,
    };
    Ok(render(&page))
}

/// Says what may be the cause that no event matches.
async fn absent(view: &View, filter: &EventFilter) -> Result<Vec<String>, Fault> {
    let (operators, source) = (view.operators(), filter.source.as_ref());
    let mut lines = Vec::new();
    if let Some(id) = &filter.external_id {
        lines.extend(operators.absent(source, id).await?);
    }
    lines.extend(operators.heard_of(source).await?);
    Ok(lines)
}
