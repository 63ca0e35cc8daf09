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
async fn twins_in_one_batch_are_one_event() {
    let app = TestApp::start().await;
    let batch = format!("[{0},{0},{1}]", incident(1), incident(2));
    let events = app.webhooks.servicenow(batch).send().await.events();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event["id"].clone(), event["duplicate"] == true))
        .collect();
    let [one, two] = ["evt_1", "evt_2"].map(|id| json!(id));
    assert_eq!(told, [(one.clone(), false), (one, true), (two, false)]);
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
        ("mappings", "/x", 200),
        ("mappings", "servicenow/x", 200),
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

#[tokio::test]
async fn null_and_missing_are_one_in_every_body() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    app.webhooks.servicenow(incident(1)).send().await;
    let one = format!("/api/v1/mappings/servicenow/{}", sys_id(2));
    let erase = json!({ "source": "servicenow", "external_id": sys_id(3) });
    for (method, path, bodies, status) in [
        (
            Method::PUT,
            one.as_str(),
            [
                r#"{"ticket_id":"tkt-2"}"#,
                r#"{"ticket_id":"tkt-2","accounted_for_message_ids":null}"#,
            ],
            201,
        ),
        (Method::PUT, &one, ["{}", r#"{"ticket_id":null}"#], 422),
        (
            Method::POST,
            "/api/v1/events/replay",
            [
                "{}",
                r#"{"state":null,"source":null,"external_id":null,"event_reason":null,"reason":null,
                    "dry_run":null,"limit":null}"#,
            ],
            200,
        ),
        (
            Method::POST,
            "/api/v1/events/evt_1/replay",
            ["", r#"{"reason":null}"#],
            409,
        ),
        (
            Method::POST,
            "/api/v1/events/evt_1/replay",
            ["{}", " null "],
            409,
        ),
        (
            Method::POST,
            "/api/v1/conflicts/1",
            ["{}", r#"{"decision":null}"#],
            422,
        ),
        (
            Method::POST,
            "/api/v1/erase",
            [&erase.to_string(), r#"{"source":null}"#],
            0,
        ),
    ] {
        let mut statuses = Vec::new();
        for body in bodies {
            let answer = app
                .admin
                .request(method.clone(), path, Some(&bearer), body.to_owned());
            statuses.push(answer.await.status);
            if status == 201 {
                app.admin.delete(&one["/api/v1".len()..]).await;
            }
        }
        let expected = if status == 0 { [200, 422] } else { [status; 2] };
        assert_eq!(statuses, expected, "{path} {bodies:?}");
    }
    let lines = format!(
        "{{\"source\":\"servicenow\",\"external_id\":\"{}\",\"ticket_id\":\"tkt-4\",\
         \"accounted_for_message_ids\":null}}\n",
        sys_id(4)
    );
    let answer = app.admin.import_ndjson(&lines).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_whole_number_may_have_a_point_and_zeros() {
    let app = TestApp::start().await;
    for (limit, status) in [
        ("4728.0", 200),
        ("1e3", 200),
        ("0", 200),
        ("4294967295", 200),
        ("4294967296", 422),
        ("null", 200),
        ("1.5", 422),
        ("-1.0", 422),
        ("1e400", 400),
        ("\"5\"", 422),
    ] {
        let body = format!("{{\"limit\":{limit}}}");
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let path = "/api/v1/events/replay";
        let asked = app.admin.request(Method::POST, path, Some(&bearer), body);
        assert_eq!(asked.await.status, status, "{limit}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_refusal_names_the_member_and_what_is_expected_and_no_type_of_the_program() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let one = format!("/api/v1/mappings/servicenow/{}", sys_id(1));
    let replay = "/api/v1/events/replay";
    for (method, path, body, status, words) in [
        (
            Method::PUT,
            one.as_str(),
            r#"{"ticket_id":{}}"#,
            422,
            "ticket_id: this is an object, expected text",
        ),
        (
            Method::PUT,
            &one,
            r#"{"ticket_id":7}"#,
            422,
            "ticket_id: this is a number",
        ),
        (Method::PUT, &one, "7", 422, "expected an object"),
        (
            Method::PUT,
            &one,
            "null",
            422,
            "this is null, expected an object",
        ),
        (
            Method::PUT,
            &one,
            r#"{"ticket_id":"t","accounted_for_message_ids":["a",null]}"#,
            422,
            "accounted_for_message_ids[1]: this is null, expected text",
        ),
        (
            Method::POST,
            replay,
            r#"{"limit":-1}"#,
            422,
            "limit: this is a number of another kind or size",
        ),
        (
            Method::POST,
            replay,
            r#"{"dry_run":"yes"}"#,
            422,
            "dry_run: this is text, expected true or false",
        ),
        (
            Method::POST,
            replay,
            r#"{"state":[]}"#,
            422,
            "state: this is a list, expected text",
        ),
        (
            Method::POST,
            "/api/v1/conflicts/1",
            r#"{"decision":1}"#,
            422,
            "decision: ",
        ),
        (
            Method::POST,
            "/api/v1/conflicts/1",
            r#"{"decision":"burn"}"#,
            422,
            "decision: ",
        ),
        (
            Method::POST,
            "/api/v1/erase",
            r#"{"source":[]}"#,
            422,
            "source: this is a list, expected text",
        ),
        (
            Method::GET,
            "/api/v1/events?limit=many",
            "",
            400,
            "limit: this is no whole number",
        ),
        (
            Method::GET,
            "/api/v1/audit?limit=4294967296",
            "",
            400,
            "limit: this number is too large",
        ),
        (
            Method::GET,
            "/api/v1/conflicts?decided=1",
            "",
            400,
            "decided: ",
        ),
        (
            Method::GET,
            "/api/v1/mappings/export?format=xml",
            "",
            400,
            "format: this is `xml`",
        ),
        (Method::GET, "/api/v1/stats?x=%ff", "", 200, ""),
    ] {
        let answer = app.admin.request(method, path, Some(&bearer), body).await;
        if status == 200 {
            assert_eq!(answer.status, 200, "{answer:?}");
            continue;
        }
        let detail = answer.problem(status)["detail"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(detail.contains(words), "{path} {body}: {detail}");
        for foreign in [
            "struct",
            "map",
            "sequence",
            "variant",
            "u32",
            "i64",
            "bool",
            "deserialize",
            "target type",
        ] {
            assert!(!detail.contains(foreign), "{path} {body}: {detail}");
        }
    }
    let answer = app.admin.import_ndjson("{\"source\":{}}\n[]\n7\n").await;
    let problem = answer.problem(422);
    let details: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["detail"].as_str().unwrap())
        .collect();
    assert!(
        details[0].starts_with("source: this is an object, expected text"),
        "{details:?}"
    );
    assert!(
        details.iter().all(|detail| !detail.contains("struct")),
        "{details:?}"
    );
    app.stop().await;
}
