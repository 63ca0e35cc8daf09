//! Teams, app instances and integrations: a small, fixed organization.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::pairs::PREFIX;
use super::reply::PageQuery;
use super::state::Shared;
use crate::serval::Code;

/// The id of the one team.
pub const TEAM: &str = "5d0c1f6e-6a51-4f0b-9a53-1f7c6f0a2b01";

/// The id of its `ServiceNow` integration.
pub const SERVICENOW_INTEGRATION: &str = "8f0c3a1d-2b7e-4c55-8d19-7e3b5a6c9d02";

/// The id of its Slack integration.
pub const SLACK_INTEGRATION: &str = "1b2c4d5e-6f70-4812-9a3b-4c5d6e7f8a03";

const SERVICENOW_APP: &str = "c7a9e1b3-5d2f-4e68-8b04-9f1a2c3d4e04";
const SLACK_APP: &str = "e3b5d7f9-1a2c-4b6d-9e8f-0a1b2c3d4e05";
const CREATED_AT: &str = "2026-01-05T09:00:00Z";

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v2/teams", get(teams))
        .route("/v2/app-instances", get(app_instances))
        .route("/v2/app-instances/{app_id}/integrations", get(integrations))
}

async fn teams(State(shared): State<Arc<Shared>>, Query(query): Query<PageQuery>) -> Response {
    let team = json!({
        "id": TEAM, "name": "IT", "prefix": PREFIX, "description": "Service desk",
        "organizationId": "org-mock", "createdAt": CREATED_AT, "userIds": [],
    });
    query.page(shared.config.dialect, &[team])
}

async fn app_instances(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PageQuery>,
) -> Response {
    let app = |id: &str, name: &str, service: &str| {
        json!({
            "id": id, "teamId": TEAM, "name": name, "service": service,
            "externalServiceInstanceId": name, "accessRequestsEnabled": false,
        })
    };
    let mut apps = vec![
        app(SERVICENOW_APP, "ServiceNow", "servicenow"),
        app(SLACK_APP, "Slack", "slack"),
    ];
    apps.retain(|_| query.team_id.as_deref().is_none_or(|team| team == TEAM));
    query.page(shared.config.dialect, &apps)
}

async fn integrations(
    State(shared): State<Arc<Shared>>,
    Path(app): Path<String>,
    Query(query): Query<PageQuery>,
) -> Response {
    let (id, domain) = match app.as_str() {
        SERVICENOW_APP => (SERVICENOW_INTEGRATION, "acme.service-now.com"),
        SLACK_APP => (SLACK_INTEGRATION, "slack.com"),
        _ => {
            return shared.refuse(Code::NotFound, "no such app instance");
        }
    };
    let integration = json!({
        "id": id, "appInstanceId": app, "apiDomain": domain, "createdAt": CREATED_AT,
    });
    query.page(shared.config.dialect, &[integration])
}
