//! Senders and callers that mean no good, or know no better: whatever they write has an answer in
//! the documented form, and costs nobody else anything.

use http::Method;
use serde_json::{Value, json};

use crate::support::bodies::{callback, incident, slack_message, sys_id};
use crate::support::{ADMIN_TOKEN, TestApp};

#[tokio::test]
async fn paths_that_are_no_text_are_problems_too() {
    let app = TestApp::start().await;
    for path in [
        "/webhooks/%ff",
        "/webhooks/servicenow/%ff",
        "/webhooks/%",
        "/webhooks/serv%00icenow",
        "/webhooks/servicenow%2Fincident",
    ] {
        let answer = app.webhooks.servicenow(incident(1)).to(path).send().await;
        answer.problem(404);
    }
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    for (method, path) in [
        (Method::GET, "/api/v1/events/%ff"),
        (Method::POST, "/api/v1/events/%ff/replay"),
        (Method::GET, "/api/v1/mappings/%ff/x"),
        (Method::PUT, "/api/v1/mappings/servicenow/%ff"),
        (Method::DELETE, "/api/v1/mappings/%ff/%ff"),
    ] {
        let answer = app.admin.request(method, path, Some(&bearer), "{}").await;
        answer.problem(404);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_of_the_api_is_read_to_its_end_and_within_a_limit() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let path = format!("/api/v1/mappings/servicenow/{}", sys_id(1));
    for (body, status) in [
        (r#"{"ticket_id":"tkt-1"} trailing"#.to_owned(), 400),
        (
            r#"{"ticket_id":"tkt-1"}{"ticket_id":"tkt-2"}"#.to_owned(),
            400,
        ),
        (
            r#"{"ticket_id":"tkt-1","ticket_id":"tkt-2"}"#.to_owned(),
            422,
        ),
        (
            r#"{"ticket_id":"tkt-1","\u0074icket_id":"tkt-2"}"#.to_owned(),
            422,
        ),
        (r#"{"ticket_id":"\ud800"}"#.to_owned(), 400),
        (
            format!("{{\"ticket_id\":\"{}\"}}", "x".repeat(3 << 20)),
            413,
        ),
        ("[".repeat(100_000), 400),
        (r#"["tkt-1", []]"#.to_owned(), 422),
    ] {
        let answer = app.admin.request(Method::PUT, &path, Some(&bearer), body);
        answer.await.problem(status);
    }
    assert_eq!(
        app.admin.mapping("servicenow", &sys_id(1)).await,
        Value::Null
    );
    app.stop().await;
}

#[tokio::test]
async fn a_delivery_is_recognised_whatever_characters_its_name_has() {
    let app = TestApp::start().await;
    for name in [
        "a\\u0000b",
        "\\u0000",
        "\\ud83d\\ude00",
        "\\\"",
        "\u{7f}",
        "\\n",
        "'; --",
    ] {
        let body = format!(r#"{{"delivery_id":"{name}","record":{}}}"#, incident(1));
        // Basic authentication, so that no webhook-id names the delivery.
        let delivery = app.webhooks.servicenow(body).unsigned();
        let delivery = delivery.to("/webhooks/servicenow-eu");
        let bearer = format!("Bearer {}", crate::support::BEARER);
        let delivery = delivery.header("authorization", &bearer);
        let first = delivery.send().await.event();
        let again = delivery.send().await.event();
        assert_eq!(first["duplicate"], false, "{name}");
        assert_eq!(again["duplicate"], true, "{name}");
        assert_eq!(again["id"], first["id"], "{name}");

        let inner: Value = json!({
            "type": "message", "channel": "C9DDYQ1B4", "user": "U061F7AUR", "ts": "1.000001",
        });
        let body = callback("EVENT", &inner).replace("EVENT", &format!("Ev{name}"));
        let before = app.admin.events("source=slack").await.len();
        for _ in 0..2 {
            let answer = app.webhooks.slack(body.clone()).send().await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
        }
        let events = app.admin.events("source=slack").await;
        assert_eq!(events.len(), before + 1, "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_in_disguise_is_the_key_that_it_spells() {
    let app = TestApp::start().await;
    let (one, two) = (sys_id(1), sys_id(2));
    let body = format!(r#"{{"\u0073ys_id":"{one}","sys_class_name":"incident"}}"#);
    let event = app.webhooks.servicenow(body).send().await.event();
    assert_eq!(event["external_id"], json!(one));
    for body in [
        format!(r#"{{"sys_id":"{one}","\u0073ys_id":"{two}","sys_class_name":"incident"}}"#),
        format!(r#"{{"result":{{"sys_id":"{one}","s\u0079s_id":"{two}"}}}}"#),
        format!(r#"{{"sys_id":{{"value":"{one}","v\u0061lue":"{two}"}}}}"#),
    ] {
        app.webhooks.servicenow(body).send().await.problem(400);
    }
    let body = slack_message("Ev1", "1.000001", &Value::Null);
    let body = body.replace("\"event_id\"", r#""event_id":"Ev2","event_\u0069d""#);
    app.webhooks.slack(body).send().await.problem(400);
    app.stop().await;
}

#[tokio::test]
async fn numbers_depth_and_halves_of_characters_are_kept_as_they_are() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = format!(
        r#"{{"sys_id":"{}","sys_class_name":"incident","sys_mod_count":1e999,"u_n":-0.0e-0,"u_big":{},"u_half":"\ud800","u_deep":{deep}}}"#,
        sys_id(1),
        "9".repeat(400),
    );
    let id = app.webhooks.servicenow(body.clone()).send().await.id();
    let event = app.admin.event(&id).await;
    assert_eq!(event["sent"]["externalTicketData"], json!(body));
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(
        app.mock.connects()[0].object.as_deref(),
        Some(body.as_str())
    );
    app.stop().await;
}

#[tokio::test]
async fn the_same_delivery_id_in_two_sources_is_two_deliveries() {
    let app = TestApp::start().await;
    let delivery = app.webhooks.servicenow(incident(1)).id("msg_shared");
    let one = delivery.send().await.event();
    let two = delivery.to("/webhooks/servicenow-eu").send().await.event();
    assert_eq!(one["duplicate"], false);
    assert_eq!(two["duplicate"], false);
    assert_ne!(one["id"], two["id"]);
    app.stop().await;
}

#[tokio::test]
async fn twins_in_one_batch_are_one_event_and_its_duplicate() {
    let app = TestApp::start().await;
    let batch = format!("[{0},{0},{1}]", incident(1), incident(2));
    let events = app.webhooks.servicenow(batch).send().await.events();
    let states: Vec<_> = events.iter().map(|event| event["state"].clone()).collect();
    assert_eq!(states, ["parked", "skipped", "parked"]);
    app.stop().await;
}

#[tokio::test]
async fn cursors_that_no_list_gave_out_are_refused_or_lead_nowhere() {
    let app = TestApp::start().await;
    app.webhooks.servicenow(incident(1)).send().await;
    app.admin.map("servicenow", &sys_id(9), "tkt-9").await;
    for (list, cursor, status) in [
        ("events", "evt_0", 200),
        ("events", "evt_9223372036854775807", 200),
        ("events", "evt_9223372036854775808", 400),
        ("events", "%00", 400),
        ("mappings", "x", 400),
        ("mappings", "____", 400),
        ("mappings", "YQ", 400),
        ("mappings", "L3g", 200),
        ("parked", "x", 400),
        ("conflicts", "x", 400),
    ] {
        let answer = app.admin.get(&format!("/{list}?cursor={cursor}")).await;
        match status {
            200 => assert_eq!(answer.status, 200, "{list} {cursor}: {answer:?}"),
            status => drop(answer.problem(status)),
        }
    }
    for list in ["events", "mappings", "parked", "conflicts"] {
        for limit in ["0", "1001", "-1", "4294967296", "1.5", "", "x"] {
            let answer = app.admin.get(&format!("/{list}?limit={limit}")).await;
            answer.problem(400);
        }
    }
    app.stop().await;
}
