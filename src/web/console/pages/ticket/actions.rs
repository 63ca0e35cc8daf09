//! The actions on an external ticket.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::page;
use crate::domain::ids::ExternalTicket;
use crate::operators::{MapTicket, Mapped, Refusal};
use crate::store::{Action as Done, Idle, Origin, Precondition, Versions, Written};
use crate::web::console::frame::{
    Action, Fault, Flash, Page, Tab, View, field_error, href, render, sentence,
};
use crate::web::console::pages::payload::{Block, Payload};

type TicketPath = Path<(String, String)>;

fn page_of(ticket: &ExternalTicket) -> String {
    href::ticket(ticket.source.as_str(), ticket.external_id.as_str())
}

/// The mapping must still be the one that the page showed.
fn condition(view: &View) -> Precondition {
    match view.fields.get("version") {
        Some(version) => Precondition::Matches(Versions::Of(vec![version.to_owned()])),
        None => Precondition::MatchesNot(Versions::Any),
    }
}

/// Writes the mapping, or shows the refusal beside the field.
pub(crate) async fn map(
    Path((source, external_id)): TicketPath,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let ticket = operators.ticket(&source, &external_id).await?;
    let typed = view.fields.get("ticket_id").unwrap_or_default();
    let before = operators.store().mapping(&ticket).await?;
    let done = async {
        let why = view.why()?;
        let named = operators.serval_ticket(Some(&ticket.source), typed).await?;
        // A form without a change keeps the messages that the mapping has.
        let kept = before.filter(|mapping| mapping.ticket_id == named.id.as_str());
        let map = MapTicket {
            ticket: ticket.clone(),
            ticket_id: typed.to_owned(),
            // The messages belong to that Serval ticket only.
            accounted_for: kept
                .map(|mapping| mapping.accounted_for)
                .unwrap_or_default(),
            origin: Origin::Console,
            condition: condition(&view),
            disconnects_others: view.fields.get("disconnect_others").is_some(),
        };
        operators.map(view.who(), map, &why).await
    };
    let refusal = match done.await {
        Ok(mapped) => return Ok(Flash::done(said(&mapped)).at(&page_of(&ticket))),
        Err(refusal @ Refusal::Store(_)) => return Err(refusal.into()),
        Err(refusal) => refusal,
    };
    // The page is shown again, with the typed text and the refusal beside the field.
    page(&view, &ticket, Some(field_error(&refusal)), None).await
}

/// Words about a mapping that was written.
fn said(mapped: &Mapped) -> String {
    let Written {
        mapping,
        still_connected,
        idle,
        ..
    } = &mapped.written;
    let mut text = format!("Mapped to {}.", mapping.ticket_id);
    text.push_str(match idle {
        None => " Waiting events are sent.",
        Some(Idle::Connected) => " Serval has linked the external ticket already.",
        Some(Idle::NoEvent) => " Nothing waits: no webhook has named it yet.",
        Some(Idle::BodyDeleted) => {
            " Nothing can be sent before its next webhook: the stored content is deleted."
        }
        Some(Idle::Nothing) => " Nothing waits for it.",
    });
    if !still_connected.is_empty() {
        text.push_str(" At Serval ");
        text.push_str(&still_connected.join(", "));
        text.push_str(" still has it, too; the button below takes it apart.");
    }
    if let Some(warning) = &mapped.warning {
        text.push(' ');
        text.push_str(&sentence(warning));
    }
    text
}

/// Takes a pair apart at Serval.
pub(crate) async fn disconnect(
    Path((source, external_id)): TicketPath,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let ticket = operators.stored_ticket(&source, &external_id).await?;
    let done = async {
        let why = view.why()?;
        let ticket_id = view.fields.get("ticket_id").unwrap_or_default();
        let force = view.fields.get("force").is_some();
        operators
            .take_apart(view.who(), &ticket, ticket_id, force, &why)
            .await
    };
    let flash = Flash::of(done.await, |()| {
        Flash::done("Serval is asked to unlink it.")
    })?;
    Ok(flash.at(&page_of(&ticket)))
}

/// Removes the mapping.
pub(crate) async fn release(
    Path((source, external_id)): TicketPath,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let ticket = operators.stored_ticket(&source, &external_id).await?;
    let unlinks = view.fields.get("disconnect").is_some();
    let done = async {
        let (why, condition) = (view.why()?, condition(&view));
        let operator = view.who();
        operators
            .unmap(operator, &ticket, condition, unlinks, &why)
            .await
    };
    let flash = Flash::of(done.await, |()| {
        Flash::done(if unlinks {
            "The mapping is removed. Serval is asked to unlink the external ticket."
        } else {
            "The mapping is removed. Nothing changed at Serval."
        })
    })?;
    Ok(flash.at(&page_of(&ticket)))
}

/// Replays an event.
pub(crate) async fn replay(
    Path((source, external_id)): TicketPath,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let ticket = operators.stored_ticket(&source, &external_id).await?;
    let done = async {
        let why = view.why()?;
        let event = operators.event_id(view.fields.get("event").unwrap_or_default())?;
        operators.replay(view.who(), event, &why).await
    };
    let flash = Flash::of(done.await, |()| Flash::done("It is in the queue again."))?;
    Ok(flash.at(&page_of(&ticket)))
}

/// Shows the newest stored object, and records that in the audit list.
pub(crate) async fn reveal(
    Path((source, external_id)): TicketPath,
    Action(view): Action,
) -> Result<Response, Fault> {
    // Stored objects may hold personal data. So they need a scope of their own, and each view is in
    // the audit.
    view.check_payloads()?;
    let operators = view.operators();
    let ticket = operators.stored_ticket(&source, &external_id).await?;
    let event = operators.store().best_object(&ticket).await?;
    // Retention may have deleted the body between the page and the click.
    let event = event.ok_or_else(|| Fault::missing("Its stored objects are deleted."))?;
    let subject = Some(event.to_string());
    operators
        .note(view.who(), Done::Reveal, Some(ticket.clone()), subject)
        .await?;
    let object = operators.store().object(event).await?.unwrap_or_default();
    let block = Block::new("The newest stored object, as it is sent to Serval", &object);
    page(&view, &ticket, None, Some(Payload::Shown(vec![block]))).await
}

#[derive(Template)]
#[template(path = "forget.html", config = "src/web/console/askama.toml")]
struct ForgetPage {
    page: Page,
    source: String,
    external_id: String,
    number: Option<String>,
    href: String,
    events: i64,
    has_mapping: bool,
}

/// Asks for a confirmation.
pub(crate) async fn confirm_forget(
    view: View,
    Path((source, external_id)): TicketPath,
) -> Result<Response, Fault> {
    let ticket = view
        .operators()
        .stored_ticket(&source, &external_id)
        .await?;
    let found = view
        .operators()
        .store()
        .ticket_page(&ticket, None, 1)
        .await?;
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
    Ok(render(&page))
}

/// Erases everything that is stored about the external ticket.
pub(crate) async fn forget(
    Path((source, external_id)): TicketPath,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let ticket = operators.stored_ticket(&source, &external_id).await?;
    let erased = async {
        let why = view.why()?;
        operators.erase(view.who(), &ticket, true, &why).await
    };
    let flash = Flash::of(erased.await, |erased| {
        let rows: u64 = erased.tables().map(|(_, n)| n).iter().sum();
        match erased.left {
            0 => Flash::done(format!(
                "Forgotten: {rows} rows were erased. Nothing changed at Serval."
            )),
            left => Flash::refused(format!(
                "{left} rows about it are left, because something arrived meanwhile. Forget it again."
            )),
        }
    })?;
    // A page of a forgotten ticket would be empty.
    let back = if flash.is_good {
        "/".to_owned()
    } else {
        page_of(&ticket)
    };
    Ok(flash.at(&back))
}
