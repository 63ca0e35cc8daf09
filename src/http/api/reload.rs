//! `/api/v1/reload`: the configuration, read again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{AppState, Problem};
use crate::reload::{NotReloaded, Reloaded};

/// What a reload did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reload)]
pub(crate) struct ReloadView {
    /// The keys that have another value now; a source that came or went by `sources.<name>`.
    changed: Vec<String>,
    /// The keys that keep their old value until a restart.
    needs_restart: Vec<String>,
    /// What is allowed but should be looked at.
    warnings: Vec<String>,
}

/// Read the configuration again
///
/// The same files and environment as at the start. What is wrong is refused as a whole, and the old
/// configuration stays in force. The same as SIGHUP.
#[utoipa::path(
    post,
    path = "/reload",
    operation_id = "reload",
    tag = "configuration",
    responses(
        (status = 200, description = "In force", body = ReloadView),
        (
            status = 422,
            description = "The new configuration is refused; `problems` says why"
        ),
    )
)]
pub(super) async fn reload(State(state): State<AppState>) -> Result<Json<ReloadView>, Problem> {
    match state.reloads.ask().await {
        Ok(Reloaded {
            changed,
            needs_restart,
            warnings,
        }) => Ok(Json(ReloadView {
            changed,
            needs_restart,
            warnings,
        })),
        Err(NotReloaded::Refused(problems)) => {
            let detail =
                "the new configuration is refused, and the old one stays in force; see problems";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
            Err(problem.about_configuration(problems))
        }
        Err(error @ NotReloaded::Nobody) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.to_string(),
        )),
    }
}
