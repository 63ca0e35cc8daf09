//! One event with its history.

use std::ops::RangeInclusive;

use bytes::Bytes;
use jiff::Timestamp;

use super::events::{EventRow, select_events};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::store::attempt::{Attempt, attempt_columns};
use crate::store::body::{Body, OF_EVENT};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis, row};

row! {
    /// A change of state.
    #[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
    #[schema(as = Change)]
    pub struct ChangeRow {
        /// Id of the event.
        #[serde(skip)]
        event: EventId,
        /// Time of the change.
        at: Timestamp,
        /// The new state.
        #[schema(schema_with = EventState::schema)]
        state: EventState,
        /// Reason of the change.
        reason: Option<String>,
    }
}

/// An event with its history.
#[derive(Debug, Clone)]
pub struct EventDetail {
    /// The event.
    pub row: EventRow,
    /// Connect calls, oldest first.
    pub attempts: Vec<Attempt>,
    /// Changes of the state, oldest first.
    pub changes: Vec<ChangeRow>,
    /// Raw body; `None` after retention.
    pub payload: Option<Body>,
    /// Serval message ids that the external ticket has already, by its mapping.
    pub accounted_for: Vec<String>,
}

impl Store {
    /// Returns one event with its history.
    pub async fn event(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        const ROW: &str = select_events!("", "e.id = $1");
        const ATTEMPTS: &str = concat!(
            "-- store::event::attempts\nSELECT ",
            attempt_columns!(),
            " FROM attempts AS a WHERE a.event_id = $1 ORDER BY a.id"
        );
        // The first state is in the event itself.
        const CHANGES: &str = "\
            -- store::event::changes
            SELECT id, received_at, first_state, first_reason FROM events WHERE id = $1
            UNION ALL
            SELECT * FROM (SELECT event_id, at, state, reason FROM changes
                WHERE event_id = $1 ORDER BY id) AS c";
        const ACCOUNTED_FOR: &str = "\
            -- store::event::accounted_for
            SELECT m.accounted_for FROM mappings AS m JOIN events AS e ON e.external = m.external
            WHERE e.id = $1";
        // One transaction: all parts are of the same moment, whatever is settled meanwhile.
        let mut reader = self.readers.begin().await?;
        let Some(row) = sql::fetch_optional(&mut reader, ROW, args![id]).await? else {
            return Ok(None);
        };
        let payload = sql::fetch_optional(&mut reader, OF_EVENT, args![id]).await?;
        // The detail of an event with a damaged row must open: a person has to look at it.
        let accounted_for: Option<Option<String>> =
            sql::fetch_optional(&mut reader, ACCOUNTED_FOR, args![id]).await?;
        let accounted_for = accounted_for.flatten();
        Ok(Some(EventDetail {
            row,
            attempts: sql::fetch_readable(&mut reader, ATTEMPTS, args![id]).await?,
            changes: sql::fetch_all(&mut reader, CHANGES, args![id]).await?,
            payload,
            accounted_for: accounted_for
                .and_then(|json| serde_json::from_str(&json).ok())
                .unwrap_or_default(),
        }))
    }

    /// Returns the time of the first attempt in `during` that Serval answered with `not_found`.
    pub async fn first_not_found(
        &self,
        event: EventId,
        during: RangeInclusive<Timestamp>,
    ) -> Result<Option<Timestamp>, StoreError> {
        const FIRST: &str = "\
            -- store::event::first_not_found
            SELECT MIN(started_at) FROM attempts
            WHERE event_id = $1 AND started_at BETWEEN $2 AND $3 AND code = 'not_found'";
        let args = args![event, millis(*during.start()), millis(*during.end())];
        sql::fetch_one(&self.readers, FIRST, args).await
    }

    /// Returns the external object of an event, byte for byte; `None` after retention.
    pub async fn object(&self, event: EventId) -> Result<Option<Bytes>, StoreError> {
        let body: Option<Body> = sql::fetch_optional(&self.readers, OF_EVENT, args![event]).await?;
        Ok(body.map(|body| body.object()))
    }
}
