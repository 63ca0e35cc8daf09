//! The Serval ticket that a message names.

use serde_json::json;

use super::*;

const URL: &str = "https://s.example/t/ACM-10?a=1&b=2";
const OTHER: &str = "https://s.example/t/ACM-11";

/// Trusts the user of [`message`].
fn trusting() -> Config {
    Config {
        trusted_users: vec!["U1".to_owned()],
        ..config()
    }
}

fn hint(config: &Config, changes: &Value) -> Option<String> {
    let event = event_of(config, &message(changes));
    event.hint.map(|id| id.to_string())
}

/// The hint of a source that can read no URL.
fn hint_without_pattern(config: &Config, changes: &Value) -> Option<String> {
    let policy = SourcePolicy {
        ticket_url_pattern: None,
        ..policy()
    };
    let event = event_by(&*config.build(&policy).unwrap(), &message(changes));
    event.hint.map(|id| id.to_string())
}

#[test]
fn metadata_names_the_ticket_by_the_first_usable_key() {
    for (payload, expected) in [
        (json!({"serval_ticket_id": "ACM-10"}), Some("ACM-10")),
        (json!({"ticket_id": " ACM-10 "}), Some("ACM-10")),
        (
            json!({"ticket_id": "ACM-11", "serval_ticket_id": "ACM-10"}),
            Some("ACM-10"),
        ),
        (
            json!({"serval_ticket_id": "---waiting---", "ticket_id": "ACM-10"}),
            Some("ACM-10"),
        ),
        (
            json!({"serval_ticket_id": {"id": "x"}, "ticket_id": "ACM-10"}),
            Some("ACM-10"),
        ),
        (json!({"ticket_id": URL}), Some("ACM-10")),
        (
            json!({"ticket_id": "https://elsewhere.example/t/ACM-10"}),
            None,
        ),
        (json!({"ticket_id": ""}), None),
        (json!({"ticket_id": 10}), None),
        (json!({"ticket_id": null}), None),
        (json!({"other": "ACM-10"}), None),
        (json!({"x": {"ticket_id": "ACM-10"}}), None),
        (json!("ACM-10"), None),
        (json!(["ticket_id", "ACM-10"]), None),
    ] {
        let changes = json!({"metadata": {"event_type": "t", "event_payload": payload}});
        assert_eq!(
            hint(&trusting(), &changes).as_deref(),
            expected,
            "{changes}"
        );
    }
    let config = Config {
        metadata_keys: vec!["id".to_owned()],
        ..trusting()
    };
    let id = json!({"metadata": {"event_payload": {"id": "ACM-10", "ticket_id": "ACM-11"}}});
    assert_eq!(
        hint_without_pattern(&config, &id).as_deref(),
        Some("ACM-10")
    );
    let url = json!({"metadata": {"event_payload": {"id": URL}}});
    assert_eq!(hint_without_pattern(&config, &url), None);
}

#[test]
fn links_name_the_ticket_wherever_they_stand() {
    let mut deep = json!({"type": "link", "url": URL});
    for _ in 0..8 {
        deep = json!({"type": "rich_text_section", "elements": [deep]});
    }
    let button = json!({"type": "button", "url": URL, "text": {"type": "plain_text", "text": "x"}});
    for changes in [
        json!({"text": "<https://s.example/t/ACM-10?a=1&amp;b=2|ACM-10> was made"}),
        json!({"text": "a &lt;b&gt; <@U1> <!here> <#C1|c> <https://s.example/t/ACM-10>"}),
        json!({"text": "<https://other.example> <https://s.example/t/ACM-10><mailto:a@b.c|a>"}),
        json!({"blocks": [{"type": "rich_text", "elements": [
            {"type": "rich_text_section", "elements": [
                {"type": "text", "text": "see "}, {"type": "link", "url": URL, "text": "ACM-10"},
            ]},
        ]}]}),
        json!({"blocks": [{"type": "rich_text", "elements": [deep]}]}),
        json!({"blocks": [{"type": "actions", "elements": [button]}]}),
        json!({"blocks": [{"type": "section", "accessory": button}]}),
        json!({"blocks": [{"type": "section", "text":
            {"type": "mrkdwn", "text": "<https://s.example/t/ACM-10|Ticket>"}}]}),
        json!({"blocks": [{"type": "section", "fields": [
            {"type": "mrkdwn", "text": "*Ticket*\n<https://s.example/t/ACM-10|ACM-10>"}]}]}),
        json!({"attachments": [{"title": "x"}, {"title_link": URL}]}),
        json!({"attachments": [{"from_url": URL}]}),
        json!({"attachments": [{"original_url": URL}]}),
        json!({"attachments": [{"blocks": [{"type": "actions", "elements": [button]}]}]}),
        json!({"text": "<https://other.example>", "attachments": [{"title_link": URL}]}),
        json!({"text": 7, "blocks": {}, "attachments": [null, 7, [], {"title_link": URL}]}),
    ] {
        let found = hint(&trusting(), &changes);
        assert_eq!(found.as_deref(), Some("ACM-10"), "{changes}");
        let found = hint_without_pattern(&trusting(), &changes);
        assert_eq!(found, None, "{changes}");
    }
}

#[test]
fn what_is_no_link_to_a_ticket_names_none() {
    for changes in [
        json!({"text": "ACM-10"}),
        json!({"text": "https://s.example/t/ACM-10 &lt;https://s.example/t/ACM-10&gt;"}),
        json!({"text": "<https://s.example/t/ACM-10"}),
        json!({"text": "<https://evil.example/?https://s.example/t/ACM-10>"}),
        json!({"text": "<https://s.example/t/---waiting--->"}),
        json!({"text": "<https://other.example|https://s.example/t/ACM-10>"}),
        json!({"blocks": [{"type": "image", "url": URL, "image_url": URL}]}),
        json!({"blocks": [{"type": "section", "text": {"type": "plain_text",
            "text": "<https://s.example/t/ACM-10>"}}]}),
        json!({"attachments": [{"text": URL, "image_url": URL}]}),
        json!({"attachments": [{"is_share": true, "title_link": URL}]}),
        json!({"attachments": [{"is_msg_unfurl": true, "from_url": URL,
            "message_blocks": [{"type": "link", "url": URL}]}]}),
        json!({"files": [{"url": URL}], "url": URL, "metadata": {"url": URL}}),
    ] {
        assert_eq!(hint(&trusting(), &changes), None, "{changes}");
    }
}

#[test]
fn links_to_different_tickets_name_none_of_them() {
    let both = format!("<{OTHER}> <https://s.example/t/ACM-10>");
    let block =
        |url: &str| json!([{"type": "actions", "elements": [{"type": "button", "url": url}]}]);
    for (changes, expected) in [
        (json!({"text": both}), None),
        (json!({"text": both, "blocks": block(URL)}), None),
        (
            json!({"text": format!("<{OTHER}> again <{OTHER}|x>")}),
            Some("ACM-11"),
        ),
        // The text comes first: the rest of the message may speak of related tickets.
        (
            json!({"text": format!("<{OTHER}>"), "blocks": block(URL)}),
            Some("ACM-11"),
        ),
        (
            json!({"text": "no link", "blocks": block(URL)}),
            Some("ACM-10"),
        ),
        (
            json!({"attachments": [{"title_link": URL, "from_url": OTHER}]}),
            None,
        ),
        // Metadata is meant for programs.
        (
            json!({"text": both, "metadata": {"event_payload": {"ticket_id": "ACM-12"}}}),
            Some("ACM-12"),
        ),
    ] {
        assert_eq!(
            hint(&trusting(), &changes).as_deref(),
            expected,
            "{changes}"
        );
    }
}

#[test]
fn only_trusted_senders_name_tickets() {
    let nobody = Config {
        trusted_users: Vec::new(),
        ..trusting()
    };
    let apps = |ids: &[&str]| Config {
        trusted_apps: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..nobody.clone()
    };
    let bot = json!({"bot_id": "B1", "bot_profile": {"app_id": "A1"}});
    let named = Some("ACM-10");
    for (config, changes, expected) in [
        (nobody.clone(), json!({}), None),
        (trusting(), json!({}), named),
        (trusting(), json!({"user": "U2"}), None),
        (trusting(), json!({"user": null}), None),
        (trusting(), bot.clone(), None),
        (apps(&["A1"]), bot.clone(), named),
        (apps(&["B1"]), bot.clone(), named),
        (apps(&["A2", "U1"]), bot, None),
        (apps(&["A1"]), json!({"app_id": "A1"}), named),
        (
            apps(&["A1"]),
            json!({"app_id": "A1", "subtype": "bot_message", "user": null}),
            named,
        ),
        (apps(&["A1"]), json!({}), None),
        (trusting(), json!({"type": "app_mention"}), named),
        (trusting(), json!({"thread_ts": "19.5"}), named),
        (
            trusting(),
            json!({"edited": {"user": "U1", "ts": "21.0"}}),
            None,
        ),
        (trusting(), json!({"hidden": true}), None),
        (trusting(), json!({"channel": "D111"}), None),
        (trusting(), json!({"subtype": "channel_topic"}), None),
        (trusting(), json!({"type": "message_metadata_posted"}), None),
    ] {
        let mut carriers = vec![json!({"text": "<https://s.example/t/ACM-10>"})];
        carriers.push(json!({"metadata": {"event_payload": {"ticket_id": "ACM-10"}}}));
        for mut carrier in carriers {
            for (key, value) in changes.as_object().unwrap() {
                carrier[key] = value.clone();
            }
            assert_eq!(hint(&config, &carrier).as_deref(), expected, "{carrier}");
        }
    }
}

#[test]
fn edits_and_echoes_name_no_ticket() {
    let inner = json!({"user": "U1", "ts": "20.5", "text": "<https://s.example/t/ACM-10>"});
    let edit = json!({"subtype": "message_changed", "message": inner, "previous_message": inner,
        "text": "<https://s.example/t/ACM-10>"});
    let event = event_of(&trusting(), &message(&edit));
    assert_eq!((event.disposition, event.hint), (ignore("edited"), None));
    let own = Config {
        own_ids: vec!["U1".to_owned()],
        ..trusting()
    };
    let event = event_of(&own, &message(&inner));
    assert_eq!((event.disposition, event.hint), (ECHO, None));
}

#[test]
fn the_work_is_bounded() {
    let fill = "<https://other.example> ".repeat(63);
    let link = "<https://s.example/t/ACM-10>";
    let found = |text: String| hint(&trusting(), &json!({"text": text}));
    assert_eq!(found(format!("{fill}{link}")).as_deref(), Some("ACM-10"));
    assert_eq!(found(format!("{fill}<https://other.example>{link}")), None);

    let nested = |depth: usize| {
        let open = r#"{"type":"x","elements":["#.repeat(depth);
        let close = "]}".repeat(depth);
        let blocks = format!(r#"[{open}{{"type":"link","url":"{URL}"}}{close}]"#);
        let body = message(&json!({"blocks": "HERE"})).replace("\"HERE\"", &blocks);
        event_of(&trusting(), &body).hint
    };
    assert!(nested(15).is_some());
    assert!(nested(16).is_none());
    assert!(nested(10_000).is_none());

    let wide = vec![json!({"type": "divider"}); 3000];
    let mut blocks = wide.clone();
    blocks.insert(0, json!({"type": "link", "url": URL}));
    assert!(hint(&trusting(), &json!({"blocks": blocks})).is_some());
    blocks.rotate_left(1);
    assert!(hint(&trusting(), &json!({"blocks": blocks})).is_none());
}

#[test]
fn what_no_value_could_hold_stands_beside_a_ticket_without_harm() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for odd in ["1e999", r#""\udead""#, r#"{"\udead":1}"#, deep.as_str()] {
        let changes = json!({
            "x": "HERE", "blocks": ["HERE", {"type": "link", "url": URL, "style": "HERE"}],
        });
        let body = message(&changes).replace("\"HERE\"", odd);
        assert!(event_of(&trusting(), &body).hint.is_some(), "{body:.200}");
        let metadata = json!({"metadata": {"event_payload": {"x": "HERE", "ticket_id": "A-1"}}});
        let body = message(&metadata).replace("\"HERE\"", odd);
        assert!(event_of(&trusting(), &body).hint.is_some(), "{body:.200}");
    }
}

#[test]
fn a_carrier_that_stands_twice_names_no_ticket_and_refuses_nothing() {
    let body = message(&json!({"text": "HERE"})).replace(
        "\"text\":\"HERE\"",
        &format!(r#""text":"<{OTHER}>","text":"<{OTHER}>""#),
    );
    let event = event_of(&trusting(), &body);
    assert_eq!((event.disposition, event.hint), (CONNECT, None));
    let body = message(&json!({"metadata": {"event_payload": "HERE"}}))
        .replace("\"HERE\"", r#"{"ticket_id":"A-1","ticket_id":"A-2"}"#);
    assert_eq!(event_of(&trusting(), &body).hint, None);
}
