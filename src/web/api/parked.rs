//! `/api/v1/parked`: external tickets that wait for a mapping, with number and title.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input;
use super::list::{List, Page, Paging};
use crate::domain::ids::EventId;
use crate::sources::Title;
use crate::store::ParkedRow;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// An external ticket that waits for a mapping.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
pub(crate) struct ParkedView {
    /// Source of the external ticket.
    source: String,
    /// Id of the external ticket in its system.
    external_id: String,
    /// Number in its system, such as `INC0081927`.
    number: Option<String>,
    /// Title in one line.
    title: Option<String>,
    /// Event that will be sent.
    #[schema(value_type = String)]
    event: EventId,
    /// Start of the wait.
    parked_at: Timestamp,
    /// End of the wait.
    expires_at: Timestamp,
    /// The last error, such as an unknown Serval ticket in the payload.
    last_error: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this source.
    source: Option<String>,
}

/// List parked tickets
///
/// External tickets that wait for a mapping, with number and title, oldest first.
#[utoipa::path(
    get,
    path = "/parked",
    operation_id = "list_parked",
    tag = "events",
    params(ListQuery, Paging),
    responses(
        (status = 200, body = Page<ParkedView>),
        (status = 400, description = "A wrong query"),
        (status = 404, description = "No such source"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    list: List<ListQuery, EventId>,
) -> Result<Json<Page<ParkedView>>, Problem> {
    let source = input::source(&state, list.filter.source.clone())?;
    let rows = state
        .store
        .parked(source.as_ref(), list.after, list.rows())
        .await?;
    let mut views = Vec::with_capacity(rows.len());
    // One after the other, since objects can be large.
    for row in rows {
        views.push(show(&state, row).await?);
    }
    Ok(list.page(views, |view| view.event, |view| view))
}

async fn show(state: &AppState, row: ParkedRow) -> Result<ParkedView, Problem> {
    let object = state.store.object(row.event).await?;
    let Title { number, title } = state.operators.title(&row.source, object.as_deref());
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
