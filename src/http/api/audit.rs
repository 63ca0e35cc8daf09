//! `/api/v1/audit`: what people did.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::input::{self, Page};
use crate::domain::ids::{ExternalId, ExternalTicket};
use crate::http::{AppState, Problem};
use crate::store::{Action, AuditFilter, AuditRow};

/// What somebody did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditView {
    /// Its number.
    id: i64,
    /// When.
    at: Timestamp,
    /// Who: the name of a token.
    actor: String,
    /// What.
    #[schema(schema_with = actions)]
    action: String,
    /// The source of the external ticket that it is about; null: about none, or it was erased.
    source: Option<String>,
    /// That external ticket's id over there.
    external_id: Option<String>,
    /// What else it is about: an event, a Serval ticket, how many.
    subject: Option<String>,
    /// Why, in the person's words.
    reason: Option<String>,
}

fn actions() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Action::ALL.map(Action::as_str)))
        .build()
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        let (source, external_id) = row.ticket.unzip();
        Self {
            id: row.id,
            at: row.at,
            actor: row.actor,
            action: row.action,
            source,
            external_id,
            subject: row.subject,
            reason: row.reason,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// About an external ticket of this source; needs `external_id`.
    source: Option<String>,
    /// About this external ticket; needs `source`.
    external_id: Option<String>,
    /// At most so many; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List what people did
///
/// What was done with `admin.tokens`, by the API or by the console, the newest first. What a token for
/// mappings wrote is told by the mapping's origin instead.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "list_audit",
    tag = "audit",
    params(ListQuery),
    responses(
        (status = 200, body = Page<AuditView>),
        (status = 400, description = "A wrong query"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<AuditView>>, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let limit = input::limit(query.limit)?;
    let before = query.cursor.as_deref().map(str::parse).transpose();
    let filter = AuditFilter {
        ticket: ticket(query.source, query.external_id)?,
        before: before
            .map_err(|_| input::bad_request("cursor is not one that this list gave out"))?,
        limit: limit + 1,
    };
    let rows = state.store.audit(&filter).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        AuditView::from,
    )))
}

/// The external ticket as it is stored: its source may not be configured any more.
fn ticket(
    source: Option<String>,
    external_id: Option<String>,
) -> Result<Option<ExternalTicket>, Problem> {
    match (source, external_id) {
        (None, None) => Ok(None),
        (Some(source), Some(external_id)) => Ok(Some(ExternalTicket {
            source: source
                .parse()
                .map_err(|error| input::bad_request(format!("source: {error}")))?,
            external_id: ExternalId::from_store(external_id),
        })),
        (Some(_), None) | (None, Some(_)) => Err(input::bad_request(
            "source and external_id name an external ticket together; give both or none",
        )),
    }
}
