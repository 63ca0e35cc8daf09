//! What operators read: events, one event with its history, numbers.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::error::StoreError;
use super::{Store, json, moment, state};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalId, SourceName};

/// Which events to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// In one state.
    pub state: Option<EventState>,
    /// Of one source.
    pub source: Option<SourceName>,
    /// About one external ticket.
    pub external_id: Option<String>,
    /// With one reason.
    pub reason: Option<String>,
    /// Older than this one.
    pub before: Option<EventId>,
    /// At most so many.
    pub limit: u32,
}

/// An event in a list.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// Its source, as stored.
    pub source: String,
    /// What it is about.
    pub external_id: Option<String>,
    /// `externalTicketSubtype`.
    pub subtype: Option<String>,
    /// What happened, in the sender's words.
    pub event_type: String,
    /// Its state.
    pub state: EventState,
    /// Why.
    pub reason: Option<String>,
    /// The state that it began in.
    pub first_state: EventState,
    /// Why.
    pub first_reason: Option<String>,
    /// The Serval ticket: of the last connect, else of the mapping.
    pub ticket_id: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the next try is due, or when it expires.
    pub due_at: Timestamp,
    /// Calls made about it.
    pub attempts: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// One call to Serval.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// The Serval ticket.
    pub ticket_id: String,
    /// How it ended.
    pub outcome: String,
    /// The HTTP status.
    pub status: Option<i64>,
    /// Serval's error code.
    pub code: Option<String>,
    /// What Serval said, shortened.
    pub answer: Option<String>,
    /// Serval's request id.
    pub request_id: Option<String>,
    /// How long Serval asked to wait.
    pub retry_after_ms: Option<i64>,
    /// Whether it was the probe of an outage.
    pub is_probe: bool,
}

/// A change of state.
#[derive(Debug, Clone)]
pub struct ChangeRow {
    /// When.
    pub at: Timestamp,
    /// To which state.
    pub state: EventState,
    /// Why.
    pub reason: Option<String>,
}

/// An event with its history.
#[derive(Debug, Clone)]
pub struct EventDetail {
    /// The event.
    pub row: EventRow,
    /// Its calls, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// Its states, oldest first.
    pub changes: Vec<ChangeRow>,
    /// The raw body and the place of the external object in it; gone after retention.
    pub payload: Option<(Vec<u8>, std::ops::Range<usize>)>,
    /// Serval message ids that the mapping says are known over there.
    pub accounted_for: Vec<String>,
}

/// Numbers about the whole.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Events by source and state.
    pub counts: Vec<(String, EventState, i64)>,
    /// The arrival of the oldest queued event.
    pub oldest_queued: Option<Timestamp>,
    /// Since when the oldest due event is due.
    pub oldest_due: Option<Timestamp>,
    /// The arrival of the oldest parked event.
    pub oldest_parked: Option<Timestamp>,
    /// Claims whose time is over.
    pub overdue_claims: i64,
    /// Pairs connected in the last minute, to 10 seconds.
    pub connects_last_minute: i64,
}

type Row = (
    i64,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    Option<String>,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    Option<String>,
    String,
    Option<String>,
);

const COLUMNS: &str = "\
    SELECT e.id, e.source, x.external_id, e.subtype, e.event_type, e.state, e.reason,
           COALESCE(e.ticket_id, x.ticket_id), e.received_at, e.updated_at, e.due_at,
           (SELECT COUNT(*) FROM attempts AS a WHERE a.event_id = e.id), e.last_error,
           e.first_state, e.first_reason
    FROM events AS e ";
/// Follows [`COLUMNS`], and the index where one is named.
const TICKETS: &str = " LEFT JOIN external_tickets AS x ON x.id = e.external ";

impl Store {
    /// Events, newest first.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<EventRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
        query.push(index(filter)).push(TICKETS).push("WHERE TRUE");
        narrow(&mut query, filter);
        if let Some(before) = filter.before {
            query.push(" AND e.id < ").push_bind(before.0);
        }
        query
            .push(" ORDER BY e.id DESC LIMIT ")
            .push_bind(i64::from(filter.limit));
        let rows: Vec<Row> = query.build_query_as().fetch_all(&self.readers).await?;
        rows.into_iter().map(from_row).collect()
    }

    /// Events by their ids, newest first.
    pub(super) async fn event_rows(&self, ids: &[i64]) -> Result<Vec<EventRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
        query
            .push(TICKETS)
            .push("WHERE e.id IN (SELECT value FROM json_each(")
            .push_bind(json(ids))
            .push(")) ORDER BY e.id DESC");
        let rows: Vec<Row> = query.build_query_as().fetch_all(&self.readers).await?;
        rows.into_iter().map(from_row).collect()
    }

    /// One event with its history.
    pub async fn event(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        const ATTEMPTS: &str = "\
            -- store::reports::attempts
            SELECT started_at, duration_ms, ticket_id, outcome, status, code, answer, request_id,
                   retry_after, probe
            FROM attempts WHERE event_id = $1 ORDER BY id";
        const PAYLOAD: &str = "\
            -- store::reports::payload
            SELECT body, object_start, object_len FROM payloads WHERE event_id = $1";
        const ACCOUNTED: &str = "\
            -- store::reports::accounted
            SELECT m.accounted_for FROM mappings AS m JOIN events AS e ON e.external = m.external
            WHERE e.id = $1";
        type Attempt = (
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
        let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
        query.push(TICKETS).push("WHERE e.id = ").push_bind(id.0);
        let row: Option<Row> = query.build_query_as().fetch_optional(&self.readers).await?;
        let Some(row) = row else { return Ok(None) };
        let attempts: Vec<Attempt> = sqlx::query_as(ATTEMPTS)
            .bind(id.0)
            .fetch_all(&self.readers)
            .await?;
        let payload: Option<(Vec<u8>, i64, i64)> = sqlx::query_as(PAYLOAD)
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?;
        let accounted: Option<String> = sqlx::query_scalar(ACCOUNTED)
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?;
        Ok(Some(EventDetail {
            row: from_row(row)?,
            attempts: attempts
                .into_iter()
                .map(|row| {
                    let (started_at, duration_ms, ticket_id, outcome, status, code, ..) = row;
                    let (.., answer, request_id, retry_after_ms, is_probe) = row;
                    Ok(AttemptRow {
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
                    })
                })
                .collect::<Result<_, StoreError>>()?,
            changes: self.changes(id).await?,
            payload: payload.map(|(body, start, len)| {
                let start = usize::try_from(start).unwrap_or_default().min(body.len());
                let end = start.saturating_add(usize::try_from(len).unwrap_or_default());
                let end = end.min(body.len());
                (body, start..end)
            }),
            accounted_for: accounted
                .and_then(|json| serde_json::from_str(&json).ok())
                .unwrap_or_default(),
        }))
    }

    async fn changes(&self, id: EventId) -> Result<Vec<ChangeRow>, StoreError> {
        const CHANGES: &str = "\
            -- store::reports::changes
            SELECT received_at, first_state, first_reason FROM events WHERE id = $1
            UNION ALL
            SELECT * FROM (SELECT at, state, reason FROM changes WHERE event_id = $1 ORDER BY id)";
        let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(CHANGES)
            .bind(id.0)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(|(at, word, reason)| {
                Ok(ChangeRow {
                    at: moment(at)?,
                    state: state(&word)?,
                    reason,
                })
            })
            .collect()
    }

    /// Numbers, without counting a history.
    pub async fn stats(&self, now: Timestamp) -> Result<Stats, StoreError> {
        let connects_last_minute = self.connects_last_minute(now).await?;
        let levels = self.levels(now).await?;
        Ok(Stats {
            counts: levels.counts,
            oldest_queued: levels.oldest_queued,
            oldest_due: levels.oldest_due,
            oldest_parked: levels.oldest_parked,
            overdue_claims: levels.overdue_claims,
            connects_last_minute,
        })
    }
}

/// Which index finds the events of a filter, where `SQLite` would take one that finds too many.
pub(super) fn index(filter: &EventFilter) -> &'static str {
    let is_dead_group = filter.state == Some(EventState::Dead)
        && filter.source.is_some()
        && filter.reason.is_some()
        && filter.external_id.is_none();
    if is_dead_group {
        "INDEXED BY events_dead"
    } else {
        ""
    }
}

/// Adds the conditions of a filter on `e`.
pub(super) fn narrow(query: &mut QueryBuilder<Sqlite>, filter: &EventFilter) {
    if let Some(state) = filter.state {
        // As a literal: an index over one state is of no use for a state that is not known yet.
        query
            .push(" AND e.state = '")
            .push(state.as_str())
            .push("'");
    }
    if let Some(source) = &filter.source {
        query
            .push(" AND e.source = ")
            .push_bind(source.as_str().to_owned());
    }
    if let Some(external_id) = &filter.external_id {
        // Of every source where none is named: an external id alone has no index.
        query
            .push(
                " AND e.external IN (SELECT n.id FROM external_tickets AS n WHERE n.external_id = ",
            )
            .push_bind(external_id.clone());
        match &filter.source {
            Some(source) => query
                .push(" AND n.source = ")
                .push_bind(source.as_str().to_owned()),
            None => query.push(" AND n.source IN (SELECT c.source FROM counts AS c)"),
        };
        query.push(")");
    }
    if let Some(reason) = &filter.reason {
        query.push(" AND e.reason = ").push_bind(reason.clone());
    }
}

fn from_row(row: Row) -> Result<EventRow, StoreError> {
    let (id, source, external_id, subtype, event_type, word, reason, ticket_id, ..) = row;
    let (.., received_at, updated_at, due_at, attempts, last_error, first_word, first_reason) = row;
    Ok(EventRow {
        id: EventId(id),
        source,
        external_id,
        subtype,
        event_type,
        state: state(&word)?,
        reason,
        first_state: state(&first_word)?,
        first_reason,
        ticket_id,
        received_at: moment(received_at)?,
        updated_at: moment(updated_at)?,
        due_at: moment(due_at)?,
        attempts,
        last_error,
    })
}

impl EventRow {
    /// What it is about, as the rest of the program names it.
    pub fn external_id(&self) -> Option<ExternalId> {
        self.external_id.clone().map(ExternalId::from_store)
    }
}
