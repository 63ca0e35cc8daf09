//! Conflicts: payloads that name another Serval ticket than the mapping.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use crate::store::{Conflict, Decision, Origin};
use crate::web::console::frame::{
    Action, Fault, Flash, List, Numbers, Page, ROWS, Tab, View, href, render, words,
};

#[derive(Template)]
#[template(path = "conflicts.html", config = "src/web/console/askama.toml")]
struct ConflictsPage<'a> {
    page: Page,
    list: List<'a, 1>,
    rows: Vec<Conflict>,
    numbers: Numbers,
}

/// The list.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let mut list = List::read(&view.fields, "/conflicts", ["decided"]);
    let mut rows = view
        .operators()
        .store()
        .conflicts(list.is_filtered(), list.after()?, ROWS + 1)
        .await?;
    list.cut(&mut rows, |row| row.id.to_string());
    let named = rows.iter();
    let named = named.map(|row| (row.source.as_str(), Some(row.external_id.as_str())));
    let numbers = view.numbers(named).await?;
    let page = ConflictsPage {
        page: view.page("Conflicts", Tab::Conflicts).await?,
        list,
        rows,
        numbers,
    };
    Ok(render(&page))
}

/// Keeps the mapping or replaces it.
pub(crate) async fn decide(
    Path(id): Path<String>,
    Action(view): Action,
) -> Result<Response, Fault> {
    let id = id
        .parse()
        .map_err(|_| Fault::missing("No such conflict."))?;
    let decision = match view.fields.get("decision") {
        Some("keep") => Decision::Keep,
        Some("replace") => Decision::Replace,
        _ => return Err(Fault::malformed("The form must name keep or replace.")),
    };
    let done = async {
        let why = view.why()?;
        let operators = view.operators();
        operators
            .decide(view.who(), id, decision, Origin::Console, &why)
            .await
    };
    let flash = Flash::of(done.await, |conflict| {
        Flash::done(match decision {
            Decision::Keep => match &conflict.mapped_to {
                Some(mapped_to) => format!("Kept the mapping to {mapped_to}."),
                None => "It stays without a mapping.".to_owned(),
            },
            Decision::Replace => {
                format!("Replaced the mapping. It now names {}.", conflict.learned)
            }
        })
    })?;
    // The form is on two pages. `own_path` lets it lead to no other host.
    let back = view.fields.get("back").and_then(href::own_path);
    Ok(flash.at(back.unwrap_or("/conflicts")))
}
