//! What happens when a call to Serval does not go well.

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{
    Endpoint, Journal, MockConfig, Repeat, SERVICENOW_INTEGRATION,
};

use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, eventually};

/// An incident that is mapped to `tkt-1`.
async fn mapped_incident(app: &TestApp) -> String {
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.webhooks.servicenow(incident(1)).send().await.id()
}

/// An incident that was mapped to `tkt-1` a while ago.
async fn long_mapped_incident(app: &TestApp) -> String {
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.age_mappings().await;
    app.webhooks.servicenow(incident(1)).send().await.id()
}

fn outcomes(event: &Value) -> Vec<(&str, Option<u64>)> {
    let attempts = event["attempts"].as_array().unwrap().iter();
    attempts
        .map(|attempt| {
            (
                attempt["outcome"].as_str().unwrap(),
                attempt["status"].as_u64(),
            )
        })
        .collect()
}

fn looks(app: &TestApp) -> usize {
    let journal = |journal: &Journal| journal.requests_to(Endpoint::ExternalTickets);
    app.mock.look(journal)
}

#[tokio::test]
async fn a_fault_of_serval_is_tried_again_until_it_is_over() {
    let app = TestApp::start().await;
    app.faults(&["status=500,count=1", "status=503,dialect=text,count=1"]);
    let id = mapped_incident(&app).await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    let expected = [
        ("retry", Some(500)),
        ("retry", Some(503)),
        ("connected", Some(200)),
    ];
    assert_eq!(outcomes(&event), expected);
    assert_eq!(event["last_error"], Value::Null);
    assert_eq!(app.mock.links().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_failed_says_so_while_it_waits() {
    let app = TestApp::builder().allow_pending().start().await;
    app.faults(&["status=503,retry_after=600"]);
    let id = mapped_incident(&app).await;
    let event = eventually("a failed try", async || {
        let event = app.admin.event(&id).await;
        (!event["attempts"].as_array().unwrap().is_empty()).then_some(event)
    })
    .await;
    assert_eq!(event["state"], "queued");
    let said = event["last_error"].as_str().unwrap();
    assert!(said.contains("503"), "{said}");
    assert_eq!(event["attempts"][0]["retry_after_ms"], 600_000);
    let due = |key: &str| {
        event[key]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let wait = due("due_at").duration_since(due("updated_at")).as_secs();
    assert!((590..=610).contains(&wait), "{wait} s");
    app.stop().await;
}

#[tokio::test]
async fn a_429_is_waited_out_as_serval_asks() {
    let app = TestApp::start().await;
    app.faults(&["status=429,retry_after=2,count=1"]);
    let id = mapped_incident(&app).await;
    app.admin.wait_for_state(&id, "connected").await;
    let connects = app.mock.connects();
    assert_eq!(connects.len(), 2);
    let wait = connects[1].at.duration_since(connects[0].at).as_millis();
    assert!(wait >= 1_900, "{wait} ms");
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_never_arrived_is_simply_made_again() {
    let app = TestApp::start().await;
    app.faults(&["reset,count=1"]);
    let id = mapped_incident(&app).await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(
        outcomes(&event),
        [("retry", None), ("connected", Some(200))]
    );
    assert_eq!(app.mock.links().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_looked_for_before_it_is_repeated() {
    let app = TestApp::start().await;
    app.faults(&["drop,count=1"]);
    let id = mapped_incident(&app).await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(event["reason"], "already_linked");
    assert_eq!(
        outcomes(&event),
        [("retry", None), ("already_linked", Some(200))]
    );
    assert_eq!(app.mock.connects().len(), 1, "the call is not made twice");
    assert_eq!(looks(&app), 1);
    assert_eq!(app.mock.links().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_after_the_timeout_and_looked_for() {
    let app = TestApp::builder()
        .config("[serval]\ntimeout = \"1s\"")
        .start()
        .await;
    app.faults(&["hang,count=1"]);
    let id = mapped_incident(&app).await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(outcomes(&event).len(), 2);
    assert_eq!(looks(&app), 1);
    assert_eq!(app.mock.links().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_ticket_that_serval_does_not_know_is_given_up_at_once_with_what_it_said() {
    let app = TestApp::start().await;
    app.mock.forget_ticket("tkt-1");
    let id = long_mapped_incident(&app).await;
    let event = app.admin.wait_for_state(&id, "dead").await;
    assert_eq!(event["reason"], "not_found");
    let said = event["last_error"].as_str().unwrap();
    assert!(
        said.contains("404") && said.contains("no ticket tkt-1"),
        "{said}"
    );
    assert_eq!(outcomes(&event), [("dead", Some(404))]);
    assert_eq!(event["attempts"][0]["code"], "not_found");
    app.stop().await;
}

#[tokio::test]
async fn what_serval_refuses_for_good_is_given_up_at_once() {
    for (fault, reason) in [
        ("status=400", "invalid_argument"),
        ("status=403,dialect=numeric", "permission_denied"),
        ("status=501", "unimplemented"),
        ("conflict", "conflict"),
    ] {
        let app = TestApp::start().await;
        app.faults(&[fault]);
        let id = mapped_incident(&app).await;
        let event = app.admin.wait_for_state(&id, "dead").await;
        assert_eq!(event["reason"], reason, "{fault}");
        assert_eq!(outcomes(&event).len(), 1, "{fault}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_dead_event_can_be_replayed() {
    let app = TestApp::start().await;
    app.mock.forget_ticket("tkt-1");
    let id = long_mapped_incident(&app).await;
    app.admin.wait_for_state(&id, "dead").await;
    app.mock.add_ticket("tkt-1");
    let reason = json!({"reason": "the ticket is back"});
    let answer = app
        .admin
        .post(&format!("/events/{id}/replay"), &reason)
        .await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["id"], json!(id));
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(
        outcomes(&event),
        [("dead", Some(404)), ("connected", Some(200))]
    );
    let history = event["history"].as_array().unwrap();
    let states: Vec<_> = history.iter().map(|change| &change["state"]).collect();
    assert_eq!(states, ["queued", "dead", "queued", "connected"]);
    assert_eq!(history[2]["reason"], "replayed: the ticket is back");
    app.stop().await;
}

#[tokio::test]
async fn only_what_was_given_up_can_be_replayed() {
    let app = TestApp::start().await;
    let parked = app.webhooks.servicenow(incident(2)).send().await.id();
    let connected = mapped_incident(&app).await;
    app.admin.wait_for_state(&connected, "connected").await;
    for id in [parked, connected] {
        let path = format!("/events/{id}/replay");
        app.admin.post(&path, &Value::Null).await.problem(409);
    }
    app.admin
        .post("/events/evt_999/replay", &Value::Null)
        .await
        .problem(404);
    app.stop().await;
}

#[tokio::test]
async fn many_dead_events_are_replayed_together_after_a_dry_run() {
    let app = TestApp::start().await;
    for n in 0..5 {
        app.mock.forget_ticket(&format!("tkt-{n}"));
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
    }
    app.age_mappings().await;
    let batch: Vec<String> = (0..5).map(incident).collect();
    app.webhooks
        .servicenow(format!("[{}]", batch.join(",")))
        .send()
        .await;
    app.admin.drained().await;
    assert_eq!(app.admin.stats().await["totals"]["dead"], 5);
    for n in 0..5 {
        app.mock.add_ticket(&format!("tkt-{n}"));
    }
    let replay = async |body: Value| app.admin.post("/events/replay", &body).await.json();
    let dry = replay(json!({"state": "dead", "dry_run": true})).await;
    assert_eq!(dry, json!({"matched": 5, "replayed": 0}));
    assert_eq!(app.admin.stats().await["totals"]["dead"], 5);
    let none = replay(json!({"state": "dead", "source": "slack"})).await;
    assert_eq!(none, json!({"matched": 0, "replayed": 0}));
    let all = replay(json!({"state": "dead", "source": "servicenow"})).await;
    assert_eq!(all, json!({"matched": 5, "replayed": 5}));
    app.admin.drained().await;
    assert_eq!(app.admin.stats().await["totals"]["connected"], 5);
    app.stop().await;
}

#[tokio::test]
async fn a_pair_that_serval_has_already_is_taken_as_connected() {
    let app = TestApp::builder()
        .serval(MockConfig {
            repeat: Repeat::Conflict,
            ..MockConfig::default()
        })
        .start()
        .await;
    let servicenow = "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW";
    app.mock.add_link("tkt-1", &sys_id(1), servicenow);
    let id = mapped_incident(&app).await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(event["reason"], "already_linked");
    assert_eq!(app.mock.links().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn one_ticket_that_fails_does_not_hold_up_the_others() {
    let app = TestApp::builder().allow_pending().start().await;
    app.faults(&["status=500,ticket=tkt-1"]);
    let failing = mapped_incident(&app).await;
    for n in 2..8 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
        let id = app.webhooks.servicenow(incident(n)).send().await.id();
        app.admin.wait_for_state(&id, "connected").await;
    }
    assert_eq!(app.admin.event(&failing).await["state"], "queued");
    app.stop().await;
}

#[tokio::test]
async fn an_outage_opens_the_line_and_its_end_closes_it() {
    let app = TestApp::start().await;
    app.faults(&["status=503"]);
    let mut ids = Vec::new();
    for n in 0..8 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
        ids.push(app.webhooks.servicenow(incident(n)).send().await.id());
    }
    eventually("the line opens", async || {
        (app.admin.stats().await["breaker"]["state"] == "open").then_some(())
    })
    .await;
    assert_eq!(app.admin.stats().await["totals"]["queued"], 8);
    app.faults(&[]);
    app.admin.drained().await;
    let stats = app.admin.stats().await;
    assert_eq!(stats["totals"]["connected"], 8);
    assert_eq!(stats["breaker"]["state"], "closed");
    app.stop().await;
}

#[tokio::test]
async fn an_outage_that_no_event_waits_for_keeps_no_pair_linked() {
    for (threshold, state) in [(1, "open"), (2, "suspect")] {
        let config = format!("[delivery]\nbreaker_threshold = {threshold}");
        let app = TestApp::builder().config(&config).start().await;
        app.admin.map("servicenow", &sys_id(2), "tkt-2").await;
        app.save(incident(2)).await;
        app.admin.drained().await;
        app.faults(&["status=503,ticket=tkt-1", "status=503,ticket=tkt-3"]);
        let id = mapped_incident(&app).await;
        eventually(state, async || {
            (app.admin.stats().await["breaker"]["state"] == state).then_some(())
        })
        .await;
        let path = format!("/mappings/servicenow/{}?disconnect=true", sys_id(2));
        assert_eq!(app.admin.delete(&path).await.status, 204);
        let deletion = r#"{"table":"incident","operation":"delete","record":"#;
        app.save(format!("{deletion}{}}}", incident(1))).await;
        app.admin.wait_for_state(&id, "skipped").await;
        eventually("the pair is unlinked", async || {
            app.mock.links().is_empty().then_some(())
        })
        .await;
        // The outage is not forgotten: the next failure opens the breaker again.
        app.admin.map("servicenow", &sys_id(3), "tkt-3").await;
        app.save(incident(3)).await;
        eventually("the breaker is open", async || {
            (app.admin.stats().await["breaker"]["state"] == "open").then_some(())
        })
        .await;
        app.faults(&[]);
        app.stop().await;
    }
}

#[tokio::test]
async fn an_outage_gives_no_unlink_up_however_old_it_is() {
    for (threshold, state) in [(1, "open"), (2, "suspect")] {
        let config =
            format!("[delivery]\nbreaker_threshold = {threshold}\ngive_up_after = \"10s\"");
        let app = TestApp::builder().config(&config).allow_pending();
        let app = app.start().await;
        app.admin.map("servicenow", &sys_id(2), "tkt-2").await;
        app.save(incident(2)).await;
        app.admin.drained().await;
        app.faults(&[
            "status=503,ticket=tkt-1,count=1",
            "status=503,ticket=tkt-1,retry_after=600",
            "status=503,ticket=tkt-2",
        ]);
        let id = mapped_incident(&app).await;
        eventually("the event waits", async || {
            let stats = app.admin.stats().await;
            let is_it = stats["asked_to_wait"].is_object() && stats["breaker"]["state"] == state;
            is_it.then_some(())
        })
        .await;
        let path = format!("/mappings/servicenow/{}?disconnect=true", sys_id(2));
        assert_eq!(app.admin.delete(&path).await.status, 204);
        app.alter("UPDATE disconnects SET queued_at = queued_at - 600000")
            .await;
        if state == "open" {
            // Without an event the breaker closes.
            let deletion = r#"{"table":"incident","operation":"delete","record":"#;
            app.save(format!("{deletion}{}}}", incident(1))).await;
            app.admin.wait_for_state(&id, "skipped").await;
        }
        let call = format!("/v2/tickets/tkt-2/disconnect/{SERVICENOW_INTEGRATION}");
        eventually("the unlink fails", async || {
            (app.requests("DELETE", &call) >= 3).then_some(())
        })
        .await;
        app.faults(&[]);
        eventually("the pair is unlinked", async || {
            app.mock.links().is_empty().then_some(())
        })
        .await;
        app.stop().await;
    }
}
