//! The journal's entry of a connect call, also for a body that is wrong.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::edge::clock::{Clock, SystemClock};
use crate::rehearsal::mock_serval::state::RecordedConnect;

/// The readable parts of a body.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Glimpse<'a> {
    channel_target: Value,
    external_ticket_id: Value,
    #[serde(borrow)]
    external_ticket_data: Option<&'a RawValue>,
    external_ticket_subtype: Value,
    accounted_for_message_ids: Value,
}

/// The entry of a connect that has no answer and no link yet.
pub(crate) fn record(ticket_id: &str, body: &Bytes) -> RecordedConnect {
    let glimpse: Glimpse<'_> = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    RecordedConnect {
        at: SystemClock.now(),
        ticket_id: ticket_id.to_owned(),
        external_id: text(&glimpse.external_ticket_id).unwrap_or_default(),
        subtype: text(&glimpse.external_ticket_subtype),
        accounted_for_message_ids: glimpse
            .accounted_for_message_ids
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect(),
        object: glimpse
            .external_ticket_data
            .map(|data| data.get().to_owned()),
        target: glimpse.channel_target,
        body: body.clone(),
        answered: None,
        stored: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_keeps_the_object_as_it_was_written() {
        let body = br#"{"externalTicketData": { "n":1.0,"u":"\u00e9" } ,"externalTicketId":7}"#;
        let record = record("t", &Bytes::from_static(body));
        assert_eq!(
            record.object.as_deref(),
            Some(r#"{ "n":1.0,"u":"\u00e9" }"#)
        );
        assert_eq!(record.external_id, "");
        assert_eq!(
            super::record("t", &Bytes::from_static(b"\xff")).object,
            None
        );
    }
}
