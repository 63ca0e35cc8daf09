//! One box for everything by which people know a ticket.

use askama::Template;
use axum::response::Response;

use crate::domain::find::Wanted;
use crate::sources::{TypedId, find};
use crate::store::Found;
use crate::web::console::frame::{Fault, Page, Tab, View, href, render, see_other};

#[derive(Template)]
#[template(path = "find.html", config = "src/web/console/askama.toml")]
struct FindPage {
    page: Page,
    hits: Vec<Hit>,
    /// Where to map what is not stored, for those that could be of a source.
    unknown: Vec<Hit>,
    /// A line about each source, where nothing was found.
    heard: Vec<String>,
}

struct Hit {
    href: String,
    name: String,
    source: String,
    detail: String,
}

/// Goes to what was found, when it is one thing; else shows what there is.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let query = view.fields.get("q").unwrap_or_default();
    let wanted = find::read(view.operators().kinds(), query);
    let found = view.operators().store().find(&wanted).await?;
    let hits: Vec<Hit> = found.into_iter().map(hit).collect();
    // Whoever pastes a link wants the page, not a list with one line.
    if let [only] = hits.as_slice() {
        return Ok(see_other(&only.href));
    }
    let mut page = view.page("Find", Tab::Elsewhere).await?;
    query.clone_into(&mut page.query);
    let (unknown, heard) = if hits.is_empty() && !query.is_empty() {
        let heard = view.operators().heard_of(None).await?;
        (could_be(&view, &wanted), heard)
    } else {
        (Vec::new(), Vec::new())
    };
    let page = FindPage {
        page,
        hits,
        unknown,
        heard,
    };
    Ok(render(&page))
}

fn hit(found: Found) -> Hit {
    match found {
        Found::Event {
            id,
            source,
            external_id,
        } => Hit {
            href: href::event(id),
            name: id.to_string(),
            source,
            detail: external_id.unwrap_or_default(),
        },
        Found::Ticket(ticket) => Hit {
            href: href::ticket(&ticket.source, &ticket.external_id),
            detail: match &ticket.mapped_to {
                Some(id) => format!("mapped to {id}"),
                None => "no mapping".to_owned(),
            },
            name: ticket.number.unwrap_or(ticket.external_id),
            source: ticket.source,
        },
    }
}

/// External tickets that nothing is known of yet, and that could be mapped ahead.
fn could_be(view: &View, wanted: &[Wanted]) -> Vec<Hit> {
    let operators = view.operators();
    let mut hits = Vec::new();
    for wanted in wanted {
        let Wanted::External(id) = wanted else {
            continue;
        };
        for source in operators.source_names() {
            let kind = operators.kind(source.as_str());
            // Only an id in exactly the form that webhooks have is offered. A mapping under another
            // form would never match an event.
            let typed = TypedId::Id(id.clone());
            if kind.is_some_and(|kind| kind.read_typed(id.as_str()).as_ref() == Ok(&typed)) {
                hits.push(Hit {
                    href: href::ticket(source.as_str(), id.as_str()),
                    name: id.to_string(),
                    source: source.to_string(),
                    detail: "nothing is stored about it yet".to_owned(),
                });
            }
        }
    }
    hits
}
