//! What holds for every body, however damaged.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use serde_json::value::Value;

use super::{config, slack};
use crate::domain::event::Disposition;
use crate::domain::ids::SourceKind;
use crate::sources::slack::{Config, Slack, interpret as module};
use crate::sources::{Receipt, Unreadable};

const SEEDS: &[&str] = &[
    include_str!("../../../../tests/fixtures/slack/message_reply.json"),
    include_str!("../../../../tests/fixtures/slack/message_changed.json"),
    include_str!("../../../../tests/fixtures/slack/own_message.json"),
    include_str!("../../../../tests/fixtures/slack/pin_added.json"),
    include_str!("../../../../tests/fixtures/slack/assistant_thread_started.json"),
    include_str!("../../../../tests/fixtures/slack/url_verification.json"),
    include_str!("../../../../tests/fixtures/slack/app_rate_limited.json"),
];

fn interpret(body: &[u8]) -> Result<Receipt, Unreadable> {
    static SOURCE: LazyLock<Slack> = LazyLock::new(|| {
        slack(&Config {
            direct_messages: true,
            direct_message_target: Some(json!({"slackDm": {"integrationId": "i"}})),
            trusted_users: vec!["U1".to_owned()],
            ticket_url_pattern: Some("^https://s/(?<ticket_id>.*)".to_owned()),
            ..config()
        })
    });
    module::interpret(body, &SOURCE.rules)
}

/// What holds for every body.
fn check(body: &[u8]) {
    let is_json = serde_json::from_slice::<Value>(body).is_ok();
    let receipt = match interpret(body) {
        Ok(receipt) => receipt,
        Err(Unreadable::Body(text)) => return assert!(text.len() < 100),
        Err(other) => panic!("{other:?}"),
    };
    let Receipt::Events(events) = receipt else {
        return;
    };
    let [event] = events.as_slice() else {
        panic!("one event expected, not {events:?}");
    };
    let object = std::str::from_utf8(&body[event.object.clone()]).unwrap();
    assert_eq!(object, object.trim());
    assert!(!object.is_empty());
    if is_json {
        serde_json::from_str::<Value>(object).unwrap();
    }
    if let Some(id) = &event.external_id {
        let parsed = SourceKind::Slack.parse_external_id(id.as_str()).unwrap();
        assert_eq!(&parsed, id);
    }
    if event.disposition == Disposition::Connect {
        assert!(event.external_id.is_some());
        assert!(object.starts_with('{'));
    } else {
        assert_eq!(event.content_key, None);
        assert_eq!(event.hint, None);
    }
    assert!((1..=64).contains(&event.event_type.len()));
    assert!(event.event_type.bytes().all(|b| b.is_ascii_graphic()));
    assert!(
        event
            .delivery_key
            .as_ref()
            .is_none_or(|key| !key.is_empty() && key.chars().count() < 200)
    );
}

/// Any value that a key we read may have, sane or not.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        select(vec![
            json!(null),
            json!(true),
            json!(7),
            json!(1.5e300),
            json!(""),
            json!([]),
            json!({}),
            json!("message"),
            json!("app_mention"),
            json!("event_callback"),
            json!("bot_message"),
            json!("message_changed"),
            json!("pin_added"),
            json!("C111"),
            json!("D111"),
            json!("COMPOSER"),
            json!("1.2"),
            json!("99999999999999999999999.9"),
            json!("U1"),
            json!("link"),
            json!("button"),
            json!("mrkdwn"),
            json!("https://s/ACM-10"),
            json!("<https://s/ACM-10|x> <https://s/<"),
        ]),
        any::<String>().prop_map(Value::from),
    ];
    let key = select(vec![
        "type",
        "subtype",
        "event",
        "channel",
        "channel_id",
        "user",
        "ts",
        "thread_ts",
        "message",
        "previous_message",
        "item",
        "assistant_thread",
        "bot_id",
        "bot_profile",
        "app_id",
        "authorizations",
        "team_id",
        "event_id",
        "deleted_ts",
        "message_ts",
        "hidden",
        "edited",
        "metadata",
        "event_payload",
        "ticket_id",
        "text",
        "blocks",
        "elements",
        "fields",
        "accessory",
        "attachments",
        "title_link",
        "url",
    ]);
    leaf.prop_recursive(3, 40, 10, move |inner| {
        prop_oneof![
            prop::collection::vec((key.clone(), inner.clone()), 0..10)
                .prop_map(|pairs| { pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() }),
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_have_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&body);
    }

    #[test]
    fn damaged_envelopes_have_an_answer(
        seed in select(SEEDS),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut body = seed.as_bytes().to_vec();
        for (at, byte, edit) in edits {
            let at = at.index(body.len());
            match edit {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                _ => body.truncate(at.max(8)),
            }
        }
        check(&body);
    }

    #[test]
    fn whatever_is_json_is_understood(event in value(), event_id in value(), pad in "[ \t\r\n]{0,3}") {
        let body = json!({
            "type": "event_callback", "event": event, "event_id": event_id,
            "authorizations": [event_id], "team_id": event_id,
        });
        let body = format!("{pad}{body}{pad}");
        prop_assert!(interpret(body.as_bytes()).is_ok());
        check(body.as_bytes());
    }

    #[test]
    fn messages_of_trusted_users_are_read_whatever_they_hold(
        text in value(),
        blocks in prop::collection::vec(value(), 0..4),
        metadata in value(),
    ) {
        let body = json!({
            "type": "event_callback",
            "event": {
                "type": "message", "channel": "C111", "ts": "1.2", "user": "U1", "text": text,
                "blocks": blocks, "attachments": blocks, "metadata": {"event_payload": metadata},
            },
        });
        check(body.to_string().as_bytes());
    }

    #[test]
    fn any_json_at_all_is_understood(body in value()) {
        let body = body.to_string();
        prop_assert!(interpret(body.as_bytes()).is_ok());
        check(body.as_bytes());
    }
}
