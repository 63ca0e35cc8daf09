//! Lists of events.

use jiff::Timestamp;

use super::arrived::Arrived;
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalId, SourceName};
use crate::store::engine::Query;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, json, row};

/// Filter for events, which are listed newest first.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only events in this state.
    pub state: Option<EventState>,
    /// Only events of this source.
    pub source: Option<SourceName>,
    /// Only events about this external ticket, of any source.
    pub external_id: Option<String>,
    /// Only events with this reason.
    pub reason: Option<String>,
    /// Only events that arrived within a range of time.
    pub arrived: Option<Arrived>,
    /// Only events older than this one.
    pub before: Option<EventId>,
    /// Page size.
    pub limit: u32,
}

row! {
    /// An event in a list.
    #[derive(Debug, Clone)]
    pub struct EventRow {
        /// Id of the event.
        id: EventId,
        /// Source, as stored.
        source: String,
        /// External ticket.
        external_id: Option<String>,
        /// `externalTicketSubtype`.
        subtype: Option<String>,
        /// Type of the event, in the sender's words.
        event_type: String,
        /// State.
        state: EventState,
        /// Reason for the state.
        reason: Option<String>,
        /// Serval ticket: of the last connect call, else of the mapping.
        ticket_id: Option<String>,
        /// Time of arrival.
        received_at: Timestamp,
        /// Time of the last change.
        updated_at: Timestamp,
        /// Time of the next try, or of expiry.
        due_at: Timestamp,
        /// Number of connect calls.
        attempts: i64,
        /// Last error.
        last_error: Option<String>,
        /// State after its arrival.
        first_state: EventState,
        /// Reason for that state.
        first_reason: Option<String>,
    }
}

/// Selects the columns of an [`EventRow`]. `index` may name the index that finds `e`.
macro_rules! select_events {
    ($index:literal, $conditions:literal) => {
        concat!(
            "SELECT e.id, e.source, x.external_id, e.subtype, e.event_type, e.state, e.reason,
                COALESCE(e.ticket_id, x.ticket_id), e.received_at, e.updated_at, e.due_at,
                (SELECT COUNT(*) FROM attempts AS a WHERE a.event_id = e.id), e.last_error,
                e.first_state, e.first_reason
            FROM events AS e ",
            $index,
            " LEFT JOIN external_tickets AS x ON x.id = e.external WHERE ",
            $conditions
        )
    };
}
pub(super) use select_events;

impl Store {
    /// Lists events, newest first.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<EventRow>, StoreError> {
        let mut query = Query::new(if is_dead_group(filter) {
            select_events!("INDEXED BY events_dead", "TRUE")
        } else {
            select_events!("", "TRUE")
        });
        narrow(&mut query, filter);
        if let Some(before) = filter.before {
            query.push(" AND e.id < ").push_bind(before);
        }
        // Of one external ticket, by an expression: Postgres would go over all events in the order of a column.
        query.push(match &filter.external_id {
            Some(_) => " ORDER BY e.id + 0 DESC LIMIT ",
            None => " ORDER BY e.id DESC LIMIT ",
        });
        query.push_bind(filter.limit);
        sql::read_all(&query.fetch_all(&self.readers).await?)
    }

    /// Returns the events with these ids, newest first.
    pub(super) async fn event_rows(&self, ids: &[i64]) -> Result<Vec<EventRow>, StoreError> {
        const BY_IDS: &str = select_events!(
            "",
            "e.id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1)) ORDER BY e.id DESC"
        );
        sql::fetch_all(&self.readers, BY_IDS, args![json(ids)]).await
    }
}

/// Name of the index for a filter, if `SQLite` would choose one that finds too many events.
pub(crate) fn index(filter: &EventFilter) -> &'static str {
    if is_dead_group(filter) {
        "INDEXED BY events_dead"
    } else {
        ""
    }
}

/// True if a filter asks for dead events of one source and one reason, as the list of dead events
/// shows them.
fn is_dead_group(filter: &EventFilter) -> bool {
    filter.state == Some(EventState::Dead)
        && filter.source.is_some()
        && filter.reason.is_some()
        && filter.external_id.is_none()
}

/// Adds the conditions of a filter on `e`.
pub(crate) fn narrow(query: &mut Query, filter: &EventFilter) {
    if let Some(state) = filter.state {
        // As a literal: SQLite uses an index over one state only for a state that it knows.
        query.push(" AND e.state = '");
        query.push(state.as_str()).push("'");
    }
    if let Some(source) = &filter.source {
        query.push(" AND e.source = ").push_bind(source);
    }
    if let Some(external_id) = &filter.external_id {
        query.push(" AND e.external IN (SELECT n.id FROM external_tickets AS n");
        query.push(" WHERE n.external_id = ").push_bind(external_id);
        // No index begins with the external id. Without a source, each source is looked up.
        match &filter.source {
            Some(source) => query.push(" AND n.source = ").push_bind(source),
            None => query.push(" AND n.source IN (SELECT c.source FROM counts AS c)"),
        };
        query.push(")");
    }
    if let Some(reason) = &filter.reason {
        query.push(" AND e.reason = ").push_bind(reason);
    }
    if let Some(Arrived { ids, times, .. }) = filter.arrived {
        // Of one external ticket there are few events. Postgres would take the ids for the better way to them.
        if filter.external_id.is_none() {
            query.push(" AND e.id >= ").push_bind(ids[0]);
            query.push(" AND e.id < ").push_bind(ids[1]);
        }
        query.push(" AND e.received_at >= ").push_bind(times[0]);
        query.push(" AND e.received_at < ").push_bind(times[1]);
    }
}

impl EventRow {
    /// Returns the external id in its type.
    pub fn external_id(&self) -> Option<ExternalId> {
        self.external_id.clone().map(ExternalId::checked)
    }
}
