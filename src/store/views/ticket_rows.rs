//! Rows about one external ticket.
//!
//! They are ordered by an expression: Postgres would go over the rows of all external tickets in the order of a column.

use jiff::Timestamp;

use super::event::ChangeRow;
use super::events::EventRow;
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::store::attempt::{Attempt, attempt_columns};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::queue::on_mapped::{Candidate, best, candidates};
use crate::store::sql::{self, args, external, json, row};

/// Maximum number of rows of each kind beside the events. Only a script makes more.
pub(super) const MAX_BESIDE: u32 = 500;
/// Maximum number of calls, and of changes, on one page: the newest.
const MAX_OF_EVENTS: i64 = 1000;

row! {
    /// A pair that Serval has.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Connection {
        /// Serval ticket.
        ticket_id: String,
        /// Time of the connect call.
        connected_at: Timestamp,
        /// Event that was sent.
        event: EventId,
    }
}

row! {
    /// A pair that waits to be unlinked.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PendingUnlink {
        /// Serval ticket.
        ticket_id: String,
        /// Time of the request.
        asked_at: Timestamp,
        /// Time of the next try.
        due_at: Timestamp,
        /// Error of the last try.
        last_error: Option<String>,
    }
}

row! {
    /// A connect call with its event.
    pub(super) struct Call {
        event: EventId,
        attempt: Attempt,
    }
}

impl Store {
    /// Returns the event whose object represents an external ticket best.
    pub async fn best_object(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Option<EventId>, StoreError> {
        const NEWEST: &str = "\
            -- store::ticket_rows::newest
            SELECT p.event_id FROM external_tickets AS x JOIN payloads AS p ON p.event_id = x.newest
            WHERE x.source = $1 AND x.external_id = $2";
        const CANDIDATES: &str = concat!(
            "-- store::ticket_rows::candidates\nSELECT e.id, e.state, e.rank_major, e.rank_minor",
            candidates!(external!("$1", "$2"))
        );
        let args = || args![&ticket.source, &ticket.external_id];
        let newest: Option<EventId> = sql::fetch_optional(&self.readers, NEWEST, args()).await?;
        if newest.is_some() {
            return Ok(newest);
        }
        let candidates: Vec<Candidate> = sql::fetch_all(&self.readers, CANDIDATES, args()).await?;
        Ok(best(candidates.iter()).map(|best| best.event))
    }

    /// Returns the newest events of an external ticket that are older than `before`.
    pub(super) async fn ticket_events(
        &self,
        ticket: &ExternalTicket,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        // The index of external tickets is not in the order of arrival. So ids are sorted first, and
        // only the rows of those that are shown are read.
        const IDS: &str = concat!(
            "-- store::ticket_rows::events
            SELECT id FROM events INDEXED BY events_external
            WHERE external = ",
            external!("$1", "$2"),
            " AND id < $3 ORDER BY id + 0 DESC LIMIT $4"
        );
        let before = before.unwrap_or(EventId(i64::MAX));
        let args = args![&ticket.source, &ticket.external_id, before, limit];
        let ids: Vec<i64> = sql::fetch_all(&self.readers, IDS, args).await?;
        self.event_rows(&ids).await
    }

    pub(super) async fn received_at(
        &self,
        event: EventId,
    ) -> Result<Option<Timestamp>, StoreError> {
        const AT: &str = "\
            -- store::ticket_rows::received_at
            SELECT received_at FROM events WHERE id = $1";
        sql::fetch_optional(&self.readers, AT, args![event]).await
    }

    pub(super) async fn ticket_counts(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Vec<(EventState, i64)>, StoreError> {
        const COUNTS: &str = concat!(
            "-- store::ticket_rows::counts
            SELECT state, COUNT(*) FROM events INDEXED BY events_external
            WHERE external = ",
            external!("$1", "$2"),
            " GROUP BY state"
        );
        let args = args![&ticket.source, &ticket.external_id];
        sql::fetch_all(&self.readers, COUNTS, args).await
    }

    /// Returns the pairs that Serval has of an external ticket.
    pub async fn connections(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Vec<Connection>, StoreError> {
        const CONNECTIONS: &str = concat!(
            "-- store::ticket_rows::connections
            SELECT ticket_id, connected_at, event_id FROM connections
            WHERE external = ",
            external!("$1", "$2"),
            " ORDER BY ticket_id LIMIT $3"
        );
        let args = args![&ticket.source, &ticket.external_id, MAX_BESIDE];
        sql::fetch_all(&self.readers, CONNECTIONS, args).await
    }

    /// Returns the pairs of an external ticket that wait to be unlinked.
    pub async fn unlinks_of(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Vec<PendingUnlink>, StoreError> {
        // Without an index: the table holds only what waits, so it is small.
        const PENDING: &str = "\
            -- store::ticket_rows::disconnects
            SELECT ticket_id, queued_at, due_at, last_error FROM disconnects
            WHERE source = $1 AND external_id = $2 ORDER BY id LIMIT $3";
        let args = args![&ticket.source, &ticket.external_id, MAX_BESIDE];
        sql::fetch_all(&self.readers, PENDING, args).await
    }

    /// Returns the changes of these events, newest first.
    pub(super) async fn changes_of(&self, events: &[i64]) -> Result<Vec<ChangeRow>, StoreError> {
        const CHANGES: &str = "\
            -- store::ticket_rows::changes
            SELECT c.event_id, c.at, c.state, c.reason
            FROM json_each($1) AS e CROSS JOIN changes AS c ON c.event_id = CAST(e.atom AS BIGINT)
            ORDER BY c.id + 0 DESC LIMIT $2";
        sql::fetch_all(&self.readers, CHANGES, args![json(events), MAX_OF_EVENTS]).await
    }

    /// Returns the connect calls of these events, newest first.
    pub(super) async fn calls_of(&self, events: &[i64]) -> Result<Vec<Call>, StoreError> {
        const CALLS: &str = concat!(
            "-- store::ticket_rows::attempts\nSELECT a.event_id, ",
            attempt_columns!(),
            " FROM json_each($1) AS e CROSS JOIN attempts AS a ON a.event_id = CAST(e.atom AS BIGINT)
            ORDER BY a.id + 0 DESC LIMIT $2"
        );
        sql::fetch_readable(&self.readers, CALLS, args![json(events), MAX_OF_EVENTS]).await
    }
}
