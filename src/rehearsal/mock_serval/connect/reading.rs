//! Reads a connect body strictly: the documented fields, nothing else, each in its documented form.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::sources::slack::is_channel;

const USER_TYPES: [&str; 3] = [
    "CHANNEL_SYNC_USER_TYPE_UNSPECIFIED",
    "CHANNEL_SYNC_TARGET_USER_TICKET_ASSIGNEE",
    "CHANNEL_SYNC_TARGET_USER_TICKET_REQUESTOR",
];

/// A valid connect body.
#[derive(Debug)]
pub(super) struct ConnectBody {
    pub(super) external_ticket_id: String,
    pub(super) accounted_for_message_ids: Vec<String>,
    variant: String,
    target: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields<'a> {
    channel_target: Map<String, Value>,
    external_ticket_id: String,
    #[serde(borrow, default)]
    external_ticket_data: Option<&'a RawValue>,
    #[serde(default, rename = "externalTicketSubtype")]
    _external_ticket_subtype: Option<String>,
    #[serde(default)]
    accounted_for_message_ids: Vec<String>,
}

impl ConnectBody {
    /// Reads a body. The error names what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        // The parser would also accept a list with the values of the fields.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err("the body must be a JSON object".to_owned());
        }
        let fields: Fields<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut target = fields.channel_target.into_iter();
        let (Some((variant, inner)), None) = (target.next(), target.next()) else {
            return Err("channelTarget: must have exactly one key".to_owned());
        };
        let Value::Object(target) = inner else {
            return Err(format!("channelTarget.{variant}: must be an object"));
        };
        check_target(&variant, &target)?;
        check_id(&variant, &fields.external_ticket_id)?;
        if fields
            .external_ticket_data
            .is_some_and(|data| !data.get().starts_with('{'))
        {
            return Err("externalTicketData: must be an object".to_owned());
        }
        Ok(Self {
            external_ticket_id: fields.external_ticket_id,
            accounted_for_message_ids: fields.accounted_for_message_ids,
            variant,
            target,
        })
    }

    /// The `sourceType` of the link. An integration does not name its system, so everything that is
    /// neither Slack nor e-mail counts as `ServiceNow`.
    pub(super) fn source_type(&self) -> &'static str {
        match self.variant.as_str() {
            "slackChannel" | "slackDm" => "EXTERNAL_TICKET_SOURCE_TYPE_SLACK",
            "email" => "EXTERNAL_TICKET_SOURCE_TYPE_EMAIL",
            _ => "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW",
        }
    }

    /// The `sourceId` of the link.
    pub(super) fn source_id(&self) -> &str {
        ["integrationId", "ticketSourceId"]
            .iter()
            .find_map(|key| self.target.get(*key)?.as_str())
            .unwrap_or("email")
    }
}

fn check_target(variant: &str, target: &Map<String, Value>) -> Result<(), String> {
    // The fields of slackChannel are not documented; those of slackDm are the best guess.
    let allowed: &[&str] = match variant {
        "email" => &["targetUserType"],
        "slackChannel" | "slackDm" => &["integrationId", "targetUserType"],
        "ticketSource" => &["integrationId", "ticketSourceId"],
        _ => {
            return Err(format!(
                "channelTarget: unknown key {variant}, expected email, slackChannel, slackDm or ticketSource"
            ));
        }
    };
    for (key, value) in target {
        let path = format!("channelTarget.{variant}.{key}");
        let Some(text) = value.as_str() else {
            return Err(format!("{path}: must be a string"));
        };
        if !allowed.contains(&key.as_str()) {
            return Err(format!("{path}: unknown field"));
        }
        if text.is_empty() {
            return Err(format!("{path}: must not be empty"));
        }
        if key == "targetUserType" && !USER_TYPES.contains(&text) {
            return Err(format!("{path}: unknown value"));
        }
    }
    if variant != "email"
        && !target.contains_key("integrationId")
        && !target.contains_key("ticketSourceId")
    {
        return Err(format!("channelTarget.{variant}.integrationId: is missing"));
    }
    Ok(())
}

fn check_id(variant: &str, id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("externalTicketId: must not be empty".to_owned());
    }
    if variant.starts_with("slack") && !is_slack_thread(id) {
        return Err("externalTicketId: must be channelId:threadTs".to_owned());
    }
    Ok(())
}

/// `^[CGD][A-Z0-9]+:\d+\.\d{6}$`
fn is_slack_thread(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    id.split_once(':').is_some_and(|(channel, ts)| {
        is_channel(channel)
            && ts
                .split_once('.')
                .is_some_and(|(seconds, rest)| digits(seconds) && digits(rest) && rest.len() == 6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_bodies_are_accepted() {
        for body in [
            r#"{"channelTarget":{"ticketSource":{"integrationId":"i"}},"externalTicketId":"x"}"#,
            r#"{"channelTarget":{"ticketSource":{"ticketSourceId":"i"}},"externalTicketId":"x","externalTicketData":{"a":1},"externalTicketSubtype":"incident","accountedForMessageIds":["m"]}"#,
            r#"{"channelTarget":{"email":{}},"externalTicketId":"x","externalTicketSubtype":null,"externalTicketData":null}"#,
            r#"{"channelTarget":{"slackChannel":{"integrationId":"i"}},"externalTicketId":"C9DDYQ1B4:1779146751.061339"}"#,
            r#"{"channelTarget":{"slackDm":{"integrationId":"i","targetUserType":"CHANNEL_SYNC_TARGET_USER_TICKET_REQUESTOR"}},"externalTicketId":"D111:1.000000"}"#,
        ] {
            assert!(ConnectBody::read(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn whatever_is_not_documented_is_refused_by_name() {
        let target = r#""channelTarget":{"ticketSource":{"integrationId":"i"}}"#;
        let slack = r#""channelTarget":{"slackChannel":{"integrationId":"i"}}"#;
        for (body, named) in [
            (String::new(), "JSON object"),
            ("{".to_owned(), "EOF"),
            (
                r#"[{"email":{}},"x",null,null,[]]"#.to_owned(),
                "JSON object",
            ),
            ("{}".to_owned(), "channelTarget"),
            (format!("{{{target}}}"), "externalTicketId"),
            (format!(r#"{{{target},"externalTicketId":""}}"#), "empty"),
            (format!(r#"{{{target},"externalTicketId":1}}"#), "string"),
            (
                format!(r#"{{{target},"externalTicketId":"x","extra":1}}"#),
                "extra",
            ),
            (
                format!(r#"{{{target},"externalTicketId":"x","externalTicketId":"y"}}"#),
                "duplicate",
            ),
            (
                format!(r#"{{{target},"externalTicketId":"x","externalTicketData":[]}}"#),
                "object",
            ),
            (
                format!(r#"{{{target},"externalTicketId":"x","externalTicketData":"{{}}"}}"#),
                "object",
            ),
            (
                format!(r#"{{{target},"externalTicketId":"x","externalTicketSubtype":1}}"#),
                "string",
            ),
            (
                format!(r#"{{{target},"externalTicketId":"x","accountedForMessageIds":[1]}}"#),
                "string",
            ),
            (
                format!(r#"{{{slack},"externalTicketId":"x"}}"#),
                "channelId:threadTs",
            ),
            (
                format!(r#"{{{slack},"externalTicketId":"C111:1.5"}}"#),
                "channelId:threadTs",
            ),
            (
                r#"{"channelTarget":{},"externalTicketId":"x"}"#.to_owned(),
                "exactly one",
            ),
            (
                r#"{"channelTarget":{"email":{},"slackDm":{}},"externalTicketId":"x"}"#.to_owned(),
                "exactly one",
            ),
            (
                r#"{"channelTarget":{"teams":{}},"externalTicketId":"x"}"#.to_owned(),
                "teams",
            ),
            (
                r#"{"channelTarget":{"email":1},"externalTicketId":"x"}"#.to_owned(),
                "object",
            ),
            (
                r#"{"channelTarget":{"ticketSource":{}},"externalTicketId":"x"}"#.to_owned(),
                "integrationId",
            ),
            (
                r#"{"channelTarget":{"ticketSource":{"integrationId":1}},"externalTicketId":"x"}"#
                    .to_owned(),
                "string",
            ),
            (
                r#"{"channelTarget":{"ticketSource":{"integration":"i"}},"externalTicketId":"x"}"#
                    .to_owned(),
                "unknown field",
            ),
            (
                r#"{"channelTarget":{"email":{"targetUserType":"BOSS"}},"externalTicketId":"x"}"#
                    .to_owned(),
                "unknown value",
            ),
        ] {
            let error = ConnectBody::read(body.as_bytes()).unwrap_err();
            assert!(error.contains(named), "{body}: {error}");
        }
    }
}
