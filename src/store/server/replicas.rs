//! This process and the others, as operators see them.

use std::time::Duration;

use jiff::Timestamp;

use super::now::server_now;
use super::replica::{Caller, Replica};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, row};

row! {
    /// A process that works, or worked a short time ago, on the database.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ReplicaInfo {
        /// Random; a process that is started again has another one.
        id: String,
        /// Its first beat.
        started_at: Timestamp,
        /// Its last beat.
        seen_at: Timestamp,
        /// Version of its program.
        version: String,
        /// Hash of its configuration.
        config_hash: String,
        /// False if the others take it for dead.
        is_alive: bool,
        /// True if it makes the calls.
        leads: bool,
    }
}

impl Store {
    /// Id of this process among the replicas; `None`: the database is a file, and there are none.
    pub fn replica_id(&self) -> Option<&str> {
        Some(self.shared.replica.as_ref()?.id())
    }

    /// The process that makes the calls.
    pub fn caller(&self) -> Caller {
        let replica = self.shared.replica.as_ref();
        replica.map_or(Caller::Me, Replica::caller)
    }

    /// Time since this replica last said that it is alive, if that is so long that it makes no calls.
    pub fn fenced_for(&self) -> Option<Duration> {
        self.shared.replica.as_ref()?.fenced_for()
    }

    /// Number of other replicas that are alive, and of those with another configuration.
    pub fn other_replicas(&self) -> (i64, i64) {
        let replica = self.shared.replica.as_ref();
        replica.map_or((0, 0), Replica::others)
    }

    /// Notes the hash of the configuration, which the beats tell the other replicas.
    pub fn configured(&self, hash: &str) {
        if let Some(replica) = &self.shared.replica {
            replica.configured(hash.to_owned());
        }
    }

    /// The replicas of the last day, those that are alive first, and of these the oldest. `None`: the database is a file, and there are none.
    pub async fn replicas(&self) -> Result<Option<Vec<ReplicaInfo>>, StoreError> {
        // One that was silent for as long as the fence allows makes no calls, whatever the row of the lead says.
        const LIST: &str = concat!(
            "-- store::replicas::list
            SELECT r.id, r.started_at, r.seen_at, r.version, r.config_hash, r.seen_at > at.now - $1,
                l.replica IS NOT NULL AND r.seen_at > at.now - $2
            FROM (SELECT ",
            server_now!(),
            " AS now) AS at JOIN replicas AS r ON TRUE LEFT JOIN lead AS l ON l.replica = r.id
            ORDER BY 6 DESC, r.started_at, r.id LIMIT 100"
        );
        let Some(replica) = &self.shared.replica else {
            return Ok(None);
        };
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let times = args![millis(replica.dead_after), millis(replica.fence())];
        Ok(Some(sql::fetch_all(&self.readers, LIST, times).await?))
    }
}
