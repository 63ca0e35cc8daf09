//! What waits for a mapping, as people know it, and the mapping of many at once.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::fault::{Fault, render, sentence};
use super::flash::Flash;
use super::form::{Action, Fields};
use super::page::{Page, Tab, View, count};
use super::paging::{self, Pager, ROWS, cut};
use super::time::When;
use super::{Console, href};
use crate::operator::{MapTicket, Operator, Refusal, Why};
use crate::store::{Origin, ParkedRow, Precondition, Versions};

/// Before the source and the external id in the name of a field.
const FIELD: &str = "map:";

#[derive(Template)]
#[template(path = "parked.html", config = "src/console/askama.toml")]
struct ParkedPage {
    page: Page,
    rows: Vec<Row>,
    sources: Vec<String>,
    source: String,
    pager: Pager,
    cursor: String,
    reason: String,
    /// How many of those that were typed were refused.
    refused: Option<String>,
    done: Option<String>,
}

struct Row {
    href: String,
    source: String,
    external_id: String,
    number: Option<String>,
    title: Option<String>,
    parked_at: When,
    expires_at: When,
    last_error: Option<String>,
    field: String,
    typed: String,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ParkedQuery {
    source: Option<String>,
    cursor: Option<String>,
}

/// What became of what was typed.
#[derive(Default)]
struct Outcome {
    mapped: i64,
    /// The field, what was typed, and why it was refused.
    refused: Vec<(String, String, String)>,
}

/// The list.
pub(super) async fn show(view: View, Query(query): Query<ParkedQuery>) -> Result<Response, Fault> {
    list(&view, &query, Outcome::default(), "").await
}

async fn list(
    view: &View,
    query: &ParkedQuery,
    outcome: Outcome,
    reason: &str,
) -> Result<Response, Fault> {
    let desk = view.desk();
    let now = desk.now();
    let name = paging::set(query.source.as_ref());
    let source = name.map(|name| desk.source(name)).transpose()?;
    let cursor = paging::set(query.cursor.as_ref());
    let after = paging::cursor(cursor)?;
    let mut found = desk
        .store()
        .parked(source.as_ref(), after, ROWS + 1)
        .await?;
    let filters = [("source", name)];
    let pager = cut(&mut found, "/parked", &filters, cursor, |row| {
        row.event.to_string()
    });
    let mut rows = Vec::with_capacity(found.len());
    // Objects can be large: one at a time.
    for row in found {
        let object = desk.store().object(row.event).await?;
        let title = desk.title(&row.source, object.as_deref());
        rows.push(shown(row, title, &outcome, now));
    }
    let refused = i64::try_from(outcome.refused.len()).unwrap_or(i64::MAX);
    let page = ParkedPage {
        page: view.page("Parked", Tab::Parked).await?,
        rows,
        sources: desk
            .source_names()
            .iter()
            .map(ToString::to_string)
            .collect(),
        source: name.unwrap_or_default().to_owned(),
        pager,
        cursor: cursor.unwrap_or_default().to_owned(),
        reason: reason.to_owned(),
        refused: (refused > 0).then(|| count(refused, "line was", "lines were")),
        done: (outcome.mapped > 0).then(|| count(outcome.mapped, "ticket was", "tickets were")),
    };
    let status = if refused > 0 {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    Ok(render(status, &page))
}

fn shown(
    row: ParkedRow,
    title: crate::sources::Title,
    outcome: &Outcome,
    now: jiff::Timestamp,
) -> Row {
    let field = format!("{FIELD}{}/{}", row.source, row.external_id);
    let mut refused = outcome.refused.iter();
    let fault = refused.find(|(name, ..)| *name == field);
    Row {
        href: href::ticket(&row.source, &row.external_id),
        number: title.number.or(row.number),
        title: title.title,
        parked_at: When::at(row.parked_at, now),
        expires_at: When::at(row.expires_at, now),
        last_error: row.last_error,
        typed: fault.map(|(_, typed, _)| typed.clone()).unwrap_or_default(),
        error: fault.map(|(.., why)| why.clone()),
        source: row.source,
        external_id: row.external_id,
        field,
    }
}

/// Maps every line that was filled in. What is refused is shown again, with the reason.
pub(super) async fn map(
    State(console): State<Console>,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let query = ParkedQuery {
        source: fields.get("source").map(str::to_owned),
        cursor: fields.get("cursor").map(str::to_owned),
    };
    let reason = fields.get("reason").unwrap_or_default().to_owned();
    let back = href::list("/parked", &[("source", query.source.as_deref())]);
    let why = match Why::read(Some(&reason)) {
        Ok(why) => why,
        Err(refusal) => return Ok(super::switch::refused(&refusal).at(&back)),
    };
    let outcome = map_all(&console, &viewer.operator, &fields, &why).await?;
    if outcome.refused.is_empty() {
        let flash = match outcome.mapped {
            0 => Flash::refused("No Serval ticket was filled in, so nothing was mapped."),
            n => {
                let tickets = count(n, "ticket was mapped", "tickets were mapped");
                Flash::done(format!("{tickets}. What waited for them is sent."))
            }
        };
        return Ok(flash.at(&back));
    }
    let view = View::of(&console, viewer);
    list(&view, &query, outcome, &reason).await
}

async fn map_all(
    console: &Console,
    operator: &Operator,
    fields: &Fields,
    why: &Why,
) -> Result<Outcome, Fault> {
    let desk = console.desk();
    let mut outcome = Outcome::default();
    for (name, typed) in fields.below(FIELD) {
        let Some((source, external_id)) = name.split_once('/') else {
            return Err(Fault::malformed("The form names no external ticket."));
        };
        let done = async {
            let map = MapTicket {
                ticket: desk.ticket(source, external_id)?,
                ticket_id: typed.to_owned(),
                accounted_for: Vec::new(),
                origin: Origin::Console,
                // Somebody else may have mapped it since the page was opened.
                condition: Precondition::MatchesNot(Versions::Any),
            };
            desk.map(operator, map, why).await
        };
        match done.await {
            Ok(_) => outcome.mapped += 1,
            Err(Refusal::Store(error)) => return Err(error.into()),
            Err(refusal) => {
                let error = refusal.to_string();
                let words = sentence(error.strip_prefix("ticket_id: ").unwrap_or(&error));
                let field = format!("{FIELD}{name}");
                outcome.refused.push((field, typed.to_owned(), words));
            }
        }
    }
    Ok(outcome)
}
