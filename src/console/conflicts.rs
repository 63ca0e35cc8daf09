//! Payloads that name another Serval ticket than the mapping does: both values, and the decision.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::fault::{Fault, render};
use super::flash::Flash;
use super::form::Action;
use super::page::{Numbers, Page, Tab, View};
use super::paging::{self, Pager, ROWS, cut};
use super::switch::refused;
use super::time::When;
use super::{Console, href};
use crate::operator::{Refusal, Why};
use crate::store::{Conflict, Decision, Origin};

#[derive(Template)]
#[template(path = "conflicts.html", config = "src/console/askama.toml")]
struct ConflictsPage {
    page: Page,
    conflicts: Vec<ConflictView>,
    decided_too: bool,
    pager: Pager,
}

/// A conflict as pages show it.
pub(super) struct ConflictView {
    pub(super) id: i64,
    pub(super) source: String,
    pub(super) name: String,
    pub(super) ticket_href: String,
    pub(super) mapped_to: String,
    pub(super) learned: String,
    pub(super) event: String,
    pub(super) event_href: String,
    pub(super) at: When,
    pub(super) decided: Option<(When, String)>,
}

/// A conflict, seen from now.
pub(super) fn conflict_view(conflict: Conflict, numbers: &Numbers, now: Timestamp) -> ConflictView {
    let decided = conflict.decided_at.map(|at| {
        let word = match conflict.decision.as_deref() {
            Some("keep") => "the mapping was kept",
            _ => "the mapping was replaced",
        };
        (When::at(at, now), word.to_owned())
    });
    ConflictView {
        id: conflict.id,
        ticket_href: href::ticket(&conflict.source, &conflict.external_id),
        event: conflict.event.to_string(),
        event_href: href::event(conflict.event),
        at: When::at(conflict.created_at, now),
        decided,
        name: numbers.name(&conflict.source, &conflict.external_id),
        source: conflict.source,
        mapped_to: conflict.mapped_to,
        learned: conflict.learned,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConflictQuery {
    decided: Option<String>,
    cursor: Option<String>,
}

/// The list.
pub(super) async fn show(
    view: View,
    Query(query): Query<ConflictQuery>,
) -> Result<Response, Fault> {
    let (desk, now) = (view.desk(), view.desk().now());
    let decided = paging::set(query.decided.as_ref());
    let cursor = paging::set(query.cursor.as_ref());
    let before = paging::cursor(cursor)?;
    let mut rows = desk
        .store()
        .conflicts(decided.is_some(), before, ROWS + 1)
        .await?;
    let pager = cut(
        &mut rows,
        "/conflicts",
        &[("decided", decided)],
        cursor,
        |row| row.id.to_string(),
    );
    let named = rows.iter();
    let named = named.map(|row| (row.source.as_str(), Some(row.external_id.as_str())));
    let numbers = view.numbers(named).await?;
    let page = ConflictsPage {
        page: view.page("Conflicts", Tab::Conflicts).await?,
        conflicts: rows
            .into_iter()
            .map(|row| conflict_view(row, &numbers, now))
            .collect(),
        decided_too: decided.is_some(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Keeps the mapping or replaces it.
pub(super) async fn decide(
    State(console): State<Console>,
    Path(id): Path<String>,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let id = id
        .parse()
        .map_err(|_| Fault::missing("No such conflict."))?;
    let decision = match fields.get("decision") {
        Some("keep") => Decision::Keep,
        Some("replace") => Decision::Replace,
        _ => return Err(Fault::malformed("The form says neither keep nor replace.")),
    };
    let back = fields.get("back").and_then(href::own_path);
    let done = async {
        let why = Why::read(fields.get("reason"))?;
        let desk = console.desk();
        desk.decide(&viewer.operator, id, decision, Origin::Console, &why)
            .await
    };
    let flash = match done.await {
        Ok(conflict) => Flash::done(match decision {
            Decision::Keep => format!("Kept: it stays on {}.", conflict.mapped_to),
            Decision::Replace => format!("Replaced: it is sent to {}.", conflict.learned),
        }),
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refused(&refusal),
    };
    Ok(flash.at(back.unwrap_or("/conflicts")))
}
