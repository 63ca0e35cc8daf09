//! Parked events: what waits for its mapping, which of several is kept, and what sets it free.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::{incident, record, slack_message, sys_id};

const THREAD: &str = "C9DDYQ1B4:1779146751.061339";
const ROOT: &str = "1779146751.061339";

fn saved(mod_count: u32, updated_on: &str) -> String {
    record("incident", 1, mod_count).replace("2026-03-17 13:05:44", updated_on)
}

/// State and reason of an event.
async fn stands(app: &TestApp, id: &str) -> (String, String) {
    let event = app.admin.event(id).await;
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

fn pair(state: &str, reason: &str) -> (String, String) {
    (state.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn an_event_without_a_mapping_waits_and_leaves_when_one_comes() {
    let app = TestApp::start().await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    assert_eq!(stands(&app, &id).await, pair("parked", "no_mapping"));
    assert_eq!(app.mock.connects().len(), 0);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(app.mock.links()[0].ticket_id, "tkt-1");
    let history: Vec<_> = event["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["state"].as_str().unwrap())
        .collect();
    assert_eq!(history, ["parked", "queued", "connected"]);
    app.stop().await;
}

#[tokio::test]
async fn a_mapping_sets_only_its_own_ticket_free() {
    let app = TestApp::start().await;
    let one = app.webhooks.servicenow(incident(1)).send().await.id();
    let two = app.webhooks.servicenow(incident(2)).send().await.id();
    let elsewhere = app
        .webhooks
        .servicenow(incident(1))
        .to("/webhooks/servicenow-eu");
    let elsewhere = elsewhere.send().await.id();
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.wait_for_state(&one, "connected").await;
    assert_eq!(stands(&app, &two).await, pair("parked", "no_mapping"));
    assert_eq!(stands(&app, &elsewhere).await, pair("parked", "no_mapping"));
    app.stop().await;
}

#[tokio::test]
async fn of_several_saves_of_a_record_the_newest_is_kept_in_whatever_order_they_come() {
    let early = "2026-03-17 13:05:44";
    let late = "2026-03-17 13:05:45";
    // (count of saves, time) in the order of arrival, and which one is kept.
    let rows: [(&[(u32, &str)], usize); 5] = [
        (&[(1, early), (2, early), (3, early)], 2),
        (&[(3, early), (2, late), (1, late)], 1),
        (&[(2, early), (10, early), (9, late)], 2),
        (&[(2, late), (2, early)], 0),
        (&[(2, early), (2, late)], 1),
    ];
    for (saves, kept) in rows {
        let app = TestApp::start().await;
        let mut ids = Vec::new();
        for (n, updated_on) in saves {
            let body = saved(*n, updated_on);
            ids.push(app.webhooks.servicenow(body).send().await.id());
        }
        for (place, id) in ids.iter().enumerate() {
            let expected = if place == kept {
                pair("parked", "no_mapping")
            } else {
                pair("skipped", "superseded")
            };
            assert_eq!(stands(&app, id).await, expected, "{saves:?} {place}");
        }
        app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        app.admin.wait_for_state(&ids[kept], "connected").await;
        let (count, updated_on) = saves[kept];
        let connects = app.mock.connects();
        assert_eq!(connects.len(), 1);
        assert_eq!(connects[0].object, Some(saved(count, updated_on)));
        app.stop().await;
    }
}

#[tokio::test]
async fn of_several_saves_in_one_batch_the_newest_is_kept() {
    let app = TestApp::start().await;
    let saves: Vec<String> = [2, 5, 3].map(|n| record("incident", 1, n)).to_vec();
    let body = format!("[{}]", saves.join(","));
    let events = app.webhooks.servicenow(body).send().await.events();
    let states: Vec<&Value> = events.iter().map(|event| &event["state"]).collect();
    assert_eq!(states, ["skipped", "parked", "skipped"]);
    assert_eq!(app.admin.stats().await["totals"]["parked"], 1);
    app.stop().await;
}

#[tokio::test]
async fn of_a_slack_thread_the_root_is_kept_else_the_earliest_reply() {
    let reply = |ts: &str| slack_message(&format!("Ev{ts}"), ts, &json!({"thread_ts": ROOT}));
    let root = || slack_message("EvRoot", ROOT, &Value::Null);
    let (first, second) = ("1779146760.000100", "1779146770.000200");
    let rows: [(Vec<String>, &str); 4] = [
        (vec![reply(second), reply(first)], first),
        (vec![reply(first), reply(second)], first),
        (vec![reply(first), root(), reply(second)], ROOT),
        (vec![root(), reply(first)], ROOT),
    ];
    for (bodies, kept) in rows {
        let app = TestApp::start().await;
        let n = bodies.len();
        for body in bodies {
            assert_eq!(app.webhooks.slack(body).send().await.status, 200);
        }
        let parked = app.admin.events("state=parked").await;
        assert_eq!(parked.len(), 1, "{parked:#?}");
        let skipped = app.admin.events("state=skipped&reason=superseded").await;
        assert_eq!(skipped.len(), n - 1);
        app.admin.map("slack", THREAD, "tkt-1").await;
        app.admin.drained().await;
        let connects = app.mock.connects();
        assert_eq!(connects.len(), 1);
        let sent: Value = serde_json::from_str(connects[0].object.as_deref().unwrap()).unwrap();
        assert_eq!(sent["ts"], kept);
        app.stop().await;
    }
}

#[tokio::test]
async fn what_is_parked_survives_a_restart() {
    let mut app = TestApp::start().await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    app.restart().await;
    assert_eq!(stands(&app, &id).await, pair("parked", "no_mapping"));
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(app.mock.connects()[0].object, Some(incident(1)));
    app.stop().await;
}

#[tokio::test]
async fn what_nobody_maps_expires_and_can_be_replayed_once_it_is_mapped() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\npark_for = \"1s\"")
        .start()
        .await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&id, "expired").await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.wait_for_state(&id, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn a_mapping_that_is_gone_when_its_event_is_due_parks_the_event_again() {
    let app = TestApp::start().await;
    app.admin.post("/connects/pause", &Value::Null).await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    assert_eq!(stands(&app, &id).await, pair("queued", ""));
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    app.admin.post("/connects/resume", &Value::Null).await;
    app.admin.wait_for_state(&id, "parked").await;
    assert_eq!(app.mock.connects().len(), 0);
    app.admin.map("servicenow", &sys_id(1), "tkt-2").await;
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(app.mock.links()[0].ticket_id, "tkt-2");
    app.stop().await;
}
