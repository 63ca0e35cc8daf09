//! A row of the statement that claims, and the claim that it becomes.

use jiff::Timestamp;

use super::claim::{Claim, ClaimToken};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::store::body::BodyRow;
use crate::store::error::StoreError;
use crate::store::sql::{moment, row};

row! {
    /// An event that may be claimed.
    pub(super) struct DueRow {
        id: i64,
        source: String,
        external_id: Option<String>,
        tries: i64,
        doubt: Option<EventId>,
        queued_at: i64,
        subtype: Option<String>,
        mapped_to: Option<String>,
        is_connected: bool,
        /// A JSON array.
        accounted_for: Option<String>,
        body: Option<BodyRow>,
        hint: Option<String>,
        traceparent: Option<String>,
        /// Row id of the external ticket.
        external: i64,
        /// True if a newer save of its record is known, and it teaches nothing.
        is_outranked: bool,
        is_direct: bool,
    }
}

impl DueRow {
    /// Returns the claim of the event, or what is wrong with the row.
    pub(super) fn claim(self, expires_at: Timestamp, revision: u64) -> Result<Claim, StoreError> {
        let event = EventId(self.id);
        let corrupt = |what: &str| StoreError::Corrupt(format!("{what} of {event}"));
        let source: SourceName = self.source.parse().map_err(|_| corrupt("the source"))?;
        let mapped_to: Option<ServalTicketId> =
            (self.mapped_to.map(|id| id.parse()))
                .transpose()
                .map_err(|_| corrupt("the mapped Serval ticket id"))?;
        let accounted_for = (self.accounted_for.map(|json| serde_json::from_str(&json)))
            .transpose()
            .map_err(|_| corrupt("the accounted-for message ids"))?;
        let external_id = (self.external_id).ok_or_else(|| corrupt("the external ticket"))?;
        // A queued event always has its body: retention leaves it alone. So a missing one is
        // damage.
        let body = (self.body.map(BodyRow::unpack))
            .transpose()
            .map_err(|_| corrupt("the payload"))?;
        let object = (body.map(|body| body.object())).filter(|object| !object.is_empty());
        Ok(Claim {
            event,
            ticket: ExternalTicket {
                source,
                external_id: ExternalId::checked(external_id),
            },
            token: ClaimToken::random(),
            expires_at,
            tries: u32::try_from(self.tries).unwrap_or(u32::MAX),
            doubt: self.doubt,
            queued_at: moment(self.queued_at)?,
            subtype: self.subtype,
            mapped_to,
            is_connected: self.is_connected,
            is_direct: self.is_direct,
            revision,
            hint: self.hint.and_then(|hint| hint.parse().ok()),
            traceparent: self.traceparent.and_then(|text| text.parse().ok()),
            accounted_for: accounted_for.unwrap_or_default(),
            object: object.ok_or_else(|| corrupt("the payload"))?,
        })
    }
}
