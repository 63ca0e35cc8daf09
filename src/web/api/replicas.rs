//! `/api/v1/replicas`: the processes that share the database.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::list::Page;
use crate::store::ReplicaInfo;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// A process that works on the database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replica)]
pub(crate) struct ReplicaView {
    /// Id of the process, another one after each start; `only` where the database is a file.
    id: String,
    /// Start of the process.
    started_at: Timestamp,
    /// Its last sign of life, which it gives every two seconds.
    seen_at: Timestamp,
    /// Version of its program.
    version: String,
    /// Hash of its configuration, without what is about one process (addresses, limits of listeners, log) and without
    /// the values of secrets. It should be the same for all.
    config_hash: String,
    /// False if it was silent for so long that the others take it for dead.
    alive: bool,
    /// True if it makes the calls to Serval. At most one does.
    leads: bool,
}

impl From<ReplicaInfo> for ReplicaView {
    fn from(info: ReplicaInfo) -> Self {
        Self {
            id: info.id,
            started_at: info.started_at,
            seen_at: info.seen_at,
            version: info.version,
            config_hash: info.config_hash,
            alive: info.is_alive,
            leads: info.leads,
        }
    }
}

/// List the replicas
///
/// The processes that share a database on a server: those that are alive, oldest first, then those that died within the
/// last day. Where the database is a file there is one process, this one. At most 100, in one page.
#[utoipa::path(
    get,
    path = "/replicas",
    operation_id = "list_replicas",
    tag = "replicas",
    responses((status = 200, body = Page<ReplicaView>))
)]
pub(super) async fn list(
    State(state): State<AppState>,
) -> Result<Json<Page<ReplicaView>>, Problem> {
    let replicas = state.operators.replicas().await?.into_iter();
    Ok(Json(Page::whole(replicas.map(ReplicaView::from).collect())))
}
