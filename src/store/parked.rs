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
    /// Its number.
    pub number: Option<String>,
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
        const OF_ALL: &str = "\
            -- store::parked::of_all
            SELECT e.id, e.source, x.external_id, x.number, e.updated_at, e.due_at, e.last_error
            FROM events AS e INDEXED BY events_state
            LEFT JOIN external_tickets AS x ON x.id = e.external
            WHERE e.state = 'parked' AND e.id > $1 ORDER BY e.id LIMIT $2";
        // Of one source, ids are picked from an index that has all it takes; rows are read of those
        // alone that are shown. Another source may have ever so many.
        const OF_SOURCE: &str = "\
            -- store::parked::of_source
            SELECT e.id, e.source, x.external_id, x.number, e.updated_at, e.due_at, e.last_error
            FROM (SELECT id FROM events INDEXED BY events_waiting
                WHERE state = 'parked' AND source = $3 AND id > $1 ORDER BY id LIMIT $2) AS p
            CROSS JOIN events AS e ON e.id = p.id
            LEFT JOIN external_tickets AS x ON x.id = e.external
            ORDER BY e.id";
        type Row = (
            i64,
            String,
            Option<String>,
            Option<String>,
            i64,
            i64,
            Option<String>,
        );
        let mut query = sqlx::query_as(if source.is_some() { OF_SOURCE } else { OF_ALL })
            .bind(after.map_or(0, |after| after.0))
            .bind(i64::from(limit));
        if let Some(source) = source {
            query = query.bind(source.as_str());
        }
        let rows: Vec<Row> = query.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(
                |(event, source, external_id, number, parked_at, expires_at, last_error)| {
                    Ok(ParkedRow {
                        event: EventId(event),
                        source,
                        external_id: external_id.unwrap_or_default(),
                        number,
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
