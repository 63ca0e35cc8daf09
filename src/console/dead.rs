//! What was given up, by what it died of, and its way back into the queue.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::events::{EventLine, event_line, tickets};
use super::fault::{Fault, render, sentence};
use super::flash::Flash;
use super::form::{Action, Fields};
use super::page::{Page, Tab, View, count, grouped};
use super::paging::{self, Pager, ROWS, cut};
use super::switch::refused;
use super::time::When;
use super::{Console, href, words};
use crate::domain::event::EventState;
use crate::operator::{Desk, Refusal, Why};
use crate::store::EventFilter;

#[derive(Template)]
#[template(path = "dead.html", config = "src/console/askama.toml")]
struct DeadPage {
    page: Page,
    groups: Vec<Group>,
}

#[derive(Template)]
#[template(path = "dead_group.html", config = "src/console/askama.toml")]
struct GroupPage {
    page: Page,
    source: String,
    reason: String,
    meaning: &'static str,
    advice: Option<&'static str>,
    rows: Vec<EventLine>,
    pager: Pager,
    replay_all: String,
    is_final: bool,
}

#[derive(Template)]
#[template(path = "dead_confirm.html", config = "src/console/askama.toml")]
struct ConfirmPage {
    page: Page,
    source: String,
    reason: String,
    n: u64,
    what: String,
    back: String,
}

struct Group {
    source: String,
    reason: String,
    n: String,
    href: String,
    replay: String,
    meaning: &'static str,
    advice: Option<&'static str>,
    last_error: Option<String>,
    died_at: When,
    example: String,
    example_href: String,
    /// Whether these are never replayed.
    is_final: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeadQuery {
    source: Option<String>,
    reason: Option<String>,
    cursor: Option<String>,
}

/// The groups, or the events of one.
pub(super) async fn show(view: View, Query(query): Query<DeadQuery>) -> Result<Response, Fault> {
    let source = paging::set(query.source.as_ref());
    let reason = paging::set(query.reason.as_ref());
    match (source, reason) {
        (Some(source), Some(reason)) => group(&view, source, reason, &query).await,
        (None | Some(_), None | Some(_)) => groups(&view).await,
    }
}

async fn groups(view: &View) -> Result<Response, Fault> {
    let now = view.desk().now();
    let found = view.desk().store().dead_groups().await?;
    let groups = found
        .into_iter()
        .map(|group| {
            let filters = [
                ("source", Some(group.source.as_str())),
                ("reason", Some(group.reason.as_str())),
            ];
            let reason = Some(group.reason.as_str());
            Group {
                href: href::list("/dead", &filters),
                replay: href::list("/dead/replay", &filters),
                n: grouped(group.n),
                meaning: words::meaning(EventState::Dead, reason),
                advice: words::advice(EventState::Dead, reason),
                is_final: is_final(&group.reason),
                last_error: group.last_error,
                died_at: When::at(group.died_at, now),
                example: group.example.to_string(),
                example_href: href::event(group.example),
                source: group.source,
                reason: group.reason,
            }
        })
        .collect();
    let page = view.page("Dead", Tab::Dead).await?;
    Ok(render(StatusCode::OK, &DeadPage { page, groups }))
}

/// Whether events that died of this are never sent again.
fn is_final(reason: &str) -> bool {
    crate::domain::ingest::never_replayed(Some(reason)).is_some()
}

fn filter(desk: &Desk, source: &str, reason: &str) -> Result<EventFilter, Fault> {
    let source = source
        .parse()
        .map_err(|_| Refusal::Missing(format!("no source is named {source:?}")))
        .or_else(|_| desk.source(source))?;
    Ok(EventFilter {
        state: Some(EventState::Dead),
        source: Some(source),
        reason: Some(reason.to_owned()),
        limit: u32::MAX,
        ..EventFilter::default()
    })
}

async fn group(
    view: &View,
    source: &str,
    reason: &str,
    query: &DeadQuery,
) -> Result<Response, Fault> {
    let (desk, now) = (view.desk(), view.desk().now());
    let cursor = paging::set(query.cursor.as_ref());
    let mut rows = desk
        .store()
        .events(&EventFilter {
            before: paging::cursor(cursor)?,
            limit: ROWS + 1,
            ..filter(desk, source, reason)?
        })
        .await?;
    let filters = [("source", Some(source)), ("reason", Some(reason))];
    let pager = cut(&mut rows, "/dead", &filters, cursor, |row| {
        row.id.to_string()
    });
    let numbers = view.numbers(tickets(&rows)).await?;
    let page = GroupPage {
        page: view.page(format!("Dead: {reason}"), Tab::Dead).await?,
        meaning: words::meaning(EventState::Dead, Some(reason)),
        advice: words::advice(EventState::Dead, Some(reason)),
        rows: rows
            .into_iter()
            .map(|row| event_line(row, &numbers, now))
            .collect(),
        pager,
        replay_all: href::list("/dead/replay", &filters),
        is_final: is_final(reason),
        source: source.to_owned(),
        reason: reason.to_owned(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Says how many would go, and asks whether they should.
pub(super) async fn confirm(view: View, Query(query): Query<DeadQuery>) -> Result<Response, Fault> {
    let source = paging::set(query.source.as_ref()).unwrap_or_default();
    let reason = paging::set(query.reason.as_ref()).unwrap_or_default();
    let filter = filter(view.desk(), source, reason)?;
    let n = view.desk().store().count_replayable(&filter).await?;
    let filters = [("source", Some(source)), ("reason", Some(reason))];
    let page = ConfirmPage {
        page: view.page("Replay", Tab::Dead).await?,
        n,
        what: count(i64::try_from(n).unwrap_or(i64::MAX), "event", "events"),
        back: href::list("/dead", &filters),
        source: source.to_owned(),
        reason: reason.to_owned(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Sends all of a group.
pub(super) async fn replay_all(
    State(console): State<Console>,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let source = fields.get("source").unwrap_or_default();
    let reason = fields.get("event_reason").unwrap_or_default();
    let desk = console.desk();
    let filter = filter(desk, source, reason)?;
    let done = async {
        let why = Why::read(fields.get("reason"))?;
        desk.replay_many(&viewer.operator, filter, &why).await
    };
    let flash = match done.await {
        Ok(n) => {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            let events = count(n, "event is", "events are");
            Flash::done(format!("{events} in the queue again."))
        }
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refused(&refusal),
    };
    Ok(flash.at("/dead"))
}

/// Sends those that were selected.
pub(super) async fn replay_selected(
    State(console): State<Console>,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let back = href::list(
        "/dead",
        &[
            ("source", fields.get("source")),
            ("reason", fields.get("event_reason")),
        ],
    );
    let why = match Why::read(fields.get("reason")) {
        Ok(why) => why,
        Err(refusal) => return Ok(refused(&refusal).at(&back)),
    };
    let flash = match replay_each(console.desk(), &viewer.operator, &fields, &why).await? {
        (0, None) => Flash::refused("Nothing was selected, so nothing was replayed."),
        (n, None) => {
            let events = count(n, "event is", "events are");
            Flash::done(format!("{events} in the queue again."))
        }
        (n, Some(fault)) => {
            let events = count(n, "event is", "events are");
            Flash::refused(format!(
                "{events} in the queue again; others are not. {fault}"
            ))
        }
    };
    Ok(flash.at(&back))
}

/// How many went, and why the first of the others did not.
async fn replay_each(
    desk: &Desk,
    operator: &crate::operator::Operator,
    fields: &Fields,
    why: &Why,
) -> Result<(i64, Option<String>), Fault> {
    let (mut replayed, mut fault) = (0, None);
    for name in fields.all("event") {
        let done = match desk.event_id(name) {
            Ok(id) => desk.replay(operator, id, why).await,
            Err(refusal) => Err(refusal),
        };
        match done {
            Ok(()) => replayed += 1,
            Err(Refusal::Store(error)) => return Err(error.into()),
            Err(refusal) => {
                let said = format!("{name}: {refusal}");
                fault.get_or_insert_with(|| sentence(&said));
            }
        }
    }
    Ok((replayed, fault))
}
