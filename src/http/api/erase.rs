//! `/api/v1/erase`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input;
use crate::domain::ids::{ExternalId, SourceName};
use crate::http::extract::RawBody;
use crate::http::{AppState, Problem};
use crate::operator::{Operator, Why};

/// What to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erase)]
pub(crate) struct Body {
    /// The source of the external ticket.
    source: String,
    /// The external ticket's id over there.
    external_id: String,
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erased)]
pub(crate) struct ErasedView {
    /// The source of the external ticket.
    #[schema(value_type = String)]
    source: SourceName,
    /// The external ticket's id over there.
    #[schema(value_type = String)]
    external_id: ExternalId,
    /// Rows by table.
    #[schema(value_type = BTreeMap<String, u64>)]
    removed: BTreeMap<&'static str, u64>,
    /// Errors and answers about other external tickets that named this one, and are cleared.
    mentions_cleared: u64,
    /// Rows that still are about it.
    left: u64,
    /// Whether the write-ahead log was emptied into the database file.
    log_emptied: bool,
}

/// Erase an external ticket
///
/// Everything that is stored about it. Nothing changes at Serval.
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
        (status = 409, description = "A call about it is under way; try again in a moment"),
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
    let ticket = state.desk.stored_ticket(&source, &external_id)?;
    let erased = state
        .desk
        .erase(&operator, &ticket, &Why::default())
        .await?;
    Ok(Json(ErasedView {
        source: ticket.source,
        external_id: ticket.external_id,
        removed: erased.tables().into(),
        mentions_cleared: erased.mentions,
        left: erased.left,
        log_emptied: erased.is_log_empty,
    }))
}
