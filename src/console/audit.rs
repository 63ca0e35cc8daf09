//! Who did what, when and why.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::fault::{Fault, render};
use super::page::{Page, Tab, View};
use super::paging::{self, Pager, ROWS, cut};
use super::time::When;
use super::{href, words};
use crate::store::AuditFilter;

#[derive(Template)]
#[template(path = "audit.html", config = "src/console/askama.toml")]
struct AuditPage {
    page: Page,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    at: When,
    actor: String,
    action: String,
    source: Option<String>,
    name: String,
    href: String,
    subject: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditQuery {
    cursor: Option<String>,
}

/// The list.
pub(super) async fn show(view: View, Query(query): Query<AuditQuery>) -> Result<Response, Fault> {
    let (desk, now) = (view.desk(), view.desk().now());
    let cursor = paging::set(query.cursor.as_ref());
    let filter = AuditFilter {
        before: paging::cursor(cursor)?,
        limit: ROWS + 1,
        ..AuditFilter::default()
    };
    let mut rows = desk.store().audit(&filter).await?;
    let pager = cut(&mut rows, "/audit", &[], cursor, |row| row.id.to_string());
    let named = rows.iter().filter_map(|row| row.ticket.as_ref());
    let named = named.map(|(source, id)| (source.as_str(), Some(id.as_str())));
    let numbers = view.numbers(named).await?;
    let rows = rows
        .into_iter()
        .map(|row| {
            let (name, href) = match &row.ticket {
                Some((source, id)) => (numbers.name(source, id), href::ticket(source, id)),
                None => (String::new(), String::new()),
            };
            Row {
                at: When::at(row.at, now),
                actor: row.actor,
                action: words::action(&row.action).to_owned(),
                source: row.ticket.map(|(source, _)| source),
                name,
                href,
                subject: row.subject,
                reason: row.reason,
            }
        })
        .collect();
    let page = view.page("Audit", Tab::Audit).await?;
    Ok(render(StatusCode::OK, &AuditPage { page, rows, pager }))
}
