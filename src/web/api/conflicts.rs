//! `/api/v1/conflicts`: payloads that name another Serval ticket than they should.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::input;
use super::list::{List, Page, Paging};
use crate::operators::{Operator, Why};
use crate::store::{Conflict, Decision, Origin};
use crate::web::extract::{Path, RawBody};
use crate::web::problem::Problem;
use crate::web::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// True to include decided conflicts.
    #[serde(default)]
    #[param(required = false)]
    decided: bool,
}

/// List conflicts
///
/// Payloads that name another Serval ticket than the mapping, or the one that another source's external
/// ticket with the same id is mapped to. Newest first.
#[utoipa::path(
    get,
    path = "/conflicts",
    operation_id = "list_conflicts",
    tag = "conflicts",
    params(ListQuery, Paging),
    responses(
        (status = 200, body = Page<Conflict>),
        (status = 400, description = "A wrong query"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    list: List<ListQuery, i64>,
) -> Result<Json<Page<Conflict>>, Problem> {
    let rows = state
        .store
        .conflicts(list.filter.decided, list.after, list.rows())
        .await?;
    Ok(list.page(rows, |row| row.id, |row| row))
}

/// Decision of a conflict.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Decide)]
pub(crate) struct DecideBody {
    /// `keep` the mapping, or `replace` it by the Serval ticket that the payload names.
    #[schema(schema_with = Decision::schema)]
    decision: Decision,
}

/// Decide a conflict
#[utoipa::path(
    post,
    path = "/conflicts/{id}",
    operation_id = "decide_conflict",
    tag = "conflicts",
    params(("id" = i64, Path, description = "Number of the conflict")),
    request_body = DecideBody,
    responses(
        (status = 200, body = Conflict),
        (status = 400, description = "The body is not JSON, or the id is not a number"),
        (status = 404, description = "No such conflict"),
        (status = 409, description = "It is already decided, or the Serval ticket has another external ticket"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn decide(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    RawBody(body): RawBody,
) -> Result<Json<Conflict>, Problem> {
    let id = id
        .parse()
        .map_err(|_| input::bad_request("the id of a conflict is a number"))?;
    let body: DecideBody = input::json(&body)?;
    let why = Why::default();
    let conflict = state
        .operators
        .decide(&operator, id, body.decision, Origin::Api, &why)
        .await?;
    Ok(Json(conflict))
}
