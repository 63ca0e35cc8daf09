//! Dead events by reason, and the last calls that failed.

use jiff::Timestamp;

use crate::domain::ids::EventId;
use crate::store::attempt::{Attempt, attempt_columns};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, row};

/// Number of recent calls among which failed ones are searched.
const LOOK_BACK: i64 = 10_000;

row! {
    /// Dead events of one source that have the same reason.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeadGroup {
        /// Source, as stored.
        source: String,
        /// Reason.
        reason: String,
        /// Number of events.
        n: i64,
        /// Newest of them.
        example: EventId,
        /// Last error of the newest.
        last_error: Option<String>,
        /// Time when the newest died.
        died_at: Timestamp,
    }
}

row! {
    /// A call that failed.
    #[derive(Debug, Clone)]
    pub struct Failure {
        /// Event of the call.
        event: EventId,
        /// Source, as stored.
        source: String,
        /// External ticket.
        external_id: Option<String>,
        /// The call. Its outcome is `Retry`, `Held` or `Dead`.
        attempt: Attempt,
    }
}

impl Store {
    /// Returns the dead events by source and reason, the largest group first.
    pub async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        const GROUPS: &str = "\
            -- store::dead::groups
            SELECT g.source, g.reason, g.n, g.newest, e.last_error, e.updated_at
            FROM (SELECT source, COALESCE(reason, '') AS reason, COUNT(*) AS n, MAX(id) AS newest
                FROM events INDEXED BY events_dead WHERE state = 'dead'
                GROUP BY source, events.reason) AS g
            CROSS JOIN events AS e ON e.id = g.newest
            ORDER BY g.n DESC, g.source, g.reason";
        sql::fetch_all(&self.readers, GROUPS, args![]).await
    }

    /// Returns the last calls that failed, newest first.
    pub async fn failures(&self, limit: u32) -> Result<Vec<Failure>, StoreError> {
        const FAILURES: &str = concat!(
            "-- store::dead::failures
            SELECT a.event_id, e.source, x.external_id, ",
            attempt_columns!(),
            " FROM attempts AS a CROSS JOIN events AS e ON e.id = a.event_id
            LEFT JOIN external_tickets AS x ON x.id = e.external
            WHERE a.id > (SELECT MAX(id) FROM attempts) - $1
                AND a.outcome IN ('retry', 'held', 'dead')
            ORDER BY a.id DESC LIMIT $2"
        );
        sql::fetch_readable(&self.readers, FAILURES, args![LOOK_BACK, limit]).await
    }
}
