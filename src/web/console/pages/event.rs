//! One event: its state, its history and its payload.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::payload::{Block, Payload};
use super::ticket::{Step, event_steps};
use crate::domain::event::EventState;
use crate::domain::ids::ExternalTicket;
use crate::store::{Action as Done, Body, EventDetail, EventRow};
use crate::web::console::frame::{Action, Fault, Flash, Page, Tab, View, href, render, words};

#[derive(Template)]
#[template(path = "event.html", config = "src/web/console/askama.toml")]
struct EventPage {
    page: Page,
    event: EventRow,
    number: Option<String>,
    title: Option<String>,
    meaning: &'static str,
    advice: Option<&'static str>,
    can_replay: bool,
    /// Sentences about what a replay does.
    outlook: Vec<String>,
    steps: Vec<Step>,
    payload: Payload,
}

fn missing() -> Fault {
    Fault::missing("No such event; an event id looks like evt_42.")
}

/// The page.
pub(crate) async fn show(view: View, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = view.operators().event_id(&id)?;
    let detail = view
        .operators()
        .store()
        .event(id)
        .await?
        .ok_or_else(missing)?;
    page(&view, detail, None).await
}

async fn page(
    view: &View,
    detail: EventDetail,
    payload: Option<Payload>,
) -> Result<Response, Fault> {
    let now = view.operators().now();
    let (id, state, reason) = (detail.row.id, detail.row.state, detail.row.reason.clone());
    let object = detail.payload.as_ref().map(Body::object);
    let title = (view.operators()).title(&detail.row.source, object.as_deref());
    let unasked = Payload::unasked(
        view,
        object.is_some(),
        format!("{}/payload", href::event(id)),
    );
    // Without an object there is nothing to send again.
    let is_stuck = matches!(
        state,
        EventState::Dead | EventState::Expired | EventState::Ignored
    );
    let is_final = words::is_final(reason.as_deref());
    let can_replay = is_stuck && !is_final && object.is_some();
    let outlook = match ticket(&detail).filter(|_| can_replay) {
        Some(ticket) => view.operators().outlook_of_one(&ticket).await?.words(),
        None => Vec::new(),
    };
    let event_page = EventPage {
        page: view.page(id.to_string(), Tab::Events).await?,
        can_replay,
        outlook,
        steps: event_steps(&detail, now),
        number: title.number,
        title: title.title,
        meaning: words::meaning(state, reason.as_deref()),
        advice: words::advice(state, reason.as_deref()),
        payload: payload.unwrap_or(unasked),
        event: detail.row,
    };
    Ok(render(&event_page))
}

/// Replays the event.
pub(crate) async fn replay(
    Path(id): Path<String>,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let id = operators.event_id(&id)?;
    let done = async {
        let why = view.why()?;
        operators.replay(view.who(), id, &why).await
    };
    let flash = Flash::of(done.await, |()| Flash::done("It is in the queue again."))?;
    Ok(flash.at(&href::event(id)))
}

/// Shows the payload, and records that in the audit list.
pub(crate) async fn reveal(
    Path(id): Path<String>,
    Action(view): Action,
) -> Result<Response, Fault> {
    let operators = view.operators();
    view.check_payloads()?;
    let id = operators.event_id(&id)?;
    let detail = operators.store().event(id).await?.ok_or_else(missing)?;
    let subject = Some(id.to_string());
    operators
        .note(view.who(), Done::Reveal, ticket(&detail), subject)
        .await?;
    let payload = blocks(&detail).map_or(Payload::Gone, Payload::Shown);
    page(&view, detail, Some(payload)).await
}

fn ticket(detail: &EventDetail) -> Option<ExternalTicket> {
    Some(ExternalTicket {
        source: detail.row.source.parse().ok()?,
        external_id: detail.row.external_id()?,
    })
}

fn blocks(detail: &EventDetail) -> Option<Vec<Block>> {
    let body = detail.payload.as_ref()?;
    let object = body.object();
    let mut blocks = vec![Block::new("The object that is sent to Serval", &object)];
    // Often the object is the whole body. It is shown once then.
    if object.len() < body.bytes.len() {
        blocks.push(Block::new("The whole body of the webhook", &body.bytes));
    }
    Some(blocks)
}
