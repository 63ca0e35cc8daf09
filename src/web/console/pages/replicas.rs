//! The replicas on the overview.

use crate::operators::Operators;
use crate::store::{ReplicaInfo, StoreError};

/// The table of replicas.
pub(super) struct Replicas {
    pub(super) rows: Vec<Row>,
    /// True if a replica makes the calls.
    pub(super) has_leader: bool,
}

/// A replica.
pub(super) struct Row {
    pub(super) info: ReplicaInfo,
    pub(super) is_me: bool,
    /// Its part in the calls.
    pub(super) calls: &'static str,
    pub(super) has_same_config: bool,
}

impl Replicas {
    /// The table, if there is more than one.
    pub(super) async fn read(operators: &Operators) -> Result<Option<Self>, StoreError> {
        let replicas = operators.replicas().await?;
        if replicas.len() < 2 {
            return Ok(None);
        }
        let config_hash = operators.config_hash();
        let me = operators.store().replica_id();
        let rows = replicas.into_iter().map(|info| Row {
            is_me: me == Some(info.id.as_str()),
            calls: part(&info),
            has_same_config: info.config_hash == config_hash,
            info,
        });
        let rows: Vec<Row> = rows.collect();
        Ok(Some(Self {
            has_leader: rows.iter().any(|row| row.info.leads),
            rows,
        }))
    }
}

fn part(info: &ReplicaInfo) -> &'static str {
    match (info.leads, info.is_alive) {
        (true, _) => "makes the calls",
        (false, true) => "stands by",
        (false, false) => "counts as dead",
    }
}
