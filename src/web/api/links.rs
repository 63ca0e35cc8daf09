//! `/api/v1/links`: the Serval tickets that have an external ticket, mapped to it or not.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;

use super::list::Page;
use super::mappings::TicketPath;
use crate::operators::{Link, Operator, Why};
use crate::web::extract::{Path, Query};
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// List links
///
/// The Serval tickets that have the external ticket, as far as is known: that of its mapping, and those of
/// mappings that were corrected or removed.
#[utoipa::path(
    get,
    path = "/links/{source}/{external_id}",
    operation_id = "list_links",
    tag = "mappings",
    params(TicketPath),
    responses(
        (status = 200, body = Page<Link>),
        (status = 404, description = "No such source"),
        (status = 409, description = "Several records have the number"),
        (status = 422, description = "An id is not valid, or no webhook has named the number"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Path((source, external_id)): Path<(String, String)>,
) -> Result<Json<Page<Link>>, Problem> {
    let ticket = state.operators.known_ticket(&source, &external_id).await?;
    Ok(Json(Page::whole(state.operators.links(&ticket).await?)))
}

/// Path of a link.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "describes the path, which axum reads into a tuple"
)]
pub(crate) struct LinkPath {
    /// The name of a configured source.
    source: String,
    /// The external ticket, named by id, link or number.
    external_id: String,
    /// The Serval ticket, named by id, identifier or address.
    ticket_id: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// True if other external tickets of the source that the Serval ticket has may lose their links for a moment:
    /// Serval unlinks all of a source. They are connected again afterwards.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

/// Remove a link
///
/// Has Serval take the pair apart. The mapping stays as it is.
#[utoipa::path(
    delete,
    path = "/links/{source}/{external_id}/{ticket_id}",
    operation_id = "remove_link",
    tag = "mappings",
    params(LinkPath, RemoveQuery),
    responses(
        (status = 202, description = "The pair will be taken apart", body = Link),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source, or no such link"),
        (status = 409, description = "The Serval ticket has another external ticket of the source; see `force`"),
        (status = 422, description = "An id is not valid, or names nothing"),
    )
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path((source, external_id, named)): Path<(String, String, String)>,
    Query(query): Query<RemoveQuery>,
) -> Result<(StatusCode, Json<Link>), Problem> {
    let operators = &state.operators;
    let ticket = operators.known_ticket(&source, &external_id).await?;
    let links = operators.links(&ticket).await?;
    // What is stored exactly so is meant, whatever it looks like.
    let ticket_id = if links.iter().any(|link| link.ticket_id == named) {
        named
    } else {
        let found = operators
            .serval_ticket(Some(&ticket.source), &named)
            .await?;
        found.id.to_string()
    };
    let (force, why) = (query.force, Why::default());
    operators
        .take_apart(&operator, &ticket, &ticket_id, force, &why)
        .await?;
    let links = operators.links(&ticket).await?;
    let link = links.into_iter().find(|link| link.ticket_id == ticket_id);
    // The worker may have done it already.
    let link = link.unwrap_or(Link {
        ticket_id,
        connected_at: None,
        current: false,
        disconnecting: false,
    });
    Ok((StatusCode::ACCEPTED, Json(link)))
}
