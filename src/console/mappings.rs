//! The mappings, by source or by Serval ticket. Each is changed on the page of its external ticket.

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
use crate::store::MappingFilter;

#[derive(Template)]
#[template(path = "mappings.html", config = "src/console/askama.toml")]
struct MappingsPage {
    page: Page,
    rows: Vec<Row>,
    sources: Vec<String>,
    source: String,
    ticket_id: String,
    is_filtered: bool,
    pager: Pager,
}

struct Row {
    source: String,
    external_id: String,
    name: String,
    href: String,
    ticket_id: String,
    origin: String,
    updated_at: When,
    connected_at: Option<When>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MappingsQuery {
    source: Option<String>,
    ticket_id: Option<String>,
    cursor: Option<String>,
}

/// The list.
pub(super) async fn show(
    view: View,
    Query(query): Query<MappingsQuery>,
) -> Result<Response, Fault> {
    let (desk, now) = (view.desk(), view.desk().now());
    let [source, ticket_id, cursor] =
        [&query.source, &query.ticket_id, &query.cursor].map(|filter| paging::set(filter.as_ref()));
    let after = cursor
        .map(|cursor| {
            let (source, id) = cursor.split_once('/')?;
            Some((source.to_owned(), id.to_owned()))
        })
        .map(|after| {
            after.ok_or_else(|| Fault::malformed("The address of this page has a wrong cursor."))
        })
        .transpose()?;
    let mut rows = desk
        .store()
        .mappings(&MappingFilter {
            source: source.map(|name| desk.source(name)).transpose()?,
            ticket_id: ticket_id.map(str::to_owned),
            after,
            limit: ROWS + 1,
        })
        .await?;
    let filters = [("source", source), ("ticket_id", ticket_id)];
    let pager = cut(&mut rows, "/mappings", &filters, cursor, |row| {
        format!("{}/{}", row.source, row.external_id)
    });
    let named = rows.iter();
    let named = named.map(|row| (row.source.as_str(), Some(row.external_id.as_str())));
    let numbers = view.numbers(named).await?;
    let page = MappingsPage {
        page: view.page("Mappings", Tab::Mappings).await?,
        rows: rows
            .into_iter()
            .map(|mapping| Row {
                name: numbers.name(&mapping.source, &mapping.external_id),
                href: href::ticket(&mapping.source, &mapping.external_id),
                origin: words::origin(&mapping.origin).to_owned(),
                updated_at: When::at(mapping.updated_at, now),
                connected_at: mapping.connected_at.map(|at| When::at(at, now)),
                source: mapping.source,
                external_id: mapping.external_id,
                ticket_id: mapping.ticket_id,
            })
            .collect(),
        sources: desk
            .source_names()
            .iter()
            .map(ToString::to_string)
            .collect(),
        is_filtered: source.is_some() || ticket_id.is_some(),
        source: source.unwrap_or_default().to_owned(),
        ticket_id: ticket_id.unwrap_or_default().to_owned(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}
