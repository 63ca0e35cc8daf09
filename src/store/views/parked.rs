//! External tickets that wait for a mapping.

use jiff::Timestamp;

use crate::domain::ids::{EventId, SourceName};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, row};

row! {
    /// An external ticket that waits for a mapping.
    #[derive(Debug, Clone)]
    pub struct ParkedRow {
        /// Event that will be sent.
        event: EventId,
        /// Source, as stored.
        source: String,
        /// External ticket.
        external_id: String,
        /// Number of the external ticket.
        number: Option<String>,
        /// Time since when it is parked.
        parked_at: Timestamp,
        /// Time of expiry.
        expires_at: Timestamp,
        /// Last error, such as a Serval ticket in the payload that does not exist.
        last_error: Option<String>,
    }
}

impl Store {
    /// Lists external tickets that wait for a mapping, oldest event first, after the event `after`.
    pub async fn parked(
        &self,
        source: Option<&SourceName>,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<ParkedRow>, StoreError> {
        const OF_ALL: &str = "\
            -- store::parked::of_all
            SELECT e.id, e.source, COALESCE(x.external_id, ''), x.number, e.updated_at, e.due_at,
                e.last_error
            FROM events AS e INDEXED BY events_state
            LEFT JOIN external_tickets AS x ON x.id = e.external
            WHERE e.state = 'parked' AND e.id > $1 ORDER BY e.id LIMIT $2";
        // The ids of one source come from an index that covers the subquery. Only the rows that are
        // shown are read, however many another source has.
        const OF_SOURCE: &str = "\
            -- store::parked::of_source
            SELECT e.id, e.source, COALESCE(x.external_id, ''), x.number, e.updated_at, e.due_at,
                e.last_error
            FROM (SELECT id FROM events INDEXED BY events_waiting
                WHERE state = 'parked' AND source = $3 AND id > $1 ORDER BY id LIMIT $2) AS p
            CROSS JOIN events AS e ON e.id = p.id
            LEFT JOIN external_tickets AS x ON x.id = e.external
            ORDER BY e.id";
        let after = after.unwrap_or(EventId(0));
        let (statement, args) = match source {
            Some(source) => (OF_SOURCE, args![after, limit, source]),
            None => (OF_ALL, args![after, limit]),
        };
        sql::fetch_all(&self.readers, statement, args).await
    }
}
