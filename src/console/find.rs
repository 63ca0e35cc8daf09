//! One box for everything by which people know a ticket.

use askama::Template;
use axum::extract::Query;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::fault::{Fault, render};
use super::href;
use super::page::{Page, Tab, View};
use crate::domain::find::{self, Wanted};
use crate::store::Found;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FindQuery {
    q: String,
}

#[derive(Template)]
#[template(path = "find.html", config = "src/console/askama.toml")]
struct FindPage {
    page: Page,
    hits: Vec<Hit>,
    /// Where to map what is not stored, for those that could be of a source.
    unknown: Vec<Hit>,
}

struct Hit {
    href: String,
    name: String,
    source: String,
    detail: String,
}

/// Goes to what was found, when it is one thing; else shows what there is.
pub(super) async fn show(
    view: View,
    Query(FindQuery { q }): Query<FindQuery>,
) -> Result<Response, Fault> {
    let wanted = find::read(&q);
    let found = view.desk().store().find(&wanted).await?;
    let hits: Vec<Hit> = found.into_iter().map(hit).collect();
    if let [only] = hits.as_slice() {
        return Ok(go(&only.href));
    }
    let mut page = view.page("Find", Tab::Elsewhere).await?;
    page.query = q;
    let unknown = if hits.is_empty() {
        could_be(&view, &wanted)
    } else {
        Vec::new()
    };
    let page = FindPage {
        page,
        hits,
        unknown,
    };
    Ok(render(StatusCode::OK, &page))
}

fn go(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
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
    let desk = view.desk();
    let mut hits = Vec::new();
    for wanted in wanted {
        let Wanted::External(kind, id) = wanted else {
            continue;
        };
        for source in desk.source_names() {
            if desk.kind(source.as_str()) == Some(*kind) {
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
