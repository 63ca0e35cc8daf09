//! One event: what it is, what became of it, and what it brought.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::events::{EventLine, event_line};
use super::fault::{Fault, render};
use super::flash::Flash;
use super::form::Action;
use super::page::{Numbers, Page, Tab, View};
use super::payload::{Block, Payload};
use super::switch::refused;
use super::ticket::{Step, event_steps};
use super::{Console, href, words};
use crate::domain::event::EventState;
use crate::domain::ids::ExternalTicket;
use crate::operator::{Refusal, Why};
use crate::store::{Action as Done, EventDetail};

#[derive(Template)]
#[template(path = "event.html", config = "src/console/askama.toml")]
struct EventPage {
    page: Page,
    event: EventLine,
    subtype: Option<String>,
    number: Option<String>,
    title: Option<String>,
    meaning: &'static str,
    advice: Option<&'static str>,
    can_replay: bool,
    steps: Vec<Step>,
    payload: Payload,
}

fn none() -> Fault {
    Fault::missing("No such event; an event id looks like evt_42.")
}

/// The page.
pub(super) async fn show(view: View, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = view.desk().event_id(&id)?;
    let detail = view.desk().store().event(id).await?.ok_or_else(none)?;
    page(&view, detail, None).await
}

async fn page(
    view: &View,
    detail: EventDetail,
    payload: Option<Payload>,
) -> Result<Response, Fault> {
    let now = view.desk().now();
    let (id, state, reason) = (detail.row.id, detail.row.state, detail.row.reason.clone());
    let object = detail
        .payload
        .as_ref()
        .map(|(body, object)| &body[object.clone()]);
    let title = view.desk().title(&detail.row.source, object);
    let unasked = Payload::unasked(
        view,
        object.is_some(),
        format!("{}/payload", href::event(id)),
    );
    let is_stuck = matches!(state, EventState::Dead | EventState::Expired);
    let is_final = crate::domain::ingest::never_replayed(reason.as_deref()).is_some();
    let event_page = EventPage {
        page: view.page(id.to_string(), Tab::Events).await?,
        can_replay: is_stuck && !is_final && object.is_some(),
        steps: event_steps(&detail, now),
        subtype: detail.row.subtype.clone(),
        number: title.number,
        title: title.title,
        meaning: words::meaning(state, reason.as_deref()),
        advice: words::advice(state, reason.as_deref()),
        payload: payload.unwrap_or(unasked),
        event: event_line(detail.row, &Numbers::default(), now),
    };
    Ok(render(StatusCode::OK, &event_page))
}

/// Sends it again.
pub(super) async fn replay(
    State(console): State<Console>,
    Path(id): Path<String>,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let desk = console.desk();
    let id = desk.event_id(&id)?;
    let done = async {
        let why = Why::read(fields.get("reason"))?;
        desk.replay(&viewer.operator, id, &why).await
    };
    let flash = match done.await {
        Ok(()) => Flash::done("It is in the queue again."),
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refused(&refusal),
    };
    Ok(flash.at(&href::event(id)))
}

/// Shows what it brought, and writes down that it did.
pub(super) async fn reveal(
    State(console): State<Console>,
    Path(id): Path<String>,
    Action { viewer, .. }: Action,
) -> Result<Response, Fault> {
    if !console.desk().shows_payloads() {
        return Err(Fault::forbidden("admin.show_payloads is off."));
    }
    let desk = console.desk();
    let id = desk.event_id(&id)?;
    let detail = desk.store().event(id).await?.ok_or_else(none)?;
    let subject = Some(id.to_string());
    desk.note(&viewer.operator, Done::Reveal, ticket(&detail), subject)
        .await?;
    let payload = blocks(&detail).map_or(Payload::Gone, Payload::Shown);
    page(&View::of(&console, viewer), detail, Some(payload)).await
}

fn ticket(detail: &EventDetail) -> Option<ExternalTicket> {
    Some(ExternalTicket {
        source: detail.row.source.parse().ok()?,
        external_id: detail.row.external_id()?,
    })
}

fn blocks(detail: &EventDetail) -> Option<Vec<Block>> {
    let (body, object) = detail.payload.as_ref()?;
    let mut blocks = vec![Block::new("What is sent to Serval", &body[object.clone()])];
    if object.len() < body.len() {
        blocks.push(Block::new("The whole body of the webhook", body));
    }
    Some(blocks)
}
