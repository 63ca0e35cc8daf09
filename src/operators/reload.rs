//! A request of the API to reload the configuration. One task receives the requests, so that no two
//! reloads run at the same time.

use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// Result of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Reload)]
pub struct Reloaded {
    /// Keys with a new value; a source that was added or removed is `sources.<name>`.
    pub changed: Vec<String>,
    /// Keys that have another value in the files and keep the old one until a restart.
    pub needs_restart: Vec<String>,
    /// Values that are allowed but are probably a mistake.
    pub warnings: Vec<String>,
}

/// Channel for the result. An error lists the faults of the new configuration, none with a secret;
/// nothing was changed. A request that is dropped tells the caller that no daemon runs.
pub type ReloadRequest = oneshot::Sender<Result<Reloaded, Vec<String>>>;
