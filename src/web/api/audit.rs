//! `/api/v1/audit`: actions of operators.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input;
use super::list::{List, Page, Paging};
use crate::domain::ids::ExternalId;
use crate::edge::window::Window;
use crate::store::{Action, AuditFilter, AuditRow};
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// An action of an operator.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditView {
    /// Number of the entry.
    pub(super) id: i64,
    /// Time of the action.
    pub(super) at: Timestamp,
    /// Operator: the name of a token.
    pub(super) actor: String,
    /// Kind of action.
    #[schema(schema_with = Action::schema)]
    pub(super) action: String,
    /// Source of the external ticket; null: the action was about none, or the ticket was erased.
    pub(super) source: Option<String>,
    /// Id of the external ticket in its system.
    pub(super) external_id: Option<String>,
    /// Further subject: an event, a Serval ticket, a number.
    pub(super) subject: Option<String>,
    /// Reason, in the operator's words.
    pub(super) reason: Option<String>,
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
    /// Only external tickets of this source.
    source: Option<String>,
    /// Only external tickets with this id.
    external_id: Option<String>,
    /// Only actions from this time on: RFC 3339, or a duration back from now, such as `24h`.
    since: Option<String>,
    /// Only actions before this time, likewise.
    until: Option<String>,
}

/// List the actions of operators
///
/// Actions with one of `admin.tokens`, through the API or the console, newest first. For writes with a
/// token for mappings, see the origin of the mapping.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "list_audit",
    tag = "audit",
    params(ListQuery, Paging),
    responses(
        (status = 200, body = Page<AuditView>),
        (status = 400, description = "A wrong query"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    list: List<ListQuery, i64>,
) -> Result<Json<Page<AuditView>>, Problem> {
    // As stored: the source may no longer be configured.
    let source = list.filter.source.as_deref().map(str::parse).transpose();
    let (since, until) = (list.filter.since.as_deref(), list.filter.until.as_deref());
    let window = Window::read(since, until, state.clock.now());
    let filter = AuditFilter {
        source: source.map_err(|error| input::bad_request(format!("source: {error}")))?,
        external_id: list.filter.external_id.clone().map(ExternalId::checked),
        window: window.map_err(input::bad_request)?,
        before: list.after,
        limit: list.rows(),
    };
    let rows = state.store.audit(&filter).await?;
    Ok(list.page(rows, |row| row.id, AuditView::from))
}
