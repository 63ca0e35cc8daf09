//! `/api/v1/erase`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input;
use crate::domain::ids::{ExternalId, SourceName};
use crate::operators::{Operator, Why};
use crate::web::extract::RawBody;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// External ticket to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erase)]
pub(crate) struct Body {
    /// Source of the external ticket.
    source: String,
    /// External ticket, named by id, link or number.
    external_id: String,
}

/// Result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erased)]
pub(crate) struct ErasedView {
    /// Source of the external ticket.
    #[schema(value_type = String)]
    source: SourceName,
    /// Id of the external ticket in its system.
    #[schema(value_type = String)]
    external_id: ExternalId,
    /// Number of removed rows by table.
    #[schema(value_type = BTreeMap<String, u64>)]
    removed: BTreeMap<&'static str, u64>,
    /// Number of errors and answers about other tickets that were cleared because they named this one.
    mentions_cleared: u64,
    /// Number of bodies of other tickets that name this one. They stay.
    naming_bodies: u64,
    /// Number of rows about the ticket that are left.
    left: u64,
    /// True if the write-ahead log was moved into the database file; null: the database is on a server, which keeps
    /// deleted rows for a while.
    log_emptied: Option<bool>,
}

/// Erase an external ticket
///
/// Erases everything that is stored about it. Nothing changes at Serval.
#[utoipa::path(
    post,
    path = "/erase",
    operation_id = "erase",
    tag = "events",
    request_body = Body,
    responses(
        (status = 200, body = ErasedView),
        (status = 400, description = "The body is not JSON"),
        (status = 404, description = "No such source"),
        (status = 409, description = "A call about it is in flight, so try again in a moment; or several records have the number"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn erase(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    RawBody(body): RawBody,
) -> Result<Json<ErasedView>, Problem> {
    let Body {
        source,
        external_id,
    } = input::json(&body)?;
    // The source need not be configured any more: its data must be removable after it was taken
    // out.
    let ticket = state.operators.stored_ticket(&source, &external_id).await?;
    let erased = state
        .operators
        .erase(&operator, &ticket, &Why::default())
        .await?;
    Ok(Json(ErasedView {
        source: ticket.source,
        external_id: ticket.external_id,
        removed: erased.tables().into(),
        mentions_cleared: erased.mentions,
        naming_bodies: erased.naming_bodies,
        left: erased.left,
        log_emptied: erased.is_log_empty,
    }))
}
