//! The webhooks that the demo sends, and the object that Serval should get for each.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A webhook, and the tickets that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// The body, byte for byte.
    pub(super) body: &'static str,
    /// The configured source that it is sent to.
    pub(super) source: &'static str,
    /// The external ticket.
    pub(super) external_id: &'static str,
    /// The Serval ticket that the demo maps it to.
    pub(super) ticket_id: &'static str,
    /// `externalTicketSubtype`.
    pub(super) subtype: Option<&'static str>,
}

pub(super) const INCIDENT: Sample = Sample {
    body: include_str!("samples/incident.json").trim_ascii_end(),
    source: "servicenow",
    external_id: "5c1f0e7ad93b4286a4e70b91c85d2f36",
    ticket_id: "ticket-vpn",
    subtype: Some("incident"),
};

/// The incident, after Serval has written to it.
pub(super) const ECHO: Sample = Sample {
    body: include_str!("samples/incident_echo.json").trim_ascii_end(),
    ..INCIDENT
};

pub(super) const REQUESTED_ITEM: Sample = Sample {
    body: include_str!("samples/requested_item.json").trim_ascii_end(),
    source: "servicenow",
    external_id: "b7d20c94e15a4f038d6c2e7f90ab4153",
    ticket_id: "ticket-desk",
    subtype: Some("requested_item"),
};

pub(super) const MESSAGE: Sample = Sample {
    body: include_str!("samples/slack_message.json").trim_ascii_end(),
    source: "slack",
    external_id: "C0HELPDESK:1773822600.417239",
    ticket_id: "ticket-badges",
    subtype: None,
};

/// A reply to the message.
pub(super) const REPLY: Sample = Sample {
    body: include_str!("samples/slack_reply.json").trim_ascii_end(),
    ..MESSAGE
};

pub(super) const UNMAPPED: Sample = Sample {
    body: include_str!("samples/incident_unmapped.json").trim_ascii_end(),
    source: "servicenow",
    external_id: "e08b6d15c7fa49d2b3160a8f24c97e5d",
    ticket_id: "ticket-payroll",
    subtype: Some("incident"),
};

/// For the user to send.
pub(super) const TO_TRY: Sample = Sample {
    body: include_str!("samples/incident_to_try.json").trim_ascii_end(),
    source: "servicenow",
    external_id: "a94f3b07e2c84d61957d0c6e1f8b25da",
    ticket_id: "ticket-projector",
    subtype: Some("incident"),
};

/// The keys under which an object may be wrapped.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

impl Sample {
    /// The expected `externalTicketData`: the record or the inner event, cut out of the body.
    pub(super) fn object(&self) -> &'static str {
        let wrapped: Wrapped<'static> =
            serde_json::from_str(self.body).expect("the samples are JSON objects");
        let inner = wrapped.record.or(wrapped.event);
        inner.map_or(self.body, RawValue::get)
    }

    /// Name of the sender for people.
    pub(super) fn sender(&self) -> &'static str {
        if self.source == "slack" {
            "Slack"
        } else {
            "ServiceNow"
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_samples_are_about_what_they_say() {
        for sample in [INCIDENT, ECHO, REQUESTED_ITEM, UNMAPPED, TO_TRY] {
            let record: Value = serde_json::from_str(sample.object()).unwrap();
            let field = |name: &str| {
                let field = &record[name];
                field.get("value").unwrap_or(field).clone()
            };
            assert_eq!(field("sys_id"), sample.external_id);
            let class = field("sys_class_name");
            let is_incident = class == "incident";
            assert_eq!(is_incident, sample.subtype == Some("incident"));
        }
        for sample in [MESSAGE, REPLY] {
            let event: Value = serde_json::from_str(sample.object()).unwrap();
            let root = event.get("thread_ts").unwrap_or(&event["ts"]);
            let channel = event["channel"].as_str().unwrap();
            let external_id = format!("{channel}:{}", root.as_str().unwrap());
            assert_eq!(external_id, sample.external_id);
        }
    }
}
