//! The admin API: who may use it, what its lists look like, and the switches.

use http::Method;
use serde_json::{Value, json};

use crate::support::bodies::{incident, record, slack_message, sys_id};
use crate::support::{ADMIN_TOKEN, TestApp};

#[tokio::test]
async fn nothing_below_api_v1_is_answered_without_the_token() {
    let app = TestApp::start().await;
    let wrong = format!("Bearer {ADMIN_TOKEN}x");
    let lower = format!("bearer {ADMIN_TOKEN}");
    let basic = format!("Basic {ADMIN_TOKEN}");
    let paths = [
        (Method::GET, "/api/v1/events"),
        (Method::GET, "/api/v1/events/evt_1"),
        (Method::GET, "/api/v1/mappings"),
        (Method::PUT, "/api/v1/mappings/servicenow/x"),
        (Method::GET, "/api/v1/stats"),
        (Method::POST, "/api/v1/connects/pause"),
        (Method::POST, "/api/v1/events/replay"),
        (Method::GET, "/api/v1/nothing/here"),
    ];
    for (method, path) in paths {
        for authorization in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some(wrong.as_str()),
            Some(basic.as_str()),
        ] {
            let answer = app
                .admin
                .request(method.clone(), path, authorization, "")
                .await;
            answer.problem(401);
            assert!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{path}"
            );
        }
    }
    let answer = app
        .admin
        .request(Method::GET, "/api/v1/stats", Some(&lower), "")
        .await;
    assert_eq!(answer.status, 200, "the scheme's case does not matter");
    assert_eq!(app.admin.stats().await["paused"], false);
    app.stop().await;
}

#[tokio::test]
async fn on_a_loopback_address_without_tokens_the_api_is_open() {
    let app = TestApp::builder()
        .config("[admin]\ntokens = []")
        .start()
        .await;
    let answer = app
        .admin
        .request(Method::GET, "/api/v1/stats", None, "")
        .await;
    assert_eq!(answer.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn health_and_readiness_need_no_token() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = app.admin.request(Method::GET, path, None, "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let status = answer.json()["status"].clone();
        assert!(status == "ok" || status == "ready", "{status}");
    }
    app.webhooks.servicenow(incident(1)).send().await;
    let ready = app.admin.readyz().await.json();
    assert!(ready["oldest_parked_age_s"].is_i64(), "{ready}");
    for (key, expected) in [
        ("problems", json!([])),
        ("paused", json!(false)),
        ("breaker", json!("closed")),
        ("held", json!(false)),
        ("oldest_due_age_s", Value::Null),
        ("overdue_claims", json!(0)),
    ] {
        assert_eq!(ready[key], expected, "{key}");
    }
    app.stop().await;
}

#[tokio::test]
async fn events_are_listed_newest_first_in_pages() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(app.webhooks.servicenow(incident(n)).send().await.id());
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .admin
            .get(&format!("/events?limit=3{cursor}"))
            .await
            .json();
        let keys: Vec<_> = page.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["data", "next_cursor"]);
        let data = page["data"].as_array().unwrap();
        sizes.push(data.len());
        seen.extend(
            data.iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        // What arrives between two pages neither repeats nor hides anything.
        app.webhooks
            .servicenow(incident(100 + u32::try_from(sizes.len()).unwrap()))
            .send()
            .await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    assert_eq!(sizes, [3, 3, 1]);
    app.stop().await;
}

#[tokio::test]
async fn events_are_found_by_state_source_and_external_id() {
    let app = TestApp::start().await;
    app.webhooks.servicenow(incident(1)).send().await;
    app.webhooks
        .servicenow(record("incident", 1, 2))
        .send()
        .await;
    app.webhooks
        .servicenow(incident(2))
        .to("/webhooks/servicenow-eu")
        .send()
        .await;
    app.webhooks
        .servicenow(record("problem", 3, 1))
        .send()
        .await;
    app.webhooks
        .slack(slack_message("Ev1", "1.000001", &Value::Null))
        .send()
        .await;
    let one = sys_id(1);
    let upper = one.to_uppercase();
    for (query, n) in [
        (String::new(), 5),
        ("state=parked".to_owned(), 3),
        ("state=ignored".to_owned(), 1),
        ("state=connected".to_owned(), 0),
        ("source=slack".to_owned(), 1),
        ("source=servicenow".to_owned(), 3),
        (format!("external_id={one}"), 2),
        (format!("external_id={upper}"), 2),
        (
            format!("external_id={one}&state=skipped&source=servicenow"),
            1,
        ),
        ("external_id=C9DDYQ1B4:1.000001".to_owned(), 1),
        ("reason=superseded".to_owned(), 1),
    ] {
        assert_eq!(app.admin.events(&query).await.len(), n, "{query}");
    }
    for (query, status) in [
        ("state=lost", 400),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("limit=-1", 400),
        ("cursor=7", 400),
        ("cursor=evt_x", 400),
        ("page=2", 400),
        ("source=nobody", 404),
    ] {
        app.admin
            .get(&format!("/events?{query}"))
            .await
            .problem(status);
    }
    for id in ["evt_999999", "evt_", "7", "evt_99999999999999999999"] {
        app.admin.get(&format!("/events/{id}")).await.problem(404);
    }
    app.stop().await;
}

#[tokio::test]
async fn an_event_shows_its_attempts_its_history_its_body_and_what_was_sent() {
    let app = TestApp::start().await;
    app.faults(&["status=500,count=1"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let body = format!("{{\"result\": {} }}", incident(1));
    let id = app.webhooks.servicenow(body.clone()).send().await.id();
    let event = app.admin.wait_for_state(&id, "connected").await;
    for (key, expected) in [
        ("id", json!(id)),
        ("source", json!("servicenow")),
        ("external_id", json!(sys_id(1))),
        ("subtype", json!("incident")),
        ("state", json!("connected")),
        ("reason", Value::Null),
        ("ticket_id", json!("tkt-1")),
        ("last_error", Value::Null),
        ("body", json!(body)),
    ] {
        assert_eq!(event[key], expected, "{key}");
    }
    let attempts = event["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0]["status"], 500);
    assert_eq!(attempts[0]["ticket_id"], "tkt-1");
    assert!(
        attempts[0]["answer"]
            .as_str()
            .unwrap()
            .contains("a fault was asked for")
    );
    assert_eq!(event["sent"]["externalTicketId"], json!(sys_id(1)));
    assert_eq!(event["sent"]["externalTicketSubtype"], "incident");
    assert_eq!(event["sent"]["externalTicketData"], json!(incident(1)));
    for time in [
        &event["received_at"],
        &event["updated_at"],
        &attempts[0]["started_at"],
    ] {
        let time = time.as_str().unwrap();
        assert!(
            time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(),
            "{time}"
        );
    }
    let row = app.admin.events("").await.remove(0);
    assert_eq!(row["attempts"], 2, "a list says how many");
    assert_eq!(row.get("body"), None, "a list has no bodies");
    app.stop().await;
}

#[tokio::test]
async fn stats_count_events_by_source_and_state() {
    let app = TestApp::start().await;
    let empty = app.admin.stats().await;
    assert_eq!(empty["oldest_queued_age_s"], Value::Null);
    assert_eq!(
        empty["sources"]["slack"]["parked"], 0,
        "every source, every state"
    );
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&id, "connected").await;
    app.webhooks.servicenow(incident(2)).send().await;
    app.webhooks
        .servicenow(record("problem", 3, 1))
        .send()
        .await;
    app.webhooks
        .slack(slack_message("Ev1", "1.000001", &Value::Null))
        .send()
        .await;
    let stats = app.admin.stats().await;
    assert_eq!(stats["sources"]["servicenow"]["connected"], 1);
    assert_eq!(stats["sources"]["servicenow"]["parked"], 1);
    assert_eq!(stats["sources"]["servicenow"]["ignored"], 1);
    assert_eq!(stats["sources"]["slack"]["parked"], 1);
    assert_eq!(stats["totals"]["parked"], 2);
    assert_eq!(stats["connects_per_minute"], 1);
    assert_eq!(stats["breaker"]["state"], "closed");
    assert_eq!(stats["hold"], Value::Null);
    assert!(stats["oldest_parked_age_s"].as_i64().is_some(), "{stats}");
    app.stop().await;
}

#[tokio::test]
async fn paused_calls_stay_paused_over_a_restart_and_webhooks_are_stored() {
    let mut app = TestApp::builder().allow_pending().start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let paused = app.admin.post("/connects/pause", &Value::Null).await;
    assert_eq!(
        (paused.status, paused.json()),
        (200, json!({"paused": true}))
    );
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    assert_eq!(app.admin.stats().await["paused"], true);
    assert_eq!(app.admin.readyz().await.json()["paused"], true);

    app.restart().await;
    assert_eq!(app.admin.readyz().await.status, 200, "a pause is no fault");
    app.webhooks.servicenow(incident(2)).send().await;
    // The worker looks at the queue every second; by now it would have called.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(app.admin.stats().await["paused"], true);
    assert_eq!(app.admin.event(&id).await["state"], "queued");
    assert_eq!(app.mock.connects().len(), 0);

    let resumed = app.admin.post("/connects/resume", &Value::Null).await;
    assert_eq!(
        (resumed.status, resumed.json()),
        (200, json!({"paused": false}))
    );
    app.admin.wait_for_state(&id, "connected").await;
    app.restart().await;
    assert_eq!(app.admin.stats().await["paused"], false);
    app.stop().await;
}

#[tokio::test]
async fn wrong_methods_paths_and_bodies_are_problems() {
    let app = TestApp::start().await;
    app.admin.get("/nothing").await.problem(404);
    app.admin.post("/events", &Value::Null).await.problem(405);
    app.admin.get("/connects/pause").await.problem(405);
    app.admin.post("/mappings", &json!({})).await.problem(405);
    app.admin
        .post("/events/replay", &Value::Null)
        .await
        .problem(400);
    for body in [
        json!({"state": "connected"}),
        json!({"states": "dead"}),
        json!([]),
    ] {
        app.admin.post("/events/replay", &body).await.problem(422);
    }
    app.admin
        .post("/events/replay", &json!({"state": "gone"}))
        .await
        .problem(400);
    let webhooks = app
        .admin
        .request(Method::POST, "/webhooks/servicenow", None, "{}")
        .await;
    webhooks.problem(404);
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_an_open_admin_listener() {
    let app = TestApp::builder()
        .config("[admin]\ntokens = []\n")
        .start()
        .await;
    let refused = app.admin.post_across_sites("/connects/pause").await;
    refused.problem(403);
    assert_eq!(app.admin.stats().await["paused"], false);
    let allowed = app.admin.post("/connects/pause", &Value::Null).await;
    assert_eq!(allowed.status, 200, "programs may");
    app.stop().await;
}
