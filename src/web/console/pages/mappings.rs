//! The mappings, by source or by Serval ticket. Each is changed on the page of its external ticket.

use askama::Template;
use axum::response::Response;

use crate::domain::ids::SourceName;
use crate::operators::Refusal;
use crate::store::{Mapping, MappingFilter};
use crate::web::console::frame::{
    Fault, List, Numbers, Page, ROWS, Tab, View, href, render, words,
};

#[derive(Template)]
#[template(path = "mappings.html", config = "src/web/console/askama.toml")]
struct MappingsPage<'a> {
    page: Page,
    list: List<'a, 2>,
    rows: Vec<Mapping>,
    numbers: Numbers,
}

/// The list.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let operators = view.operators();
    let mut list = List::read(&view.fields, "/mappings", ["source", "ticket_id"]);
    let [source, ticket_id] = list.set;
    // The list is ordered by source and external id, so the cursor is the last row's.
    let after: Option<String> = list.after()?;
    let after = after.map(|after| {
        let wrong = || Fault::malformed("The address of this page has a wrong cursor.");
        let (source, id) = after.split_once('/').ok_or_else(wrong)?;
        Ok::<_, Fault>((source.to_owned(), id.to_owned()))
    });
    let source = source.map(|name| operators.source(name)).transpose()?;
    let ticket_id = match ticket_id {
        Some(typed) => Some(named(&view, source.as_ref(), typed).await?),
        None => None,
    };
    let filter = MappingFilter {
        source,
        ticket_id,
        after: after.transpose()?,
        limit: ROWS + 1,
    };
    let mut rows = operators.store().mappings(&filter).await?;
    list.cut(&mut rows, |row| {
        format!("{}/{}", row.source, row.external_id)
    });
    // One query for the numbers of all rows.
    let named = rows.iter();
    let named = named.map(|row| (row.source.as_str(), Some(row.external_id.as_str())));
    let numbers = view.numbers(named).await?;
    let page = MappingsPage {
        page: view.page("Mappings", Tab::Mappings).await?,
        list,
        rows,
        numbers,
    };
    Ok(render(&page))
}

/// The Serval ticket that was typed. A name that names none finds nothing.
async fn named(view: &View, source: Option<&SourceName>, typed: &str) -> Result<String, Fault> {
    match view.operators().serval_filter(source, typed).await {
        Ok(id) => Ok(id.to_string()),
        Err(refusal @ Refusal::Store(_)) => Err(refusal.into()),
        Err(_) => Ok(typed.to_owned()),
    }
}
