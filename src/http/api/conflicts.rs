//! `/api/v1/conflicts`: payloads that name another Serval ticket than the mapping does.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::input::{self, Page};
use crate::domain::ids::EventId;
use crate::http::extract::{Path, RawBody};
use crate::http::{AppState, Problem};
use crate::operator::{Operator, Why};
use crate::store::{Conflict, Decision, Origin};

/// A conflict as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conflict)]
pub(crate) struct ConflictView {
    /// Its number.
    id: i64,
    /// The source of the external ticket.
    source: String,
    /// The external ticket's id over there.
    external_id: String,
    /// The Serval ticket that the mapping said.
    mapped_to: String,
    /// The Serval ticket that the payload named.
    learned: String,
    /// The event with that payload.
    #[schema(value_type = String)]
    event: EventId,
    /// When it was found.
    created_at: Timestamp,
    /// When it was decided; null: not yet.
    decided_at: Option<Timestamp>,
    /// `keep` or `replace`; null: not yet.
    decision: Option<String>,
}

impl From<Conflict> for ConflictView {
    fn from(conflict: Conflict) -> Self {
        Self {
            id: conflict.id,
            source: conflict.source,
            external_id: conflict.external_id,
            mapped_to: conflict.mapped_to,
            learned: conflict.learned,
            event: conflict.event,
            created_at: conflict.created_at,
            decided_at: conflict.decided_at,
            decision: conflict.decision,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Whether those that are decided are listed, too.
    #[serde(default)]
    #[param(required = false)]
    decided: bool,
    /// At most so many; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List conflicts
///
/// Payloads that name another Serval ticket than the mapping does, the newest first.
#[utoipa::path(
    get,
    path = "/conflicts",
    operation_id = "list_conflicts",
    tag = "conflicts",
    params(ListQuery),
    responses(
        (status = 200, body = Page<ConflictView>),
        (status = 400, description = "A wrong query"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<ConflictView>>, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let limit = input::limit(query.limit)?;
    let before = query.cursor.as_deref().map(str::parse).transpose();
    let before =
        before.map_err(|_| input::bad_request("cursor is not one that this list gave out"))?;
    let rows = state
        .store
        .conflicts(query.decided, before, limit + 1)
        .await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        ConflictView::from,
    )))
}

/// How to decide a conflict.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Decide)]
pub(crate) struct DecideBody {
    /// `keep` the mapping, or `replace` it by what the payload named.
    #[schema(schema_with = decisions)]
    decision: Decision,
}

fn decisions() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["keep", "replace"]))
        .build()
}

/// Decide a conflict
#[utoipa::path(
    post,
    path = "/conflicts/{id}",
    operation_id = "decide_conflict",
    tag = "conflicts",
    params(("id" = i64, Path, description = "Its number")),
    request_body = DecideBody,
    responses(
        (status = 200, body = ConflictView),
        (status = 400, description = "The body is not JSON, or the id is no number"),
        (status = 404, description = "No such conflict"),
        (status = 409, description = "It is decided already, or the Serval ticket is taken"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn decide(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    RawBody(body): RawBody,
) -> Result<Json<ConflictView>, Problem> {
    let id = id
        .parse()
        .map_err(|_| input::bad_request("the id of a conflict is a number"))?;
    let body: DecideBody = input::json(&body)?;
    let why = Why::default();
    let conflict = state
        .desk
        .decide(&operator, id, body.decision, Origin::Api, &why)
        .await?;
    Ok(Json(conflict.into()))
}
