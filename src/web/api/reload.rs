//! `/api/v1/reload`: reads the configuration again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::oneshot;

use crate::operators::reload::Reloaded;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Read the configuration again
///
/// Reads the files and the environment of the start. If anything is wrong, nothing changes. SIGHUP does
/// the same.
#[utoipa::path(
    post,
    path = "/reload",
    operation_id = "reload",
    tag = "configuration",
    responses(
        (status = 200, description = "The new configuration is in force", body = Reloaded),
        (
            status = 422,
            description = "The new configuration is refused; `problems` tells why"
        ),
    )
)]
pub(super) async fn reload(State(state): State<AppState>) -> Result<Json<Reloaded>, Problem> {
    let (request, outcome) = oneshot::channel();
    // If no task receives requests, this drops the request, and there is no outcome.
    drop(state.reloads.send(request).await);
    match outcome.await {
        Ok(Ok(reloaded)) => Ok(Json(reloaded)),
        Ok(Err(problems)) => {
            let detail =
                "the new configuration is refused, and the old one stays in force; see problems";
            let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
            problem.problems = problems.into();
            Err(problem)
        }
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no running daemon to reload",
        )),
    }
}
