//! `ServiceNow`'s webhooks: what is taken, in which shapes, from whom, and what is answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::support::bodies::{incident, record, sys_id};
use crate::support::{Answer, BASIC, BEARER, TestApp, whsec};

const INCIDENT: &str = include_str!("../fixtures/servicenow/incident_raw.json");
const PAIRS: &str = include_str!("../fixtures/servicenow/incident_pairs.json");
const LABELS: &str = include_str!("../fixtures/servicenow/incident_labels.json");
const ITEM: &str = include_str!("../fixtures/servicenow/requested_item_raw.json");
const BATCH: &str = include_str!("../fixtures/servicenow/batch.json");
const ENVELOPE: &str = include_str!("../fixtures/servicenow/envelope.json");

const INCIDENT_ID: &str = "3b9e41d7c0f24a18857d6e02fa91b3c6";
const ITEM_ID: &str = "e47a90b2d5c84136af0b7729c1e8305d";

/// External id and state of each event.
type Told = Vec<(Value, Value)>;

fn told(answer: &Answer) -> Told {
    let events = answer.events().into_iter();
    events
        .map(|mut event| (event["external_id"].take(), event["state"].take()))
        .collect()
}

#[tokio::test]
async fn a_signed_record_is_answered_202_with_its_event() {
    let app = TestApp::start().await;
    let answer = app.webhooks.servicenow(INCIDENT).send().await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("content-type"), "application/json");
    let id = answer.id();
    assert!(id.starts_with("evt_"), "{id}");
    assert_eq!(
        answer.json(),
        json!({"events": [{
            "id": id, "external_id": INCIDENT_ID, "state": "parked", "duplicate": false,
        }]})
    );
    let event = app.admin.event(&id).await;
    assert_eq!(event["source"], "servicenow");
    assert_eq!(event["subtype"], "incident");
    assert_eq!(event["body"], INCIDENT, "the body is kept byte for byte");
    assert_eq!(
        event["sent"]["externalTicketData"],
        INCIDENT.trim_end(),
        "the object is the record"
    );
    app.stop().await;
}

#[tokio::test]
async fn every_rendering_of_a_record_is_stored() {
    let one = incident(1);
    let pair = |id: &str, state: &str| (json!(id), json!(state));
    let parked = |n: u32| pair(&sys_id(n), "parked");
    let rows: Vec<(&str, String, Told)> = vec![
        ("bare", ITEM.to_owned(), vec![pair(ITEM_ID, "parked")]),
        (
            "display pairs",
            PAIRS.to_owned(),
            vec![pair(INCIDENT_ID, "parked")],
        ),
        (
            "labels",
            LABELS.to_owned(),
            vec![pair(INCIDENT_ID, "parked")],
        ),
        (
            "an envelope",
            ENVELOPE.to_owned(),
            vec![pair(INCIDENT_ID, "parked")],
        ),
        ("result", format!(r#"{{"result":{one}}}"#), vec![parked(1)]),
        (
            "a byte order mark",
            format!("\u{feff}{one}"),
            vec![parked(1)],
        ),
        (
            "current and previous",
            format!(
                r#"{{"table":"incident","operation":"update","current":{one},"previous":{{}}}}"#
            ),
            vec![parked(1)],
        ),
        (
            "a wrapper",
            format!(r#"{{"incident":{one}}}"#),
            vec![parked(1)],
        ),
        (
            "a list",
            format!("[{},{}]", incident(2), incident(3)),
            vec![parked(2), parked(3)],
        ),
        (
            "a list of results",
            format!(r#"{{"result":[{}]}}"#, incident(4)),
            vec![parked(4)],
        ),
        (
            "records, of which one could not be read and one is not ours",
            BATCH.to_owned(),
            vec![
                pair(INCIDENT_ID, "parked"),
                (Value::Null, json!("ignored")),
                pair(ITEM_ID, "parked"),
                pair("51c8e6f02b7d49d3a90be4f17c3862aa", "ignored"),
            ],
        ),
        ("an empty batch", r#"{"records":[]}"#.to_owned(), vec![]),
        ("an empty list", "[]".to_owned(), vec![]),
    ];
    for (what, body, expected) in rows {
        // A daemon of its own for each: what is parked before decides what becomes of the next.
        let app = TestApp::start().await;
        let answer = app.webhooks.servicenow(body).send().await;
        assert_eq!(told(&answer), expected, "{what}");
        assert_eq!(
            app.stored().await,
            i64::try_from(expected.len()).unwrap(),
            "{what}"
        );
        app.stop().await;
    }
}

#[tokio::test]
async fn the_class_comes_from_the_path_where_nothing_else_names_it() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    let body = format!(r#"{{"sys_id":"{id}","short_description":"No class here"}}"#);
    for (path, state, subtype) in [
        ("/webhooks/servicenow/incident", "parked", json!("incident")),
        (
            "/webhooks/servicenow/sc_req_item",
            "parked",
            json!("requested_item"),
        ),
        (
            "/webhooks/servicenow/change_request",
            "ignored",
            Value::Null,
        ),
        ("/webhooks/servicenow", "ignored", Value::Null),
    ] {
        let event = app
            .webhooks
            .servicenow(body.clone())
            .to(path)
            .send()
            .await
            .event();
        assert_eq!(event["state"], state, "{path}");
        let event = app.admin.event(event["id"].as_str().unwrap()).await;
        assert_eq!(event["subtype"], subtype, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn no_content_type_is_needed_and_none_is_in_the_way() {
    let app = TestApp::start().await;
    for (n, content_type) in [
        (1, None),
        (2, Some("application/json")),
        (3, Some("text/plain")),
        (4, Some("x")),
    ] {
        let delivery = app.webhooks.servicenow(incident(n));
        let delivery = match content_type {
            None => delivery,
            Some(content_type) => delivery.header("content-type", content_type),
        };
        assert_eq!(delivery.send().await.status, 202, "{content_type:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn events_that_are_not_to_be_connected_are_stored_with_their_reason() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    let echo = format!(
        r#"{{"sys_id":"{id}","sys_class_name":"incident","sys_updated_by":"Serval.Integration"}}"#
    );
    let conflict = format!(
        r#"{{"table":"sc_req_item","record":{{"sys_id":"{id}","sys_class_name":"incident"}}}}"#
    );
    let parent =
        format!(r#"{{"table":"task","record":{{"sys_id":"{id}","sys_class_name":"incident"}}}}"#);
    let deleted = format!(
        r#"{{"operation":"delete","table":"incident","record":{}}}"#,
        incident(2)
    );
    let failed = r#"{"__status":"failure","__error":{"message":"no"},"sys_id":""}"#;
    for (body, state, reason) in [
        (
            record("change_request", 1, 1),
            "ignored",
            json!("out_of_scope"),
        ),
        (
            format!(r#"{{"sys_id":"{id}"}}"#),
            "ignored",
            json!("unknown_class"),
        ),
        (deleted, "ignored", json!("deleted")),
        (failed.to_owned(), "ignored", json!("record_error")),
        (echo, "skipped", json!("echo")),
        (conflict, "dead", json!("class_conflict")),
        (parent, "parked", json!("no_mapping")),
    ] {
        let event = app.webhooks.servicenow(body.clone()).send().await.event();
        assert_eq!(event["state"], state, "{body}");
        let event = app.admin.event(event["id"].as_str().unwrap()).await;
        assert_eq!(event["reason"], reason, "{body}");
        let kept = if state == "ignored" {
            Value::Null
        } else {
            json!(body)
        };
        assert_eq!(
            event["body"], kept,
            "only facts of what was ignored: {body}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn the_bodies_of_ignored_events_are_kept_where_the_source_says_so() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nkeep_ignored_bodies = true")
        .start()
        .await;
    let body = record("change_request", 1, 1);
    let id = app.webhooks.servicenow(body.clone()).send().await.id();
    assert_eq!(app.admin.event(&id).await["body"], json!(body));
    app.stop().await;
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_a_duplicate_and_stored_once() {
    let app = TestApp::start().await;
    let delivery = app.webhooks.servicenow(incident(1)).id("msg_again");
    let first = delivery.send().await.event();
    assert_eq!(first["duplicate"], false);
    for again in [delivery.clone(), delivery.aged(20)] {
        let answer = again.send().await.event();
        assert_eq!(answer["duplicate"], true);
        assert_eq!(answer["id"], first["id"]);
        assert_eq!(answer["state"], "parked");
    }
    let batch = format!("[{},{}]", incident(2), incident(3));
    let batch = app.webhooks.servicenow(batch).id("msg_batch");
    let ids = |answer: &Answer| -> Vec<Value> {
        let events = answer.events().into_iter();
        events.map(|mut event| event["id"].take()).collect()
    };
    let (first, second) = (batch.send().await, batch.send().await);
    assert_eq!(ids(&first), ids(&second));
    assert!(
        second
            .events()
            .iter()
            .all(|event| event["duplicate"] == true)
    );
    assert_eq!(app.stored().await, 3);
    app.stop().await;
}

#[tokio::test]
async fn the_same_save_in_another_delivery_is_skipped_as_a_duplicate() {
    let app = TestApp::start().await;
    let first = app.webhooks.servicenow(incident(1)).send().await.event();
    let second = app.webhooks.servicenow(incident(1)).send().await.event();
    assert_eq!(first["state"], "parked");
    assert_eq!(second["state"], "skipped");
    assert_eq!(second["duplicate"], false, "it is an event of its own");
    let second = app.admin.event(second["id"].as_str().unwrap()).await;
    assert_eq!(second["reason"], "duplicate");
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_authentic_is_a_401_and_leaves_nothing() {
    let app = TestApp::start().await;
    let good = app.webhooks.servicenow(incident(1));
    let flipped = incident(1).replace("Save", "Sawe");
    for (what, delivery) in [
        ("nothing at all", good.clone().unsigned()),
        (
            "another key",
            good.clone().key(b"another key of some other length"),
        ),
        ("another body", good.clone().altered(flipped)),
        (
            "a truncated body",
            good.clone().altered(&incident(1).as_bytes()[..40]),
        ),
        ("another id", good.clone().header("webhook-id", "msg_other")),
        (
            "another time",
            good.clone().header("webhook-timestamp", "1614265330"),
        ),
        ("stale", good.clone().aged(400)),
        ("from the future", good.clone().aged(-120)),
        ("no number for a time", good.clone().at("soon")),
        ("no id", good.clone().without("webhook-id")),
        ("no time", good.clone().without("webhook-timestamp")),
        ("no signature", good.clone().without("webhook-signature")),
        (
            "garbage",
            good.clone().header("webhook-signature", "v1,%%%"),
        ),
        (
            "another version",
            good.clone().header("webhook-signature", "v1a,AAAA"),
        ),
        (
            "an empty signature",
            good.clone().header("webhook-signature", ""),
        ),
        (
            "a bearer token that nobody gave out",
            good.clone().unsigned().header("authorization", "Bearer x"),
        ),
    ] {
        let answer = delivery.send().await;
        answer.problem(401);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!said.contains(&incident(1)[..20]), "{what}: {said}");
    }
    assert_eq!(app.stored().await, 0);
    assert_eq!(good.aged(250).send().await.status, 202, "old, but in time");
    app.stop().await;
}

#[tokio::test]
async fn of_several_secrets_and_several_signatures_one_match_is_enough() {
    let app = TestApp::builder()
        .config(&format!(
            "[sources.servicenow]\nsecrets = [\"{}\", \"{}\"]",
            whsec(b"the key that is about to be gone"),
            whsec(b"the key that is to come tomorrow"),
        ))
        .start()
        .await;
    for (n, key, status) in [
        (1, b"the key that is about to be gone", 202),
        (2, b"the key that is to come tomorrow", 202),
        (3, b"a key that never was one, really", 401),
    ] {
        let answer = app.webhooks.servicenow(incident(n)).key(key).send().await;
        assert_eq!(answer.status, status, "{n}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_weaker_modes_work_where_they_are_declared_and_only_there() {
    let app = TestApp::start().await;
    let basic = format!("Basic {}", STANDARD.encode(BASIC));
    let bearer = format!("Bearer {BEARER}");
    for (n, path, authorization, status) in [
        (1, "/webhooks/servicenow-eu", bearer.as_str(), 202),
        (2, "/webhooks/servicenow-eu", basic.as_str(), 202),
        (3, "/webhooks/servicenow-eu", "Bearer wrong", 401),
        (4, "/webhooks/servicenow-eu", "Basic d3Jvbmc6d3Jvbmc=", 401),
        (5, "/webhooks/servicenow-eu", "Digest x", 401),
        (6, "/webhooks/servicenow", bearer.as_str(), 401),
        (7, "/webhooks/servicenow", basic.as_str(), 401),
    ] {
        let delivery = app.webhooks.servicenow(incident(n)).unsigned().to(path);
        let answer = delivery.header("authorization", authorization).send().await;
        assert_eq!(answer.status, status, "{path} {authorization}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_signature_never_falls_through_to_a_weaker_mode() {
    let app = TestApp::start().await;
    let good = app
        .webhooks
        .servicenow(incident(1))
        .to("/webhooks/servicenow-eu");
    let good = good.header("authorization", &format!("Bearer {BEARER}"));
    for (what, delivery) in [
        (
            "another key",
            good.clone().key(b"another key of some other length"),
        ),
        (
            "a part of a signature",
            good.clone().without("webhook-signature"),
        ),
        (
            "only an id",
            good.clone()
                .without("webhook-signature")
                .without("webhook-timestamp"),
        ),
        ("stale", good.clone().aged(4000)),
    ] {
        assert_eq!(delivery.send().await.status, 401, "{what}");
    }
    let wrong = good.clone().header("authorization", "Bearer wrong");
    assert_eq!(
        wrong.send().await.status,
        401,
        "a good signature with a wrong token"
    );
    assert_eq!(app.stored().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_a_record_is_a_400() {
    let app = TestApp::start().await;
    let twice = format!(r#"{{"sys_id":"{}","sys_id":"{}"}}"#, sys_id(1), sys_id(2));
    for body in [
        "",
        "{",
        "nonsense",
        "42",
        "null",
        "\"text\"",
        "{}",
        r#"{"hello":"world"}"#,
        r#"{"result":{}}"#,
        r#"{"sys_id":"a1b2"} trailing"#,
        "{\"short_description\":\"\u{0}\"}",
        &twice,
    ] {
        let problem = app.webhooks.servicenow(body).send().await.problem(400);
        assert_eq!(problem.get("index"), None, "{body}");
    }
    let broken: &[u8] = b"{\"sys_id\":\"\xff\xfe\"}";
    app.webhooks.servicenow(broken).send().await.problem(400);
    let deep = "[".repeat(100_000);
    app.webhooks.servicenow(deep).send().await.problem(400);
    assert_eq!(app.stored().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn nul_in_a_string_is_kept_as_it_was_written() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    let body = format!(
        r#"{{"sys_id":"{id}","sys_class_name":"incident","short_description":"a\u0000b"}}"#
    );
    let answer = app.webhooks.servicenow(body.clone()).send().await;
    let event = app.admin.event(&answer.id()).await;
    assert_eq!(event["sent"]["externalTicketData"], json!(body));
    let problem = app
        .webhooks
        .servicenow(r#"{"sys_id":"a\u0000b","sys_class_name":"incident"}"#)
        .send()
        .await;
    problem.problem(422);
    app.stop().await;
}

#[tokio::test]
async fn a_record_without_a_usable_sys_id_is_a_422() {
    let app = TestApp::start().await;
    for body in [
        r#"{"sys_class_name":"incident","number":"INC1"}"#,
        r#"{"sys_class_name":"incident","sys_id":""}"#,
        r#"{"sys_class_name":"incident","sys_id":null}"#,
        r#"{"sys_class_name":"incident","sys_id":"3b9e41d7-c0f2-4a18-857d-6e02fa91b3c6"}"#,
        r#"{"sys_class_name":"incident","sys_id":"3b9e41d7c0f24a18857d6e02fa91b3cz"}"#,
        r#"{"sys_class_name":"incident","sys_id":"-1"}"#,
        r#"{"result":{"sys_class_name":"incident","number":"INC1"}}"#,
    ] {
        let problem = app.webhooks.servicenow(body).send().await.problem(422);
        assert_eq!(problem.get("index"), None, "{body}");
    }
    assert_eq!(app.stored().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn of_a_batch_all_or_nothing_is_stored_and_the_answer_names_the_bad_one() {
    let app = TestApp::start().await;
    let mut records: Vec<String> = (0..500).map(incident).collect();
    records[317] = r#"{"sys_class_name":"incident","sys_id":"short"}"#.to_owned();
    let body = format!(r#"{{"records":[{}]}}"#, records.join(","));
    let problem = app.webhooks.servicenow(body).send().await.problem(422);
    assert_eq!(problem["index"], 317);
    assert!(
        problem["detail"].as_str().unwrap().contains("317"),
        "{problem}"
    );
    assert_eq!(app.stored().await, 0);

    records[317] = incident(317);
    let body = format!(r#"{{"records":[{}]}}"#, records.join(","));
    let events = app.webhooks.servicenow(body).send().await.events();
    assert_eq!(events.len(), 500);
    assert_eq!(app.stored().await, 500);
    let last = events[499]["id"].as_str().unwrap();
    assert_eq!(app.admin.event(last).await["body"], json!(incident(499)));
    app.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let app = TestApp::start().await;
    for (method, path, status) in [
        (Method::POST, "/webhooks/nobody", 404),
        (Method::POST, "/webhooks/SERVICENOW", 404),
        (Method::POST, "/webhooks", 404),
        (Method::POST, "/webhooks/servicenow/incident/more", 404),
        (Method::GET, "/", 404),
        (Method::GET, "/readyz", 404),
        (Method::GET, "/api/v1/events", 404),
        (Method::GET, "/metrics", 404),
        (Method::GET, "/webhooks/servicenow", 405),
        (Method::PUT, "/webhooks/servicenow", 405),
        (Method::DELETE, "/webhooks/servicenow/incident", 405),
        (Method::POST, "/healthz", 405),
    ] {
        let answer = app.webhooks.plain(method.clone(), path).send().await;
        answer.problem(status);
        if status == 405 {
            assert!(!answer.header("allow").is_empty(), "{method} {path}");
        }
    }
    let healthz = app.webhooks.plain(Method::GET, "/healthz").send().await;
    assert_eq!(healthz.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413() {
    let app = TestApp::start().await;
    let padded = |bytes: usize| {
        let text = "x".repeat(bytes);
        let id = sys_id(1);
        format!(r#"{{"sys_id":"{id}","sys_class_name":"incident","description":"{text}"}}"#)
    };
    let large = app.webhooks.servicenow(padded(3 << 20)).send().await;
    large.problem(413);
    let unsigned = app.webhooks.servicenow(padded(3 << 20)).unsigned();
    unsigned.send().await.problem(413);
    assert_eq!(app.stored().await, 0);
    let near = app
        .webhooks
        .servicenow(padded((2 << 20) - 200))
        .send()
        .await;
    assert_eq!(near.status, 202);
    app.stop().await;
}
