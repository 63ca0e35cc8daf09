//! External tickets that wait for a mapping.

use jiff::Timestamp;

use super::error::StoreError;
use super::{Store, moment};
use crate::domain::ids::{EventId, SourceName};

/// An external ticket that waits, with the event that would be sent.
#[derive(Debug, Clone)]
pub struct ParkedRow {
    /// The event.
    pub event: EventId,
    /// Its source, as stored.
    pub source: String,
    /// The external ticket.
    pub external_id: String,
    /// Since when it waits.
    pub parked_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What went wrong before, such as a Serval ticket that its payload named in vain.
    pub last_error: Option<String>,
}

impl Store {
    /// External tickets that wait for a mapping, the oldest event first, after the event `after`.
    pub async fn parked(
        &self,
        source: Option<&SourceName>,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<ParkedRow>, StoreError> {
        const PARKED: &str = "\
            -- store::parked::parked
            SELECT e.id, e.source, x.external_id, e.updated_at, e.due_at, e.last_error
            FROM events AS e INDEXED BY events_state
            LEFT JOIN external_tickets AS x ON x.id = e.external
            WHERE e.state = 'parked' AND e.id > $1 AND ($2 IS NULL OR e.source = $2)
            ORDER BY e.id LIMIT $3";
        type Row = (i64, String, Option<String>, i64, i64, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(PARKED)
            .bind(after.map_or(0, |after| after.0))
            .bind(source.map(SourceName::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(
                |(event, source, external_id, parked_at, expires_at, last_error)| {
                    Ok(ParkedRow {
                        event: EventId(event),
                        source,
                        external_id: external_id.unwrap_or_default(),
                        parked_at: moment(parked_at)?,
                        expires_at: moment(expires_at)?,
                        last_error,
                    })
                },
            )
            .collect()
    }

    /// The external object of an event, byte for byte; gone after retention.
    pub async fn object(&self, event: EventId) -> Result<Option<Vec<u8>>, StoreError> {
        const OBJECT: &str = "\
            -- store::parked::object
            SELECT substr(body, object_start + 1, object_len) FROM payloads WHERE event_id = $1";
        let object = sqlx::query_scalar(OBJECT)
            .bind(event.0)
            .fetch_optional(&self.readers)
            .await?;
        Ok(object)
    }
}
