//! All that is known about one external ticket, as one page with a time line.

mod timeline;

use jiff::Timestamp;

use super::conflicts::Conflict;
use super::error::StoreError;
use super::motion::best_event;
use super::{
    AttemptRow, AuditFilter, AuditRow, EventRow, Mapping, Store, external, json, moment, state,
};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use timeline::Span;
pub use timeline::{Moment, What};

/// Rows beside the events that are shown at most; only a script makes more.
const MAX_BESIDE: u32 = 500;
/// Calls of one page at most, the newest.
const MAX_ATTEMPTS: i64 = 1000;

/// What is known about an external ticket.
#[derive(Debug, Clone)]
pub struct TicketPage {
    /// The external ticket.
    pub ticket: ExternalTicket,
    /// Its number.
    pub number: Option<String>,
    /// The event whose object represents it; `None`: no object is stored any more.
    pub object: Option<EventId>,
    /// Where it belongs.
    pub mapping: Option<Mapping>,
    /// The Serval tickets that Serval has it with.
    pub connections: Vec<Connection>,
    /// The Serval tickets that Serval is asked to let go of it.
    pub disconnects: Vec<Pending>,
    /// What payloads said against the mapping, the newest first; those that are open and others.
    pub conflicts: Vec<Conflict>,
    /// Its events by state.
    pub counts: Vec<(EventState, i64)>,
    /// The events of this page, newest first.
    pub events: Vec<EventRow>,
    /// What happened, newest first: to these events, and otherwise in their time.
    pub timeline: Vec<Moment>,
    /// Before which event the next page begins; `None`: this is the last.
    pub next: Option<EventId>,
}

/// A pair that Serval has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The Serval ticket.
    pub ticket_id: String,
    /// Since when.
    pub connected_at: Timestamp,
    /// The event that was sent.
    pub event: EventId,
}

/// A pair that Serval is asked to let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The Serval ticket.
    pub ticket_id: String,
    /// Since when.
    pub asked_at: Timestamp,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// Why it did not work yet.
    pub last_error: Option<String>,
}

impl TicketPage {
    /// Whether anything is stored about it.
    pub fn is_known(&self) -> bool {
        self.mapping.is_some()
            || self.number.is_some()
            || !self.counts.is_empty()
            || !self.connections.is_empty()
            || !self.conflicts.is_empty()
    }
}

impl Store {
    /// The page of an external ticket, with `limit` of its events that are older than `before`.
    pub async fn ticket_page(
        &self,
        ticket: &ExternalTicket,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<TicketPage, StoreError> {
        let mut events = self
            .ticket_events(ticket, before, limit.saturating_add(1))
            .await?;
        let has_more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let next = events.last().filter(|_| has_more).map(|event| event.id);
        let span = Span {
            from: events
                .last()
                .filter(|_| has_more)
                .map(|event| event.received_at),
            until: match before {
                Some(before) => self.received_at(before).await?,
                None => None,
            },
        };
        let ids: Vec<i64> = events.iter().map(|event| event.id.0).collect();
        let mut page = TicketPage {
            ticket: ticket.clone(),
            number: self.number(ticket).await?,
            object: self.best_object(ticket).await?,
            mapping: self.mapping(ticket).await?,
            connections: self.connections(ticket).await?,
            disconnects: self.disconnects_of(ticket).await?,
            conflicts: self.conflicts_of(ticket).await?,
            counts: self.ticket_counts(ticket).await?,
            timeline: Vec::new(),
            events,
            next,
        };
        let history = timeline::History {
            changes: self.changes_of(&ids).await?,
            attempts: self.attempts_of(&ids).await?,
            audit: self.audit_of(ticket).await?,
        };
        page.timeline = timeline::assemble(&page, history, span);
        Ok(page)
    }

    /// The event whose object represents an external ticket best.
    pub async fn best_object(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Option<EventId>, StoreError> {
        const BEST: &str = concat!(
            "-- store::ticket::best\nSELECT e.id",
            best_event!(external!("$1", "$2"))
        );
        let best: Option<i64> = sqlx::query_scalar(BEST)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(best.map(EventId))
    }

    async fn ticket_events(
        &self,
        ticket: &ExternalTicket,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        // The index of external tickets is not in the order of arrival: ids are sorted first, and
        // rows are read of those alone that are shown.
        const IDS: &str = concat!(
            "-- store::ticket::events
            SELECT id FROM events INDEXED BY events_external
            WHERE external = ",
            external!("$1", "$2"),
            " AND id < $3 ORDER BY id DESC LIMIT $4"
        );
        let ids: Vec<i64> = sqlx::query_scalar(IDS)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .bind(before.map_or(i64::MAX, |before| before.0))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        self.event_rows(&ids).await
    }

    async fn received_at(&self, event: EventId) -> Result<Option<Timestamp>, StoreError> {
        const AT: &str = "\
            -- store::ticket::received_at
            SELECT received_at FROM events WHERE id = $1";
        let at: Option<i64> = sqlx::query_scalar(AT)
            .bind(event.0)
            .fetch_optional(&self.readers)
            .await?;
        at.map(moment).transpose()
    }

    async fn ticket_counts(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Vec<(EventState, i64)>, StoreError> {
        const COUNTS: &str = concat!(
            "-- store::ticket::counts
            SELECT state, COUNT(*) FROM events INDEXED BY events_external
            WHERE external = ",
            external!("$1", "$2"),
            " GROUP BY state"
        );
        let rows: Vec<(String, i64)> = sqlx::query_as(COUNTS)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|(word, n)| Ok((state(&word)?, n)))
            .collect()
    }

    async fn connections(&self, ticket: &ExternalTicket) -> Result<Vec<Connection>, StoreError> {
        const CONNECTIONS: &str = concat!(
            "-- store::ticket::connections
            SELECT ticket_id, connected_at, event_id FROM connections
            WHERE external = ",
            external!("$1", "$2"),
            " ORDER BY ticket_id LIMIT $3"
        );
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(CONNECTIONS)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .bind(MAX_BESIDE)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|(ticket_id, connected_at, event)| {
                Ok(Connection {
                    ticket_id,
                    connected_at: moment(connected_at)?,
                    event: EventId(event),
                })
            })
            .collect()
    }

    async fn disconnects_of(&self, ticket: &ExternalTicket) -> Result<Vec<Pending>, StoreError> {
        // The table holds what is under way: it is small.
        const PENDING: &str = "\
            -- store::ticket::disconnects
            SELECT ticket_id, queued_at, due_at, last_error FROM disconnects
            WHERE source = $1 AND external_id = $2 ORDER BY id LIMIT $3";
        let rows: Vec<(String, i64, i64, Option<String>)> = sqlx::query_as(PENDING)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .bind(MAX_BESIDE)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|(ticket_id, asked_at, due_at, last_error)| {
                Ok(Pending {
                    ticket_id,
                    asked_at: moment(asked_at)?,
                    due_at: moment(due_at)?,
                    last_error,
                })
            })
            .collect()
    }

    async fn changes_of(
        &self,
        events: &[i64],
    ) -> Result<Vec<(EventId, Timestamp, EventState, Option<String>)>, StoreError> {
        const CHANGES: &str = "\
            -- store::ticket::changes
            SELECT c.event_id, c.at, c.state, c.reason
            FROM json_each($1) AS e CROSS JOIN changes AS c ON c.event_id = e.value
            ORDER BY c.id DESC LIMIT $2";
        let rows: Vec<(i64, i64, String, Option<String>)> = sqlx::query_as(CHANGES)
            .bind(json(events))
            .bind(MAX_ATTEMPTS)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|(event, at, word, reason)| {
                Ok((EventId(event), moment(at)?, state(&word)?, reason))
            })
            .collect()
    }

    async fn attempts_of(&self, events: &[i64]) -> Result<Vec<(EventId, AttemptRow)>, StoreError> {
        const ATTEMPTS: &str = "\
            -- store::ticket::attempts
            SELECT a.event_id, a.started_at, a.duration_ms, a.ticket_id, a.outcome, a.status,
                   a.code, a.answer, a.request_id, a.retry_after, a.probe
            FROM json_each($1) AS e CROSS JOIN attempts AS a ON a.event_id = e.value
            ORDER BY a.id DESC LIMIT $2";
        type Row = (
            i64,
            i64,
            i64,
            String,
            String,
            Option<i64>,
            Option<String>,
            Option<String>,
            Option<String>,
            Option<i64>,
            bool,
        );
        let rows: Vec<Row> = sqlx::query_as(ATTEMPTS)
            .bind(json(events))
            .bind(MAX_ATTEMPTS)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|row| {
                let (event, started_at, duration_ms, ticket_id, outcome, status, ..) = row;
                let (.., code, answer, request_id, retry_after_ms, is_probe) = row;
                let attempt = AttemptRow {
                    started_at: moment(started_at)?,
                    duration_ms,
                    ticket_id,
                    outcome,
                    status,
                    code,
                    answer,
                    request_id,
                    retry_after_ms,
                    is_probe,
                };
                Ok((EventId(event), attempt))
            })
            .collect()
    }

    async fn audit_of(&self, ticket: &ExternalTicket) -> Result<Vec<AuditRow>, StoreError> {
        self.audit(&AuditFilter {
            ticket: Some(ticket.clone()),
            before: None,
            limit: MAX_BESIDE,
        })
        .await
    }
}
