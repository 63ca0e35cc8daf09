//! Slack's events: what is taken, what is noise, and the one answer for both.

use http::Method;
use serde_json::{Value, json};

use crate::support::bodies::{callback, slack_message};
use crate::support::{Answer, TestApp};

const ROOT: &str = "1779146751.061339";
const THREAD: &str = "C9DDYQ1B4:1779146751.061339";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/slack/", $name, ".json"))
    };
}

/// The newest event.
async fn newest(app: &TestApp) -> Value {
    app.admin.events("source=slack").await.remove(0)
}

fn is_empty_200(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.is_empty()
}

#[tokio::test]
async fn a_message_is_answered_with_exactly_200_and_nothing() {
    let app = TestApp::start().await;
    let answer = app.webhooks.slack(fixture!("message_root")).send().await;
    assert!(is_empty_200(&answer), "{answer:?}");
    assert_eq!(answer.header("x-slack-no-retry"), "");
    let event = newest(&app).await;
    assert_eq!(event["external_id"], THREAD);
    assert_eq!(event["state"], "parked");
    assert_eq!(event["subtype"], Value::Null);
    let event = app.admin.event(event["id"].as_str().unwrap()).await;
    assert_eq!(event["body"], fixture!("message_root"));
    app.stop().await;
}

#[tokio::test]
async fn the_handshake_is_answered_with_its_challenge_once_it_is_signed() {
    let app = TestApp::start().await;
    let body = r#"{"token":"t","challenge":"3eZbrw1a\"B<&\u00e9","type":"url_verification"}"#;
    let handshake = app.webhooks.slack(body);
    let answer = handshake.send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "3eZbrw1a\"B<&\u{e9}");
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert_eq!(handshake.unsigned().send().await.status, 401);
    assert_eq!(app.stored().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn every_event_that_is_noise_is_a_200_and_kept_without_its_body() {
    let app = TestApp::start().await;
    for (body, reason) in [
        (fixture!("message_changed"), "edited"),
        (fixture!("message_deleted"), "deleted"),
        (fixture!("message_replied"), "thread_update"),
        (fixture!("tombstone"), "root_deleted"),
        (fixture!("bot_message"), "bot_message"),
        (fixture!("classic_bot_message"), "bot_message"),
        (fixture!("direct_message"), "direct_message"),
        (fixture!("app_rate_limited"), "app_rate_limited"),
    ] {
        let answer = app.webhooks.slack(body).send().await;
        assert!(is_empty_200(&answer), "{reason}: {answer:?}");
        let event = newest(&app).await;
        assert_eq!(
            (&event["state"], &event["reason"]),
            (&json!("ignored"), &json!(reason))
        );
        let event = app.admin.event(event["id"].as_str().unwrap()).await;
        // Of an edit, the message as it is now is kept: its first text may still arrive.
        let body = event["body"].as_str();
        let kept: Option<Value> = body.map(|body| serde_json::from_str(body).unwrap());
        let edited = kept.map(|message| message["text"].clone());
        assert_eq!(
            edited,
            (reason == "edited").then(|| json!("On my way!")),
            "{reason}"
        );
        assert!(event["received_at"].is_string());
    }
    for body in [
        fixture!("assistant_thread_started"),
        fixture!("channel_rename"),
        fixture!("link_shared"),
        fixture!("link_shared_composer"),
        fixture!("metadata_posted"),
        fixture!("pin_added"),
        fixture!("reaction_added"),
        fixture!("team_join"),
    ] {
        let answer = app.webhooks.slack(body).send().await;
        assert!(is_empty_200(&answer), "{body}: {answer:?}");
        assert_eq!(newest(&app).await["state"], "ignored", "{body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn whatever_is_json_is_a_200() {
    let app = TestApp::start().await;
    for body in [
        "{}",
        "[]",
        "42",
        "null",
        "\"text\"",
        r#"{"type":"event_callback"}"#,
        r#"{"type":"event_callback","event":null}"#,
        r#"{"type":"event_callback","event":"text"}"#,
        r#"{"type":"something_new","event_id":"EvNew"}"#,
        r#"{"type":"event_callback","event":{"type":"message","channel":{"id":"C1"},"ts":7}}"#,
        r#"{"type":"event_callback","event":{"type":"message","channel":"C111","user":"U1","ts":"1.2\u0000"}}"#,
    ] {
        let answer = app.webhooks.slack(body).send().await;
        assert!(is_empty_200(&answer), "{body}: {answer:?}");
        assert_eq!(newest(&app).await["state"], "ignored", "{body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_json_is_a_400_after_a_good_signature() {
    let app = TestApp::start().await;
    let twice = r#"{"type":"event_callback","type":"url_verification","challenge":"x"}"#;
    let no_challenge = r#"{"type":"url_verification"}"#;
    for body in [
        "",
        "{",
        "payload=%7B%7D",
        "{\"a\":\"\u{0}\"}",
        twice,
        no_challenge,
    ] {
        app.webhooks.slack(body).send().await.problem(400);
    }
    app.webhooks.slack(b"\"\xff\"").send().await.problem(400);
    app.webhooks.slack("{").unsigned().send().await.problem(401);
    assert_eq!(app.stored().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_authentic_is_a_401_and_leaves_nothing() {
    let app = TestApp::start().await;
    let good = app.webhooks.slack(fixture!("message_root"));
    let signature = "x-slack-signature";
    for (what, delivery) in [
        ("nothing at all", good.clone().unsigned()),
        (
            "another secret",
            good.clone().key(b"signing-secret-of-the-tests-own-2"),
        ),
        (
            "another body",
            good.clone().altered(fixture!("message_reply")),
        ),
        ("stale", good.clone().aged(301)),
        ("from the future", good.clone().aged(-90)),
        ("no number for a time", good.clone().at("1e9")),
        (
            "another time",
            good.clone()
                .header("x-slack-request-timestamp", "1531420618"),
        ),
        ("no time", good.clone().without("x-slack-request-timestamp")),
        ("no signature", good.clone().without(signature)),
        (
            "another version",
            good.clone()
                .header(signature, &format!("v1={}", "0".repeat(64))),
        ),
        ("garbage", good.clone().header(signature, "v0=zz")),
        (
            "a bearer token",
            good.clone().unsigned().header("authorization", "Bearer x"),
        ),
    ] {
        let answer = delivery.send().await;
        assert_eq!(answer.status, 401, "{what}");
        answer.problem(401);
    }
    assert_eq!(app.stored().await, 0);
    assert!(is_empty_200(&good.aged(290).send().await));
    app.stop().await;
}

#[tokio::test]
async fn the_previous_signing_secret_is_good_while_it_is_listed() {
    let app = TestApp::builder()
        .config("[sources.slack]\nsigning_secrets = [\"the-one-to-come\", \"the-one-to-go\"]")
        .start()
        .await;
    for (key, status) in [
        ("the-one-to-come", 200),
        ("the-one-to-go", 200),
        ("a-third", 401),
    ] {
        let body = slack_message(key, ROOT, &Value::Null);
        let answer = app.webhooks.slack(body).key(key.as_bytes()).send().await;
        assert_eq!(answer.status, status, "{key}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_retry_of_slack_is_stored_once() {
    let app = TestApp::start().await;
    let delivery = app.webhooks.slack(fixture!("message_root"));
    for (num, reason) in [("0", ""), ("1", "http_timeout"), ("2", "http_error")] {
        let delivery = delivery.clone().header("x-slack-retry-num", num);
        let answer = delivery.header("x-slack-retry-reason", reason).send().await;
        assert!(is_empty_200(&answer));
    }
    assert_eq!(app.stored().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn of_a_message_and_its_mention_the_second_is_skipped_as_a_duplicate() {
    let mention = json!({"type": "app_mention", "channel_type": null});
    for mention_first in [false, true] {
        let app = TestApp::start().await;
        let mut bodies = [
            slack_message("EvMessage", ROOT, &Value::Null),
            slack_message("EvMention", ROOT, &mention),
        ];
        if mention_first {
            bodies.reverse();
        }
        for body in bodies {
            assert!(is_empty_200(&app.webhooks.slack(body).send().await));
        }
        let events = app.admin.events("source=slack").await;
        let stands = |event: &Value| (event["state"].clone(), event["reason"].clone());
        let states: Vec<_> = events.iter().map(stands).collect();
        let expected = [("skipped", "duplicate"), ("parked", "no_mapping")];
        assert_eq!(states, expected.map(|(s, r)| (json!(s), json!(r))));
        app.stop().await;
    }
}

#[tokio::test]
async fn an_ignored_event_never_makes_its_twin_a_duplicate() {
    let app = TestApp::start().await;
    // Hidden at first, announced again without.
    let hidden = slack_message("Ev1", ROOT, &json!({"hidden": true}));
    app.webhooks.slack(hidden).send().await;
    assert_eq!(newest(&app).await["state"], "ignored");
    let twin = slack_message("Ev2", ROOT, &json!({"type": "app_mention"}));
    app.webhooks.slack(twin).send().await;
    assert_eq!(newest(&app).await["state"], "parked");
    app.stop().await;
}

#[tokio::test]
async fn our_own_messages_are_echoes() {
    let app = TestApp::start().await;
    for (event_id, changes) in [
        ("EvApp", json!({"bot_id": "B1", "app_id": "A0BRIDGE1"})),
        ("EvUser", json!({"user": "U0BRIDGE1"})),
        (
            "EvProfile",
            json!({"bot_id": "B1", "bot_profile": {"app_id": "A0BRIDGE1"}}),
        ),
    ] {
        let body = slack_message(event_id, ROOT, &changes);
        assert!(is_empty_200(&app.webhooks.slack(body).send().await));
        let event = newest(&app).await;
        assert_eq!(
            (&event["state"], &event["reason"]),
            (&json!("skipped"), &json!("echo")),
            "{changes}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn of_a_direct_message_that_nobody_asked_for_only_the_fact_is_kept() {
    let app = TestApp::start().await;
    app.admin
        .map("slack", "D0PRIVATE:1779146751.061339", "tkt-1")
        .await;
    for (event_id, changes) in [
        (
            "EvIm",
            json!({"channel": "D0PRIVATE", "channel_type": "im"}),
        ),
        (
            "EvMpim",
            json!({"channel": "G0PRIVATE", "channel_type": "mpim"}),
        ),
        (
            "EvHome",
            json!({"channel": "D0PRIVATE", "channel_type": "app_home"}),
        ),
    ] {
        let body = slack_message(event_id, ROOT, &changes);
        assert!(is_empty_200(&app.webhooks.slack(body).send().await));
        let event = newest(&app).await;
        assert_eq!(event["state"], "ignored", "{changes}");
        assert_eq!(event["reason"], "direct_message");
    }
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn messages_of_trusted_apps_may_connect() {
    let app = TestApp::builder()
        .config("[sources.slack]\ntrusted_apps = [\"A0SERVAL\", \"B0SERVAL\"]")
        .start()
        .await;
    for (ts, changes, state) in [
        (
            "1.000001",
            json!({"bot_id": "B1", "app_id": "A0SERVAL"}),
            "parked",
        ),
        (
            "2.000001",
            json!({"bot_id": "B0SERVAL", "subtype": "bot_message", "user": null}),
            "parked",
        ),
        (
            "3.000001",
            json!({"bot_id": "B1", "app_id": "A0OTHER"}),
            "ignored",
        ),
    ] {
        let body = slack_message(&format!("Ev{ts}"), ts, &changes);
        app.webhooks.slack(body).send().await;
        assert_eq!(newest(&app).await["state"], state, "{changes}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_thread_is_named_by_its_root_and_timestamps_stay_text() {
    let app = TestApp::start().await;
    for (event_id, ts, changes, expected) in [
        ("Ev1", ROOT, Value::Null, THREAD),
        (
            "Ev2",
            "1779146760.000100",
            json!({"thread_ts": ROOT}),
            THREAD,
        ),
        (
            "Ev3",
            "1779146761.000100",
            json!({"thread_ts": ""}),
            "C9DDYQ1B4:1779146761.000100",
        ),
        (
            "Ev4",
            "1779146762.000100",
            json!({"thread_ts": ROOT, "subtype": "thread_broadcast"}),
            THREAD,
        ),
        (
            "Ev5",
            "1779146763.100000",
            json!({"subtype": "file_share", "text": ""}),
            "C9DDYQ1B4:1779146763.100000",
        ),
        (
            "Ev6",
            "1779146764.000000",
            json!({"channel": "G111"}),
            "G111:1779146764.000000",
        ),
    ] {
        let body = slack_message(event_id, ts, &changes);
        app.webhooks.slack(body).send().await;
        assert_eq!(newest(&app).await["external_id"], expected, "{event_id}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_envelope_without_an_event_id_is_stored_each_time() {
    let app = TestApp::start().await;
    let reaction = json!({"type": "reaction_added", "user": "U1", "item": {"type": "file"}});
    let mut body: Value = serde_json::from_str(&callback("Ev1", &reaction)).unwrap();
    body.as_object_mut().unwrap().remove("event_id");
    for _ in 0..2 {
        app.webhooks.slack(body.to_string()).send().await;
    }
    assert_eq!(app.stored().await, 2);
    app.stop().await;
}

#[tokio::test]
async fn other_methods_and_large_bodies_are_refused() {
    let app = TestApp::start().await;
    let get = app
        .webhooks
        .plain(Method::GET, "/webhooks/slack")
        .send()
        .await;
    get.problem(405);
    let large = "x".repeat(3 << 20);
    let body = slack_message("Ev1", ROOT, &json!({"text": large}));
    app.webhooks.slack(body).send().await.problem(413);
    app.stop().await;
}
