//! What waits for a mapping as people see it, and how waiting ends.

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::Site;
use crate::support::TestApp;
use crate::support::bodies::{incident, incident_with, slack_message, sys_id};

#[tokio::test]
async fn what_waits_is_listed_with_the_number_and_title_that_people_know() {
    let app = TestApp::start().await;
    let plain = json!({"number": "INC0010001", "short_description": "Printer on fire"});
    let pairs = json!({
        "number": {"value": "INC0010002", "display_value": "INC0010002"},
        "short_description": {"display_value": "No mail\nsince noon"},
    });
    let first = app.save(incident_with(1, 1, &plain)).await;
    app.save(incident_with(2, 1, &pairs)).await;
    let long = format!("The  &lt;door&gt; {}", "x".repeat(300));
    let message = slack_message(
        "EvRoot",
        "1.000001",
        &json!({"text": format!("\n{long}\nmore")}),
    );
    app.webhooks.slack(message).send().await;
    app.admin.map("servicenow", &sys_id(9), "tkt-9").await;
    app.save(incident(9)).await;
    app.admin.drained().await;

    let listed = app.admin.list("/parked").await;
    let texts = |key: &str| -> Vec<Value> { listed.iter().map(|p| p[key].clone()).collect() };
    assert_eq!(
        texts("external_id")[..2],
        [json!(sys_id(1)), json!(sys_id(2))]
    );
    assert_eq!(
        texts("number"),
        [json!("INC0010001"), json!("INC0010002"), Value::Null]
    );
    assert_eq!(
        texts("title")[..2],
        [json!("Printer on fire"), json!("No mail")]
    );
    let title = listed[2]["title"].as_str().unwrap();
    assert!(
        title.starts_with("The  <door> x") && title.chars().count() == 120,
        "{title}"
    );
    let event = app.admin.event(&first).await;
    let expected = json!({
        "source": "servicenow", "external_id": sys_id(1), "number": "INC0010001",
        "title": "Printer on fire", "event": first, "parked_at": event["received_at"],
        "expires_at": event["due_at"], "last_error": null,
    });
    assert_eq!(listed[0], expected);

    assert_eq!(app.admin.list("/parked?source=slack").await.len(), 1);
    let mut page = app.admin.get("/parked?limit=2").await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let cursor = page["next_cursor"].take();
    let next = format!("/parked?limit=2&cursor={}", cursor.as_str().unwrap());
    let last = app.admin.get(&next).await.json();
    assert_eq!(
        (&last["data"][0], &last["next_cursor"]),
        (&listed[2], &Value::Null)
    );
    for (query, status) in [("source=nobody", 404), ("cursor=x", 400), ("limit=0", 400)] {
        app.admin
            .get(&format!("/parked?{query}"))
            .await
            .problem(status);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_expires_is_counted_listed_and_parked_again_by_a_replay_without_a_mapping() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\npark_for = \"1s\"")
        .start()
        .await;
    let id = app.save(incident(1)).await;
    app.admin.wait_for_state(&id, "expired").await;
    assert_eq!(app.admin.stats().await["totals"]["expired"], 1);
    assert_eq!(app.admin.events("state=expired").await[0]["id"], json!(id));
    assert!(app.admin.list("/parked").await.is_empty());
    let replay = format!("/events/{id}/replay");
    assert_eq!(app.admin.post(&replay, &Value::Null).await.status, 202);
    app.admin.wait_for_state(&id, "parked").await;
    assert_eq!(app.mock.connects().len(), 0);
    app.admin.wait_for_state(&id, "expired").await;
    // The same content is not held off by what has expired.
    let again = app.webhooks.servicenow(incident(1)).send().await.event();
    assert_eq!(again["state"], "parked");
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.drained().await;
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn a_record_of_two_classes_is_never_replayed() {
    let app = TestApp::start().await;
    let body = format!(r#"{{"table":"sc_req_item","record":{}}}"#, incident(1));
    let id = app.save(body).await;
    assert_eq!(app.admin.event(&id).await["reason"], "class_conflict");
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let refused = app
        .admin
        .post(&format!("/events/{id}/replay"), &Value::Null)
        .await;
    let problem = refused.problem(409);
    assert!(
        problem["detail"].as_str().unwrap().contains("class"),
        "{problem}"
    );
    let many = app
        .admin
        .post("/events/replay", &json!({"state": "dead"}))
        .await;
    assert_eq!(many.json()["matched"], 0);
    assert_eq!(app.admin.event(&id).await["state"], "dead");
    assert_eq!(app.mock.connects().len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn the_command_line_lists_what_waits_and_pauses_the_calls_whether_the_daemon_runs_or_not() {
    const ID: &str = "3b9e41d7c0f24a18857d6e02fa91b3c6";
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    let waiting = site.incident(ID).await;
    let table = site.run("events parked").await;
    for part in [
        "INC0010001",
        "The printer on the second floor",
        ID,
        &waiting,
    ] {
        assert!(table.text().contains(part), "{part}: {table:?}");
    }
    let as_json = site
        .run("events parked --source servicenow --json")
        .await
        .json();
    assert_eq!(as_json["data"][0]["number"], "INC0010001");
    let paused = site.run("connects pause --json").await.json();
    assert_eq!(paused, json!({"paused": true}));
    site.run(&format!("map set servicenow {ID} T-1")).await;
    daemon.stop().await;

    let resumed = site.run("connects resume").await;
    assert!(resumed.text().contains("not running"), "{resumed:?}");
    assert!(site.serval.connects().is_empty());
    let none = site.run("events parked").await;
    assert_eq!(
        (none.text(), none.err.trim()),
        ("", "nothing waits for a mapping")
    );
    let _daemon = site.serve().await;
    site.wait_for(&waiting, "connected").await;
    let again = site.run("connects pause").await;
    assert!(again.text().contains("paused"), "{again:?}");
    assert_eq!(site.run("connects").await.code, 2);
}
