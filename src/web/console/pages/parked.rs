//! Parked events with their numbers and titles, and the mapping of many at once.

use std::collections::HashMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::operators::{MapTicket, Refusal, Why};
use crate::sources::Title;
use crate::store::{Origin, ParkedRow, Precondition, Versions};
use crate::web::console::frame::{
    Action, Fault, Flash, List, Page, ROWS, Tab, View, count, field_error, href, render_with,
};

/// Prefix of a field's name, before the source and the external id.
const FIELD: &str = "map:";

#[derive(Template)]
#[template(path = "parked.html", config = "src/web/console/askama.toml")]
struct ParkedPage<'a> {
    page: Page,
    list: List<'a, 1>,
    rows: Vec<Line>,
    /// Reason in the form that is shown again.
    reason: &'a str,
    /// Number of refused lines, in words.
    refused: Option<String>,
    done: Option<String>,
}

/// A parked event, and the field that maps it.
struct Line {
    parked: ParkedRow,
    title: Option<String>,
    field: String,
    refused: Refused,
}

/// Result of mapping many lines.
#[derive(Default)]
struct Outcome {
    mapped: i64,
    /// The refused lines by the names of their fields.
    refused: HashMap<String, Refused>,
}

#[derive(Default)]
struct Refused {
    typed: String,
    why: Option<String>,
}

/// The list.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    list(&view, Outcome::default()).await
}

async fn list(view: &View, mut outcome: Outcome) -> Result<Response, Fault> {
    let operators = view.operators();
    let mut list = List::read(&view.fields, "/parked", ["source"]);
    let [source] = list.set;
    let source = source.map(|name| operators.source(name)).transpose()?;
    let mut found = operators
        .store()
        .parked(source.as_ref(), list.after()?, ROWS + 1)
        .await?;
    list.cut(&mut found, |row| row.event.to_string());
    let refused = i64::try_from(outcome.refused.len()).unwrap_or(i64::MAX);
    let mut rows = Vec::with_capacity(found.len());
    // Objects can be large: one at a time.
    for mut parked in found {
        let object = operators.store().object(parked.event).await?;
        let Title { number, title } = operators.title(&parked.source, object.as_deref());
        parked.number = number.or(parked.number);
        let field = format!("{FIELD}{}/{}", parked.source, parked.external_id);
        rows.push(Line {
            refused: outcome.refused.remove(&field).unwrap_or_default(),
            parked,
            title,
            field,
        });
    }
    // A form that is shown again keeps what was typed.
    let (status, reason) = if refused > 0 {
        let reason = view.fields.get("reason").unwrap_or_default();
        (StatusCode::UNPROCESSABLE_ENTITY, reason)
    } else {
        (StatusCode::OK, "")
    };
    let page = ParkedPage {
        page: view.page("Parked", Tab::Parked).await?,
        list,
        rows,
        reason,
        refused: (refused > 0).then(|| count(refused, "line was", "lines were")),
        done: (outcome.mapped > 0).then(|| count(outcome.mapped, "ticket was", "tickets were")),
    };
    Ok(render_with(status, &page))
}

/// Maps every filled-in line. Refused lines are shown again, with the reason.
pub(crate) async fn map(Action(view): Action) -> Result<Response, Fault> {
    let back = href::list("/parked", &[("source", view.fields.get("source"))]);
    let why = match view.why() {
        Ok(why) => why,
        Err(refusal) => return Ok(Flash::of_refusal(refusal)?.at(&back)),
    };
    let outcome = map_all(&view, &why).await?;
    if !outcome.refused.is_empty() {
        return list(&view, outcome).await;
    }
    let flash = match outcome.mapped {
        0 => Flash::refused("No Serval ticket was filled in, so nothing was mapped."),
        n => {
            let tickets = count(n, "ticket was mapped", "tickets were mapped");
            Flash::done(format!("{tickets}. Waiting events are sent."))
        }
    };
    Ok(flash.at(&back))
}

async fn map_all(view: &View, why: &Why) -> Result<Outcome, Fault> {
    let operators = view.operators();
    let mut outcome = Outcome::default();
    for (name, typed) in view.fields.below(FIELD) {
        let Some((source, external_id)) = name.split_once('/') else {
            return Err(Fault::malformed(
                "The form does not name an external ticket.",
            ));
        };
        let done = async {
            let map = MapTicket {
                ticket: operators.ticket(source, external_id).await?,
                ticket_id: typed.to_owned(),
                accounted_for: Vec::new(),
                origin: Origin::Console,
                // Another operator may have mapped it since the page was opened.
                condition: Precondition::MatchesNot(Versions::Any),
                disconnects_others: false,
            };
            operators.map(view.who(), map, why).await
        };
        match done.await {
            Ok(_) => outcome.mapped += 1,
            Err(refusal @ Refusal::Store(_)) => return Err(refusal.into()),
            Err(refusal) => {
                let refused = Refused {
                    typed: typed.to_owned(),
                    why: Some(field_error(&refusal)),
                };
                outcome.refused.insert(format!("{FIELD}{name}"), refused);
            }
        }
    }
    Ok(outcome)
}
