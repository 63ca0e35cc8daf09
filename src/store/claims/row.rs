//! A due event as the database has it, and the claim that it becomes.

use jiff::Timestamp;

use super::{Claim, ClaimToken};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::store::error::StoreError;
use crate::store::moment;

pub(super) type ClaimRow = (
    i64,             // id
    String,          // source
    Option<String>,  // external id
    i64,             // tries
    bool,            // in doubt
    i64,             // queued at
    Option<String>,  // subtype
    Option<String>,  // mapped to
    bool,            // connected
    Option<String>,  // accounted for
    Option<Vec<u8>>, // object
    Option<String>,  // hint
    Option<String>,  // traceparent
    i64,             // external ticket, by its number
    i64,             // due at
);

pub(super) fn from_row(row: ClaimRow, expires_at: Timestamp) -> Result<Claim, StoreError> {
    let (
        id,
        source,
        external_id,
        tries,
        in_doubt,
        queued_at,
        subtype,
        mapped_to,
        is_connected,
        accounted_for,
        object,
        hint,
        traceparent,
        _,
        _,
    ) = row;
    let corrupt = |what: &str| StoreError::Corrupt(format!("{what} of {}", EventId(id)));
    let source: SourceName = source.parse().map_err(|_| corrupt("the source"))?;
    let mapped_to: Option<ServalTicketId> = mapped_to
        .map(|id| id.parse())
        .transpose()
        .map_err(|_| corrupt("the mapped Serval ticket id"))?;
    let accounted_for = accounted_for
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|_| corrupt("the accounted-for message ids"))?
        .unwrap_or_default();
    let external_id = external_id.ok_or_else(|| corrupt("the external ticket"))?;
    Ok(Claim {
        event: EventId(id),
        ticket: ExternalTicket {
            source,
            external_id: ExternalId::from_store(external_id),
        },
        token: ClaimToken::random(),
        expires_at,
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
        in_doubt,
        queued_at: moment(queued_at)?,
        subtype,
        mapped_to,
        is_connected,
        hint: hint.and_then(|hint| hint.parse().ok()),
        traceparent: traceparent.and_then(|text| text.parse().ok()),
        accounted_for,
        object: object
            .filter(|object| !object.is_empty())
            .ok_or_else(|| corrupt("the payload"))?
            .into(),
    })
}
