//! Events of authentic bodies. Edge cases are written out here, whole envelopes are fixtures.

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/fixtures/slack/", $name, ".json"))
    };
}

mod authors;
mod envelopes;
mod kinds;
mod threads;
mod tickets;

use crate::domain::reason::Reason;
use crate::domain::report::Report;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::value::Value;
use serde_json::{from_str, json};

use super::Config;
use crate::domain::event::{Disposition, NewEvent, Rank};
use crate::domain::ids::ExternalId;
use crate::sources::auth::signature::mac;
use crate::sources::{
    InvalidKey, KindConfig as _, Receipt, Source, SourcePolicy, Unreadable, Unverified,
};

const ROOT: &str = "C9DDYQ1B4:1779146751.061339";

fn config() -> Config {
    Config {
        signing_secrets: vec!["a-signing-secret".into()],
        ..Config::default()
    }
}

fn policy() -> SourcePolicy {
    SourcePolicy {
        channel_target: Some(json!({"slackChannel": {"integrationId": "i"}})),
        ticket_url_pattern: Some(r"^https://s\.example/t/(?<ticket_id>[^/?#]+)".to_owned()),
        ..SourcePolicy::default()
    }
}

fn receive(config: &Config, body: &[u8]) -> Result<Receipt, Unreadable> {
    receive_by(&*config.build(&policy()).unwrap(), body)
}

/// Signs `body`, has it verified and interpreted.
fn receive_by(slack: &dyn Source, body: &[u8]) -> Result<Receipt, Unreadable> {
    let signature = hex::encode(mac(
        b"a-signing-secret",
        &[b"v0:", b"1779146752", b":", body],
    ));
    let mut headers = HeaderMap::new();
    headers.insert("X-Slack-Request-Timestamp", "1779146752".parse().unwrap());
    headers.insert(
        "X-Slack-Signature",
        format!("v0={signature}").parse().unwrap(),
    );
    let request = Unverified {
        headers: &headers,
        table: None,
        body,
    };
    let now = Timestamp::from_second(1_779_146_753).unwrap();
    slack.interpret(&slack.verify(request, now).unwrap())
}

fn event_of(config: &Config, body: &str) -> NewEvent {
    event_by(&*config.build(&policy()).unwrap(), body)
}

fn event_by(slack: &dyn Source, body: &str) -> NewEvent {
    match receive_by(slack, body.as_bytes()) {
        Ok(Receipt::Events(events)) if events.len() == 1 => events.into_iter().next().unwrap(),
        other => panic!("one event expected, not {other:?}: {body}"),
    }
}

fn callback(event: &Value) -> String {
    json!({
        "type": "event_callback", "team_id": "T0BRIDGE1", "api_app_id": "A0BRIDGE1",
        "event_id": "Ev1", "event": event,
        "authorizations": [{"user_id": "U0BRIDGE1", "is_bot": true}],
    })
    .to_string()
}

/// `message` with `changes` in place; `null` removes a key.
fn message(changes: &Value) -> String {
    let mut event = json!({"type": "message", "channel": "C111", "user": "U1", "ts": "20.5"});
    for (key, value) in changes.as_object().unwrap() {
        event[key] = value.clone();
    }
    event.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    callback(&event)
}

fn id(event: &NewEvent) -> Option<&str> {
    event.external_id.as_ref().map(ExternalId::as_str)
}

const CONNECT: Disposition = Disposition::Connect;
const ECHO: Disposition = Disposition::Skip(Reason::Echo);
const fn ignore(reason: &'static str) -> Disposition {
    Disposition::Ignore(reason)
}

#[test]
fn every_fixture_is_sorted_and_its_inner_event_is_found_byte_for_byte() {
    for (body, disposition, external_id, event_type) in [
        (fixture!("message_root"), CONNECT, Some(ROOT), "message"),
        (fixture!("app_mention"), CONNECT, Some(ROOT), "app_mention"),
        (fixture!("message_reply"), CONNECT, Some(ROOT), "message"),
        (
            fixture!("thread_broadcast"),
            CONNECT,
            Some(ROOT),
            "message.thread_broadcast",
        ),
        (
            fixture!("file_share"),
            CONNECT,
            Some("C9DDYQ1B4:1779147000.000400"),
            "message.file_share",
        ),
        (fixture!("own_message"), ECHO, Some(ROOT), "message"),
        (
            fixture!("message_changed"),
            ignore("edited"),
            Some(ROOT),
            "message.message_changed",
        ),
        (
            fixture!("message_deleted"),
            ignore("deleted"),
            Some(ROOT),
            "message.message_deleted",
        ),
        (
            fixture!("message_replied"),
            ignore("thread_update"),
            Some(ROOT),
            "message",
        ),
        (
            fixture!("tombstone"),
            ignore("root_deleted"),
            Some(ROOT),
            "message.message_changed",
        ),
        (
            fixture!("bot_message"),
            ignore("bot_message"),
            Some("C9DDYQ1B4:1779147400.000800"),
            "message",
        ),
        (
            fixture!("classic_bot_message"),
            ignore("bot_message"),
            Some("C9DDYQ1B4:1779147500.000900"),
            "message.bot_message",
        ),
        (
            fixture!("direct_message"),
            ignore("direct_message"),
            Some("D0PRIVATE:1779147700.001100"),
            "message",
        ),
        (
            fixture!("reaction_added"),
            ignore("reaction"),
            None,
            "reaction_added",
        ),
        (
            fixture!("pin_added"),
            ignore("pin"),
            Some(ROOT),
            "pin_added",
        ),
        (
            fixture!("link_shared"),
            ignore("link_shared"),
            Some(ROOT),
            "link_shared",
        ),
        (
            fixture!("link_shared_composer"),
            ignore("link_shared"),
            None,
            "link_shared",
        ),
        (
            fixture!("assistant_thread_started"),
            ignore("assistant_thread"),
            Some("D0PRIVATE:1779148100.001500"),
            "assistant_thread_started",
        ),
        (
            fixture!("metadata_posted"),
            ignore("metadata"),
            None,
            "message_metadata_posted",
        ),
        (
            fixture!("channel_id_changed"),
            ignore("channel_id_changed"),
            None,
            "channel_id_changed",
        ),
        (
            fixture!("team_join"),
            ignore("not_a_message"),
            None,
            "team_join",
        ),
        (
            fixture!("channel_rename"),
            ignore("not_a_message"),
            None,
            "channel_rename",
        ),
    ] {
        let event = event_of(&config(), body);
        assert_eq!(event.disposition, disposition, "{body}");
        assert_eq!(id(&event), external_id, "{body}");
        assert_eq!(event.event_type, event_type);
        assert_eq!(event.subtype, None);
        let start = body.find("\"event\": {").unwrap() + "\"event\": ".len();
        let end = body.find(",\n  \"type\": \"event_callback\"").unwrap();
        let inner: Value = from_str(&body[start..end]).unwrap();
        if event.report == Report::MessageEdit && inner["subtype"] == "message_changed" {
            let object: Value = from_str(&body[event.object.clone()]).unwrap();
            assert_eq!(object, inner["message"]);
        } else {
            assert_eq!(body[event.object.clone()], body[start..end]);
        }
        let envelope: Value = from_str(body).unwrap();
        let key = format!("ev:{}", envelope["event_id"].as_str().unwrap());
        assert_eq!(event.delivery_key, Some(key));
        assert_eq!(
            event.content_key.is_some(),
            disposition == CONNECT,
            "{body}"
        );
    }
}

#[test]
fn twins_share_their_content_and_nothing_else_does() {
    let message = event_of(&config(), fixture!("message_root"));
    let mention = event_of(&config(), fixture!("app_mention"));
    assert_ne!(message.delivery_key, mention.delivery_key);
    assert_eq!(message.content_key, mention.content_key);
    assert_eq!(
        message.content_key.as_deref(),
        Some("msg:C9DDYQ1B4:1779146751.061339")
    );
    let reply = event_of(&config(), fixture!("message_reply"));
    assert_eq!(
        reply.content_key.as_deref(),
        Some("msg:C9DDYQ1B4:1779146800.000200")
    );
    // A shared channel, heard through either workspace.
    for team in ["team_id", "context_team_id"] {
        let mut theirs: Value = from_str(fixture!("message_root")).unwrap();
        theirs[team] = "T0THEIRS1".into();
        let theirs = event_of(&config(), &theirs.to_string());
        assert_eq!(theirs.content_key, message.content_key, "{team}");
        assert_eq!(theirs.external_id, message.external_id, "{team}");
    }
}
