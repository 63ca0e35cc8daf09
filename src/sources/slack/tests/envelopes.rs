//! Decisions of the envelope: handshakes, notices, what is no event, and keys.

use serde_json::json;

use super::*;

#[test]
fn a_handshake_is_answered_with_its_challenge() {
    let challenge =
        Receipt::Challenge("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P".into());
    let body = fixture!("url_verification");
    assert_eq!(receive(&config(), body.as_bytes()), Ok(challenge));
    let escaped = br#"{"t\u0079pe":"url\u005fverification","challenge":"a\"b"}"#;
    assert_eq!(
        receive(&config(), escaped),
        Ok(Receipt::Challenge("a\"b".into()))
    );
    for challenge in ["null", "7", "{}", "\"\"", "\"\\ud800\""] {
        let body = format!(r#"{{"type":"url_verification","challenge":{challenge}}}"#);
        let answer = receive(&config(), body.as_bytes());
        assert!(matches!(answer, Err(Unreadable::Body(_))), "{challenge}");
    }
}

#[test]
fn a_rate_limit_notice_is_one_event_for_each_workspace_and_minute() {
    let body = fixture!("app_rate_limited");
    let event = event_of(&config(), body);
    assert_eq!(event.disposition, ignore("app_rate_limited"));
    assert_eq!(event.event_type, "app_rate_limited");
    assert_eq!(
        event.delivery_key.as_deref(),
        Some("rate:T0BRIDGE1:1779148560")
    );
    assert_eq!(body[event.object], *body.trim());
    for odd in ["null", "-1", "1.5", "\"1\"", "{}"] {
        let body = body.replace("1779148560", odd);
        assert_eq!(event_of(&config(), &body).delivery_key, None, "{odd}");
    }
}

#[test]
fn json_that_is_no_event_is_stored_as_ignored() {
    for (body, reason, event_type) in [
        ("[]", "not_an_event", "unknown"),
        (r#"["event_callback"]"#, "not_an_event", "unknown"),
        ("null", "not_an_event", "unknown"),
        ("1e999", "not_an_event", "unknown"),
        (r#""\ud800""#, "not_an_event", "unknown"),
        ("{}", "unknown_type", "unknown"),
        (r#"{"type":7}"#, "unknown_type", "unknown"),
        (
            r#"{"type":"news","event":{"type":"message"}}"#,
            "unknown_type",
            "news",
        ),
        (r#"{"type":"event_callback"}"#, "no_event", "event_callback"),
        (
            r#"{"type":"event_callback","event":null}"#,
            "no_event",
            "event_callback",
        ),
        (
            r#"{"type":"event_callback","event":"message"}"#,
            "no_event",
            "event_callback",
        ),
        (
            r#"{"type":"event_callback","event":[{}]}"#,
            "no_event",
            "event_callback",
        ),
        (
            r#"{"type":"event_callback","event":{}}"#,
            "not_a_message",
            "unknown",
        ),
        (
            r#"{"type":"event_callback","event":{"type":["message"]}}"#,
            "not_a_message",
            "unknown",
        ),
    ] {
        let event = event_of(&config(), &format!("\r\n {body}\t"));
        assert_eq!(event.disposition, ignore(reason), "{body}");
        assert_eq!(event.event_type, event_type, "{body}");
        assert_eq!(event.delivery_key, None, "{body}");
        let inner = if reason == "not_a_message" {
            &body[33..body.len() - 1]
        } else {
            body
        };
        let object = 3 + body.find(inner).unwrap();
        assert_eq!(event.object, object..object + inner.len(), "{body}");
    }
}

#[test]
fn what_is_not_json_is_refused_without_a_word_of_it() {
    for body in [
        &b""[..],
        b" ",
        b"payload=%7B%22s3cret%22%7D",
        b"{\"s3cret\":",
        b"{} s3cret",
        b"{'s3cret':1}",
        b"{\"type\":\"s3cret\xff\"}",
        b"\xef\xbb\xbf{\"s3cret\":1}",
        b"{\"s3cret\":01}",
        b"{\"s3cret\":NaN}",
    ] {
        let Err(Unreadable::Body(text)) = receive(&config(), body) else {
            panic!("{}", String::from_utf8_lossy(body));
        };
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.starts_with("the body is not "), "{text}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_where_it_is_read() {
    let twice = |event: &str| {
        let body = format!(r#"{{"type":"event_callback","event":{event}}}"#);
        receive(&config(), body.as_bytes()).is_err()
    };
    for event in [
        r#"{"type":"message","type":"message"}"#,
        r#"{"type":"message","channel":"C111","ch\u0061nnel":"C222"}"#,
        r#"{"type":"message","subtype":"message_changed","message":{"ts":"1.2","ts":null}}"#,
        r#"{"type":"message","bot_profile":{"app_id":"A1","app_id":"A2"}}"#,
        r#"{"type":"pin_added","item":{"message":{},"message":{}}}"#,
    ] {
        assert!(twice(event), "{event}");
    }
    assert!(!twice(
        r#"{"type":"message","text":"a","text":"b","x":{"ts":1,"ts":2}}"#
    ));
    assert!(receive(&config(), br#"{"type":"a","type":"event_callback"}"#).is_err());
}

#[test]
fn what_is_not_read_may_be_anything() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for odd in ["1e999", r#""\udead""#, deep.as_str()] {
        let body = message(&json!({"x": "HERE"})).replace("\"HERE\"", odd);
        let event = event_of(&config(), &body);
        assert_eq!(event.disposition, CONNECT);
        assert!(body[event.object].contains(odd));
    }
}

#[test]
fn an_event_id_names_the_delivery_when_it_is_fit_to() {
    let key = |event_id: &Value| {
        let body = json!({"type": "event_callback", "event_id": event_id}).to_string();
        event_of(&config(), &body).delivery_key
    };
    assert_eq!(key(&json!("Ev08")).as_deref(), Some("ev:Ev08"));
    let longest = "é".repeat(128);
    assert_eq!(key(&json!(longest)), Some(format!("ev:{longest}")));
    for unfit in [
        json!("x".repeat(129)),
        json!(""),
        json!(7),
        json!(null),
        json!({}),
    ] {
        assert_eq!(key(&unfit), None, "{unfit}");
    }
}

#[test]
fn event_types_are_short_and_plain() {
    for (kind, subtype, expected) in [
        (
            "message",
            json!("bot_message"),
            "message.bot_message".to_owned(),
        ),
        ("message", json!(7), "message".to_owned()),
        ("a b\n\u{1f525}<", json!(null), "a_b___".to_owned()),
        ("x", json!("y".repeat(100)), format!("x.{}", "y".repeat(62))),
    ] {
        let body = callback(&json!({"type": kind, "subtype": subtype}));
        assert_eq!(event_of(&config(), &body).event_type, expected);
    }
}

#[test]
fn a_workspace_without_a_secret_or_a_target_is_refused_at_start() {
    let refused = |change: fn(&mut Config, &mut SourcePolicy)| {
        let (mut config, mut policy) = (config(), policy());
        change(&mut config, &mut policy);
        let built = config.build(&policy);
        built.map(drop).map_err(|InvalidKey { key, .. }| key)
    };
    assert_eq!(refused(|_, _| ()), Ok(()));
    assert_eq!(
        refused(|c, _| c.signing_secrets.clear()),
        Err("signing_secrets")
    );
    assert_eq!(
        refused(|c, _| c.signing_secrets.push("".into())),
        Err("signing_secrets")
    );
    assert_eq!(
        refused(|_, p| p.channel_target = None),
        Err("channel_target")
    );
    assert_eq!(
        refused(|_, p| p.channel_target = Some(json!({}))),
        Err("channel_target")
    );
    assert_eq!(
        refused(|_, p| p.ticket_url_pattern = Some("https://x/(.*)".to_owned())),
        Err("ticket_url_pattern")
    );
    assert_eq!(
        refused(|c, _| c.direct_messages = true),
        Err("direct_message_target")
    );
    assert_eq!(
        refused(|c, _| c.direct_message_target = Some(json!("x"))),
        Err("direct_message_target")
    );
    assert_eq!(
        refused(|c, _| {
            c.direct_messages = true;
            c.direct_message_target = Some(json!({"slackDm": {}}));
        }),
        Ok(())
    );
}
