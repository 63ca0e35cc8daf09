//! What can be done about an external ticket.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{MapForm, Shown, page};
use crate::console::fault::{Fault, render, sentence};
use crate::console::flash::Flash;
use crate::console::form::{Action, Fields};
use crate::console::page::{Page, Tab, View};
use crate::console::payload::{Block, Payload};
use crate::console::switch::refused;
use crate::console::{Console, href};
use crate::domain::ids::ExternalTicket;
use crate::operator::{MapTicket, Refusal, Why};
use crate::store::{Action as Done, Origin, Precondition, Versions};

type TicketPath = Path<(String, String)>;

fn page_of(ticket: &ExternalTicket) -> String {
    href::ticket(ticket.source.as_str(), ticket.external_id.as_str())
}

/// What the form believes the mapping to be.
fn condition(fields: &Fields) -> Precondition {
    match fields.get("version") {
        Some(version) => Precondition::Matches(Versions::Of(vec![version.to_owned()])),
        None => Precondition::MatchesNot(Versions::Any),
    }
}

/// Writes the mapping, or says why not beside the field.
pub(in crate::console) async fn map(
    State(console): State<Console>,
    Path((source, external_id)): TicketPath,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let desk = console.desk();
    let ticket = desk.ticket(&source, &external_id)?;
    let typed = fields.get("ticket_id").unwrap_or_default();
    let before = desk.store().mapping(&ticket).await?;
    let kept = before.filter(|mapping| mapping.ticket_id == typed);
    let done = async {
        let why = Why::read(fields.get("reason"))?;
        let map = MapTicket {
            ticket: ticket.clone(),
            ticket_id: typed.to_owned(),
            // They are messages of that Serval ticket, and of no other.
            accounted_for: kept
                .map(|mapping| mapping.accounted_for)
                .unwrap_or_default(),
            origin: Origin::Console,
            condition: condition(&fields),
        };
        desk.map(&viewer.operator, map, &why).await
    };
    let refusal = match done.await {
        Ok((mapping, _)) => {
            let said = format!(
                "Mapped to {}. What waited for it is sent.",
                mapping.ticket_id
            );
            return Ok(Flash::done(said).at(&page_of(&ticket)));
        }
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refusal,
    };
    let error = refusal.to_string();
    let shown = Shown {
        form: MapForm {
            ticket_id: typed.to_owned(),
            why: fields.get("reason").unwrap_or_default().to_owned(),
            error: Some(sentence(
                error.strip_prefix("ticket_id: ").unwrap_or(&error),
            )),
        },
        status: StatusCode::UNPROCESSABLE_ENTITY,
        ..Shown::default()
    };
    page(&View::of(&console, viewer), &ticket, shown).await
}

/// Removes the mapping.
pub(in crate::console) async fn release(
    State(console): State<Console>,
    Path((source, external_id)): TicketPath,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let desk = console.desk();
    let ticket = desk.stored_ticket(&source, &external_id)?;
    let disconnects = fields.get("disconnect").is_some();
    let done = async {
        let why = Why::read(fields.get("reason"))?;
        let condition = condition(&fields);
        desk.unmap(&viewer.operator, &ticket, condition, disconnects, &why)
            .await
    };
    let flash = match done.await {
        Ok(()) if disconnects => {
            Flash::done("Released. Serval is asked to let go of the external ticket.")
        }
        Ok(()) => Flash::done("Released: the mapping is gone. Nothing changed at Serval."),
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refused(&refusal),
    };
    Ok(flash.at(&page_of(&ticket)))
}

/// Sends what was given up again.
pub(in crate::console) async fn replay(
    State(console): State<Console>,
    Path((source, external_id)): TicketPath,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let desk = console.desk();
    let ticket = desk.stored_ticket(&source, &external_id)?;
    let done = async {
        let why = Why::read(fields.get("reason"))?;
        let event = desk.event_id(fields.get("event").unwrap_or_default())?;
        desk.replay(&viewer.operator, event, &why).await
    };
    let flash = match done.await {
        Ok(()) => Flash::done("It is in the queue again."),
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refused(&refusal),
    };
    Ok(flash.at(&page_of(&ticket)))
}

/// Shows the newest stored object, and writes down that it did.
pub(in crate::console) async fn reveal(
    State(console): State<Console>,
    Path((source, external_id)): TicketPath,
    Action { viewer, .. }: Action,
) -> Result<Response, Fault> {
    if !console.desk().shows_payloads() {
        return Err(Fault::forbidden("admin.show_payloads is off."));
    }
    let desk = console.desk();
    let ticket = desk.stored_ticket(&source, &external_id)?;
    let event = desk.store().best_object(&ticket).await?;
    let event = event.ok_or_else(|| Fault::missing("No object of it is stored any more."))?;
    let subject = Some(event.to_string());
    desk.note(
        &viewer.operator,
        Done::Reveal,
        Some(ticket.clone()),
        subject,
    )
    .await?;
    let object = desk.store().object(event).await?.unwrap_or_default();
    let block = Block::new("The newest stored object, as it is sent to Serval", &object);
    let shown = Shown {
        payload: Some(Payload::Shown(vec![block])),
        ..Shown::default()
    };
    page(&View::of(&console, viewer), &ticket, shown).await
}

#[derive(Template)]
#[template(path = "forget.html", config = "src/console/askama.toml")]
struct ForgetPage {
    page: Page,
    source: String,
    external_id: String,
    number: Option<String>,
    href: String,
    events: i64,
    has_mapping: bool,
}

/// Asks whether it is meant.
pub(in crate::console) async fn confirm_forget(
    view: View,
    Path((source, external_id)): TicketPath,
) -> Result<Response, Fault> {
    let ticket = view.desk().stored_ticket(&source, &external_id)?;
    let found = view.desk().store().ticket_page(&ticket, None, 1).await?;
    let page = ForgetPage {
        page: view
            .page("Forget an external ticket", Tab::Elsewhere)
            .await?,
        href: page_of(&ticket),
        number: found.number.clone(),
        events: found.counts.iter().map(|(_, n)| n).sum(),
        has_mapping: found.mapping.is_some(),
        source: ticket.source.to_string(),
        external_id: ticket.external_id.to_string(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Erases what is stored about it.
pub(in crate::console) async fn forget(
    State(console): State<Console>,
    Path((source, external_id)): TicketPath,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let desk = console.desk();
    let ticket = desk.stored_ticket(&source, &external_id)?;
    let erased = async {
        let why = Why::read(fields.get("reason"))?;
        desk.erase(&viewer.operator, &ticket, &why).await
    };
    let erased = match erased.await {
        Ok(erased) => erased,
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => return Ok(refused(&refusal).at(&page_of(&ticket))),
    };
    let rows: u64 = erased.tables().map(|(_, n)| n).iter().sum();
    if erased.left > 0 {
        let said = format!(
            "{} rows about it were left, because something arrived meanwhile. Forget it again.",
            erased.left
        );
        return Ok(Flash::refused(said).at(&page_of(&ticket)));
    }
    let said = format!("Forgotten: {rows} rows were erased. Nothing changed at Serval.");
    Ok(Flash::done(said).at("/"))
}
