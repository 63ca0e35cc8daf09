//! Bodies of Slack, sensible or not.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::kept::slack::check;
use super::{damaged, try_all};

const SEEDS: &[&str] = &["fuzz/seeds/slack", "tests/fixtures/slack"];

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

#[test]
fn kept_bodies_are_read_as_they_must() {
    try_all(SEEDS, check);
}

proptest! {
    #[test]
    fn arbitrary_bytes_have_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&body);
    }

    #[test]
    fn damaged_bodies_have_an_answer(body in damaged(SEEDS)) {
        check(&body);
    }

    #[test]
    fn whatever_is_json_is_understood(event in value(), event_id in value(), pad in "[ \t\r\n]{0,3}") {
        let body = json!({
            "type": "event_callback", "event": event, "event_id": event_id,
            "authorizations": [event_id], "team_id": event_id,
        });
        check(format!("{pad}{body}{pad}").as_bytes());
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
        check(body.to_string().as_bytes());
    }
}
