//! The processes that share the database.

use super::service::Operators;
use crate::store::{ReplicaInfo, StoreError};

/// Id of the process whose database is a file.
const ONLY: &str = "only";

impl Operators {
    /// The replicas of the last day, those that are alive first. Where the database is a file, this process is the only one.
    pub async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        if let Some(replicas) = self.store.replicas().await? {
            return Ok(replicas);
        }
        Ok(vec![ReplicaInfo {
            id: ONLY.to_owned(),
            started_at: self.started_at,
            seen_at: self.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: self.config_hash(),
            is_alive: true,
            leads: true,
        }])
    }

    /// Hash of the configuration of this process.
    pub fn config_hash(&self) -> String {
        self.rules.now().config_hash.clone()
    }

    /// Says that replicas run with different configurations, and what to do.
    pub fn config_difference(&self) -> Option<String> {
        let (_, others) = self.store.other_replicas();
        let subject = match others {
            0 => return None,
            1 => "1 other replica runs".to_owned(),
            n => format!("{n} other replicas run"),
        };
        Some(format!(
            "{subject} with another configuration: give all the same one, then reload or restart those that have the old \
             one"
        ))
    }

    /// Says that this replica makes no calls, because it cannot tell the others that it is alive.
    pub(super) fn fenced(&self) -> Option<String> {
        let seconds = self.store.fenced_for()?.as_secs();
        Some(format!(
            "this replica makes no calls: for {seconds} s it could not write to the database that it is alive"
        ))
    }
}
