//! Who did what, when and why.

use askama::Template;
use axum::response::Response;

use crate::store::{AuditFilter, AuditRow};
use crate::web::console::frame::{
    Fault, List, Numbers, Page, ROWS, Tab, View, href, render, words,
};

#[derive(Template)]
#[template(path = "audit.html", config = "src/web/console/askama.toml")]
struct AuditPage<'a> {
    page: Page,
    list: List<'a, 2>,
    rows: Vec<AuditRow>,
    numbers: Numbers,
}

/// The list.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let mut list = List::read(&view.fields, "/audit", ["since", "until"]);
    let [since, until] = list.set;
    let filter = AuditFilter {
        window: view.window(since, until)?,
        before: list.after()?,
        // One row more than is shown tells whether there is a next page.
        limit: ROWS + 1,
        ..AuditFilter::default()
    };
    let mut rows = view.operators().store().audit(&filter).await?;
    list.cut(&mut rows, |row| row.id.to_string());
    let named = rows.iter().filter_map(|row| row.ticket.as_ref());
    let named = named.map(|(source, id)| (source.as_str(), Some(id.as_str())));
    let numbers = view.numbers(named).await?;
    let page = AuditPage {
        page: view.page("Audit", Tab::Audit).await?,
        list,
        rows,
        numbers,
    };
    Ok(render(&page))
}
