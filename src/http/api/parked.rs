//! `/api/v1/parked`: external tickets that wait for a mapping, as people know them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::{self, Page};
use crate::domain::ids::EventId;
use crate::http::{AppState, Problem};
use crate::sources::Title;
use crate::store::ParkedRow;

/// An external ticket that waits for a mapping.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
pub(crate) struct ParkedView {
    /// The source of the external ticket.
    source: String,
    /// The external ticket's id over there.
    external_id: String,
    /// Its number in the system itself, such as `INC0081927`.
    number: Option<String>,
    /// One line that says what it is about.
    title: Option<String>,
    /// The event that will be sent.
    #[schema(value_type = String)]
    event: EventId,
    /// Since when it waits.
    parked_at: Timestamp,
    /// Until when it waits.
    expires_at: Timestamp,
    /// Such as a Serval ticket that its payload named in vain.
    last_error: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of one source.
    source: Option<String>,
    /// At most so many; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List what is parked
///
/// External tickets that wait for a mapping, with number and title; the oldest first.
#[utoipa::path(
    get,
    path = "/parked",
    operation_id = "list_parked",
    tag = "events",
    params(ListQuery),
    responses(
        (status = 200, body = Page<ParkedView>),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<ParkedView>>, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let limit = input::limit(query.limit)?;
    let source = query.source.map(|name| input::source(&state, &name));
    let source = source.transpose()?;
    let after = query.cursor.as_deref().map(str::parse).transpose();
    let after =
        after.map_err(|_| input::bad_request("cursor is not one that this list gave out"))?;
    let rows = state
        .store
        .parked(source.as_ref(), after, limit + 1)
        .await?;
    let mut views = Vec::with_capacity(rows.len());
    // Objects can be large: one at a time.
    for row in rows {
        views.push(show(&state, row).await?);
    }
    Ok(Json(Page::new(
        views,
        limit,
        |view| view.event.to_string(),
        |view| view,
    )))
}

async fn show(state: &AppState, row: ParkedRow) -> Result<ParkedView, Problem> {
    let object = state.store.object(row.event).await?;
    let Title { number, title } = state.desk.title(&row.source, object.as_deref());
    Ok(ParkedView {
        source: row.source,
        external_id: row.external_id,
        number,
        title,
        event: row.event,
        parked_at: row.parked_at,
        expires_at: row.expires_at,
        last_error: row.last_error,
    })
}
