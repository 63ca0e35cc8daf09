//! Records that name their Serval ticket: what is believed, after which look, and what is not.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::support::bodies::{incident, incident_with, naming, record, sys_id};
use crate::support::{Daemon, Settings, TestApp, eventually};

const POINTERS: &str = "[sources.servicenow]\nticket_id_pointers = [\"/correlation_id\"]";

fn looks(app: &TestApp, ticket_id: &str) -> usize {
    app.requests("GET", &format!("/v2/tickets/{ticket_id}"))
}

fn only(tickets: &[&str]) -> MockConfig {
    let known: BTreeSet<String> = tickets.iter().map(ToString::to_string).collect();
    MockConfig {
        known_tickets: Some(known),
        ..MockConfig::default()
    }
}

async fn mapping(app: &TestApp, n: u32) -> Value {
    app.admin.mapping("servicenow", &sys_id(n)).await
}

#[tokio::test]
async fn a_record_teaches_its_mapping_in_every_value_mode_and_connects() {
    let app = TestApp::builder().config(POINTERS).start().await;
    let modes: [fn(&str) -> Value; 4] = [
        |text| json!(text),
        |text| json!(format!("  {text}\t")),
        |text| json!({"value": text, "display_value": "a label"}),
        |text| json!({"display_value": text}),
    ];
    for (n, mode) in (1_u32..).zip(modes) {
        let ticket_id = format!("tkt-{n}x");
        let columns = json!({
            "correlation_id": mode(&ticket_id),
            "correlation_display": mode("the SERVAL desk"),
        });
        let body = incident_with(n, 1, &columns);
        let answer = app.webhooks.servicenow(body.clone()).send().await.event();
        assert_eq!(answer["state"], "queued", "{body}");
        let id = answer["id"].as_str().unwrap();
        let event = app.admin.wait_for_state(id, "connected").await;
        assert_eq!(event["history"][0]["reason"], "learning");
        let mapping = mapping(&app, n).await;
        assert_eq!(mapping["ticket_id"], json!(ticket_id), "{body}");
        assert_eq!(mapping["origin"], "payload");
        assert_eq!(mapping["taught_by"], id);
        assert_eq!(looks(&app, &ticket_id), 1, "verified once");
        assert_eq!(app.mock.connects().last().unwrap().object, Some(body));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_shared_column_is_believed_only_where_the_record_says_that_it_is_servals() {
    let app = TestApp::builder().config(POINTERS).start().await;
    let rows = [
        json!({"correlation_id": "tkt-1"}),
        json!({"correlation_id": "tkt-1", "correlation_display": ""}),
        json!({"correlation_id": "tkt-1", "correlation_display": "Monitoring"}),
        json!({"correlation_id": "---waiting---", "correlation_display": "Serval"}),
        json!({"correlation_id": "", "correlation_display": "Serval"}),
        json!({"correlation_id": {"value": "null"}, "correlation_display": "Serval"}),
        json!({"correlation_id": 7, "correlation_display": "Serval"}),
        json!({"correlation_id": "https://x/tickets/tkt-1", "correlation_display": "Serval"}),
    ];
    for (n, columns) in (1_u32..).zip(rows) {
        let answer = app.webhooks.servicenow(incident_with(n, 1, &columns));
        let event = answer.send().await.event();
        assert_eq!(event["state"], "parked", "{columns}");
        assert_eq!(mapping(&app, n).await, Value::Null, "{columns}");
    }
    assert_eq!(looks(&app, "tkt-1"), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_column_of_our_own_is_believed_and_a_url_is_reduced_to_its_id() {
    let app = TestApp::builder()
        .config(
            r#"
            [sources.servicenow]
            ticket_id_pointers = ["/u_serval", "/u_link"]
            ticket_url_pattern = '^https://app\.serval\.com/[^?#]*/tickets/(?<ticket_id>[^/?#]+)'
            "#,
        )
        .start()
        .await;
    let url = "https://app.serval.com/acme/tickets/tkt-2?tab=all";
    let elsewhere = "https://evil.example/app.serval.com/tickets/tkt-9";
    let own = app
        .save(incident_with(1, 1, &json!({"u_serval": "tkt-1"})))
        .await;
    let linked = app
        .save(incident_with(2, 1, &json!({"u_serval": "", "u_link": url})))
        .await;
    let foreign = app
        .save(incident_with(3, 1, &json!({"u_link": elsewhere})))
        .await;
    for id in [own, linked] {
        app.admin.wait_for_state(&id, "connected").await;
    }
    assert_eq!(mapping(&app, 1).await["ticket_id"], "tkt-1");
    assert_eq!(mapping(&app, 2).await["ticket_id"], "tkt-2");
    assert_eq!(app.admin.event(&foreign).await["state"], "parked");
    app.stop().await;
}

#[tokio::test]
async fn a_friendly_identifier_is_resolved_by_a_list_once_and_then_remembered() {
    let mut app = TestApp::builder()
        .config(POINTERS)
        .config("several_per_ticket = true\nverify_learned = false")
        .serval(only(&["ticket-of-ten"]))
        .start()
        .await;
    let friendly = MockServal::friendly_identifier("ticket-of-ten");
    let first = app.save(naming(1, 1, &friendly)).await;
    app.admin.wait_for_state(&first, "connected").await;
    assert_eq!(mapping(&app, 1).await["ticket_id"], "ticket-of-ten");
    assert_eq!(app.requests("GET", "/v2/tickets"), 1);

    app.restart().await;
    let again = app.save(naming(2, 1, &friendly.to_lowercase())).await;
    app.admin.wait_for_state(&again, "connected").await;
    assert_eq!(mapping(&app, 2).await["ticket_id"], "ticket-of-ten");
    assert_eq!(app.requests("GET", "/v2/tickets"), 1, "no second list");
    assert_eq!(app.connected_to(), ["ticket-of-ten", "ticket-of-ten"]);
    app.stop().await;
}

#[tokio::test]
async fn a_ticket_that_serval_does_not_know_teaches_nothing_and_the_event_is_parked() {
    let app = TestApp::builder()
        .config(POINTERS)
        .serval(only(&["tkt-1"]))
        .start()
        .await;
    for (n, named) in [(1, "tkt-lost"), (2, "ACM-4711")] {
        let id = app.save(naming(n, 1, named)).await;
        let event = app.admin.wait_for_state(&id, "parked").await;
        assert_eq!(event["reason"], "no_mapping");
        let said = event["last_error"].as_str().unwrap();
        assert!(
            said.contains(named) && said.contains("does not know"),
            "{said}"
        );
        assert_eq!(mapping(&app, n).await, Value::Null);
    }
    let parked = app.admin.list("/parked").await;
    assert!(
        parked[0]["last_error"]
            .as_str()
            .unwrap()
            .contains("tkt-lost")
    );
    // It can still be mapped by a person.
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.drained().await;
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn without_verification_an_id_is_believed_unseen() {
    let app = TestApp::builder()
        .config(POINTERS)
        .config("verify_learned = false")
        .start()
        .await;
    let id = app.save(naming(1, 1, "9d385017-c611")).await;
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(mapping(&app, 1).await["origin"], "payload");
    assert_eq!(looks(&app, "9d385017-c611"), 0);
    app.stop().await;
}

#[tokio::test]
async fn while_serval_is_down_what_a_record_names_is_neither_believed_nor_forgotten() {
    let mut app = TestApp::builder().config(POINTERS).start().await;
    app.faults(&["503,path=tickets"]);
    let id = app.save(naming(1, 1, "tkt-1")).await;
    eventually("the look fails", async || {
        (looks(&app, "tkt-1") > 1).then_some(())
    })
    .await;
    assert_eq!(app.admin.event(&id).await["state"], "queued");
    assert_eq!(mapping(&app, 1).await, Value::Null);
    app.restart().await;
    app.faults(&[]);
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert!(!event["attempts"].as_array().unwrap().is_empty());
    assert_eq!(mapping(&app, 1).await["taught_by"], id);
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn what_is_learned_releases_what_is_parked_and_the_newer_save_is_sent() {
    let app = TestApp::builder().config(POINTERS).start().await;
    let parked = app.save(incident(1)).await;
    let teaching = app.save(naming(1, 2, "tkt-1")).await;
    app.admin.wait_for_state(&teaching, "connected").await;
    let before = app.admin.event(&parked).await;
    assert_eq!(
        (&before["state"], &before["reason"]),
        (&json!("skipped"), &json!("superseded"))
    );
    let sent: Vec<_> = app.mock.connects().into_iter().map(|c| c.object).collect();
    assert_eq!(sent, [Some(naming(1, 2, "tkt-1"))]);
    app.stop().await;
}

#[tokio::test]
async fn a_newer_save_that_came_while_serval_was_asked_is_the_one_that_is_sent() {
    let app = TestApp::builder().config(POINTERS).start().await;
    app.faults(&["latency=800ms,path=tickets"]);
    let teaching = app.save(naming(1, 1, "tkt-1")).await;
    eventually("Serval is asked", async || {
        (looks(&app, "tkt-1") == 1).then_some(())
    })
    .await;
    let newer = app.save(record("incident", 1, 2)).await;
    app.admin.wait_for_state(&newer, "connected").await;
    let event = app.admin.event(&teaching).await;
    assert_eq!(
        (&event["state"], &event["reason"]),
        (&json!("skipped"), &json!("superseded"))
    );
    assert_eq!(mapping(&app, 1).await["taught_by"], teaching);
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn an_echo_teaches_the_mapping_but_is_never_sent() {
    let app = TestApp::builder().config(POINTERS).start().await;
    let echo = |n: u32, ticket_id: &str| {
        let columns = json!({
            "correlation_id": ticket_id, "correlation_display": "Serval",
            "sys_updated_by": "serval.integration",
        });
        incident_with(n, 2, &columns)
    };
    let parked = app.save(incident(1)).await;
    let teaching = app.save(echo(1, "tkt-1")).await;
    app.admin.wait_for_state(&parked, "connected").await;
    let event = app.admin.wait_for_state(&teaching, "skipped").await;
    assert_eq!(event["reason"], "echo");
    assert_eq!(mapping(&app, 1).await["taught_by"], teaching);
    assert_eq!(app.mock.connects()[0].object, Some(incident(1)));

    let alone = app.save(echo(2, "tkt-2")).await;
    assert_eq!(
        app.admin.wait_for_state(&alone, "skipped").await["reason"],
        "echo"
    );
    assert_eq!(mapping(&app, 2).await["ticket_id"], "tkt-2");
    // What a person writes is sent; what Serval wrote is not, also not by a changed mapping.
    let written = app.save(record("incident", 2, 3)).await;
    app.admin.wait_for_state(&written, "connected").await;
    let lost = app.save(echo(3, "ACM-0")).await;
    app.admin.wait_for_state(&lost, "skipped").await;
    assert_eq!(app.connected_to(), ["tkt-1", "tkt-2"]);
    app.stop().await;
}

#[tokio::test]
async fn a_ticket_that_has_another_external_ticket_of_the_source_is_not_learned() {
    let app = TestApp::builder().config(POINTERS).start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin
        .map("slack", "C9DDYQ1B4:1779146701.000001", "tkt-2")
        .await;
    let taken = app.save(naming(2, 1, "tkt-1")).await;
    let event = app.admin.wait_for_state(&taken, "parked").await;
    let said = event["last_error"].as_str().unwrap();
    assert!(
        said.contains(&sys_id(1)) && said.contains("several_per_ticket"),
        "{said}"
    );
    assert_eq!(mapping(&app, 2).await, Value::Null);
    // Of another source it may have one.
    let free = app.save(naming(3, 1, "tkt-2")).await;
    app.admin.wait_for_state(&free, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn what_was_named_in_vain_stands_in_the_log() {
    let mock = MockServal::start(only(&[])).await.unwrap();
    let settings = Settings {
        toml: POINTERS.to_owned(),
        ..Settings::default()
    };
    let mut daemon = Daemon::start(&mock, &settings).await;
    let id = daemon
        .webhooks
        .servicenow(naming(1, 1, "tkt-lost"))
        .send()
        .await
        .id();
    daemon.admin.wait_for_state(&id, "parked").await;
    let warned = eventually("it is said", async || {
        let log = daemon.log().into_iter();
        log.into_iter()
            .find(|line| line["level"] == "WARN" && line["named"] == "tkt-lost")
    })
    .await;
    assert_eq!(warned["event"], id);
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
}
