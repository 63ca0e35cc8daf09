//! The connect request. Its body contains the external object byte for byte.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::domain::ids::{ExternalId, ServalTicketId};
use crate::domain::trace::TraceParent;

/// One connect call.
#[derive(Clone)]
pub struct ConnectRequest {
    /// The Serval ticket.
    pub ticket_id: ServalTicketId,
    /// `channelTarget`, as configured.
    pub channel_target: Arc<Value>,
    /// `externalTicketId`.
    pub external_id: ExternalId,
    /// `externalTicketData`: the raw text of a JSON object, as its sender wrote it. Omitted if empty.
    pub object: Bytes,
    /// `externalTicketSubtype`.
    pub subtype: Option<String>,
    /// `accountedForMessageIds`: Serval messages that the external system shows already.
    pub accounted_for_message_ids: Vec<String>,
    /// Position of the call in a trace; sent as a header.
    pub traceparent: Option<TraceParent>,
}

impl ConnectRequest {
    /// The request body. The object is not parsed and printed again, so its numbers, escapes, order and
    /// white space arrive unchanged.
    pub fn body(&self) -> Vec<u8> {
        // The other fields are short.
        let mut body = Vec::with_capacity(self.object.len() + 512);
        body.push(b'{');
        field(&mut body, "channelTarget", &*self.channel_target);
        body.push(b',');
        field(&mut body, "externalTicketId", &self.external_id);
        if !self.object.is_empty() {
            body.extend_from_slice(b",\"externalTicketData\":");
            body.extend_from_slice(&self.object);
        }
        if let Some(subtype) = &self.subtype {
            body.push(b',');
            field(&mut body, "externalTicketSubtype", subtype);
        }
        if !self.accounted_for_message_ids.is_empty() {
            body.push(b',');
            field(
                &mut body,
                "accountedForMessageIds",
                &self.accounted_for_message_ids,
            );
        }
        body.push(b'}');
        body
    }
}

fn field<T: Serialize + ?Sized>(body: &mut Vec<u8>, name: &str, value: &T) {
    body.push(b'"');
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":");
    serde_json::to_writer(body, value).expect("strings and JSON values can always be written");
}

impl fmt::Debug for ConnectRequest {
    /// Without the object, since it is confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("ticket_id", &self.ticket_id)
            .field("external_id", &self.external_id)
            .field("subtype", &self.subtype)
            .field("object_bytes", &self.object.len())
            .finish_non_exhaustive()
    }
}

/// Success of a connect call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, a 2xx.
    pub status: u16,
    /// Serval's id of the request.
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::servicenow;
    use serde_json::json;

    fn request(object: &str) -> ConnectRequest {
        ConnectRequest {
            ticket_id: "tkt-1".parse().unwrap(),
            channel_target: Arc::new(json!({"ticketSource": {"integrationId": "int \"1\""}})),
            external_id: servicenow::KIND
                .parse_external_id("6f1d0c93db2a6410c7e3f4a2ce9619aa")
                .unwrap(),
            object: Bytes::copy_from_slice(object.as_bytes()),
            subtype: Some("incident".to_owned()),
            accounted_for_message_ids: vec!["msg-1".to_owned(), "msg-\u{e9}".to_owned()],
            traceparent: None,
        }
    }

    #[test]
    fn the_object_is_sent_byte_for_byte() {
        for object in [
            "{}",
            r#"{"n":1.0,"e":1e5,"E":1E+05,"big":12345678901234567890,"tiny":-0.0}"#,
            "{ \"a\" :\t1 ,\r\n \"b\": [ ] }",
            r#"{"a":1,"a":2,"z":0,"b":0}"#,
            r#"{"caf\u00e9":"caf\u00E9 é \/ \ud83d\ude00"}"#,
        ] {
            let body = String::from_utf8(request(object).body()).unwrap();
            assert_eq!(
                body,
                format!(
                    r#"{{"channelTarget":{{"ticketSource":{{"integrationId":"int \"1\""}}}},"externalTicketId":"6f1d0c93db2a6410c7e3f4a2ce9619aa","externalTicketData":{object},"externalTicketSubtype":"incident","accountedForMessageIds":["msg-1","msg-é"]}}"#
                )
            );
            assert!(serde_json::from_str::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let mut request = request("{\"a\":1}");
        request.subtype = None;
        request.accounted_for_message_ids.clear();
        let body: Value = serde_json::from_slice(&request.body()).unwrap();
        let keys: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["channelTarget", "externalTicketData", "externalTicketId"]
        );
        request.object = Bytes::new();
        let body: Value = serde_json::from_slice(&request.body()).unwrap();
        assert_eq!(body.get("externalTicketData"), None);
    }

    #[test]
    fn debug_output_has_no_part_of_the_object() {
        let text = format!("{:?}", request(r#"{"short_description":"private"}"#));
        assert!(!text.contains("private"), "{text}");
    }
}
