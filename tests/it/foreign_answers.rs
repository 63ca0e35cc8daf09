//! Answers that are not Serval's: those of gateways, proxies, portals and wrong servers.

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::{Endpoint, Message, MockConfig, MockServal};

use crate::support::bodies::{incident, naming, sys_id};
use crate::support::{Daemon, Settings, TestApp, eventually};

/// Maps the incidents 1 to `n` to `tkt_1` and so on, and has them arrive; answers their events.
async fn mapped_incidents(app: &TestApp, n: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 1..=n {
        let to = format!("tkt_{n}");
        app.admin.map("servicenow", &sys_id(n), &to).await;
        ids.push(app.save(incident(n)).await);
    }
    ids
}

async fn mapped_incident(app: &TestApp) -> String {
    mapped_incidents(app, 1).await.remove(0)
}

/// The event once its last try failed with a text that has all `parts`.
async fn failed_with(app: &TestApp, id: &str, parts: &[&str]) -> Value {
    eventually(&format!("an error with {parts:?}"), async || {
        let event = app.admin.event(id).await;
        let said = event["last_error"].as_str().unwrap_or_default();
        let has_all = parts.iter().all(|part| said.contains(part));
        has_all.then_some(event)
    })
    .await
}

fn calls(app: &TestApp, endpoint: Endpoint) -> usize {
    app.mock.look(|journal| journal.requests_to(endpoint))
}

#[tokio::test]
async fn a_page_on_the_way_is_an_outage_that_is_named_and_kills_no_event() {
    for (fault, what) in [
        ("404,dialect=html", "404 with a web page (text/html)"),
        (
            "403,dialect=json",
            "403 with JSON that has no known code (application/json)",
        ),
        ("407,dialect=text", "407 with a text (text/plain)"),
        ("451,dialect=empty", "451 with an empty body"),
        ("302,dialect=html", "302 with a web page (text/html)"),
    ] {
        let app = TestApp::start().await;
        app.faults(&[fault]);
        let ids = mapped_incidents(&app, 6).await;
        let ready = eventually("the breaker opens", async || {
            let ready = app.admin.readyz().await.json();
            (ready["breaker"] == "open").then_some(ready)
        })
        .await;
        let named = ready["serval"].as_str().unwrap();
        let call = format!("POST {}/v2/tickets/{{ticket}}/connect", app.mock.base_url());
        assert!(named.contains(&call) && named.contains(what), "{named}");
        assert!(!named.contains("a fault was asked for"), "{named}");
        assert_eq!(app.admin.stats().await["totals"]["dead"], 0, "{fault}");
        app.faults(&[]);
        for id in ids {
            app.admin.wait_for_state(&id, "connected").await;
        }
        assert_eq!(app.admin.readyz().await.json()["serval"], Value::Null);
        app.stop().await;
    }
}

#[tokio::test]
async fn an_error_or_a_page_behind_a_success_is_looked_into() {
    for fault in [
        "200,count=1",
        "200,count=1,dialect=numeric",
        "201,count=1,dialect=html",
    ] {
        let app = TestApp::start().await;
        app.faults(&[fault]);
        let id = mapped_incident(&app).await;
        let event = app.admin.wait_for_state(&id, "connected").await;
        assert_eq!(event["reason"], Value::Null, "{fault}");
        assert_eq!(calls(&app, Endpoint::ExternalTickets), 1, "{fault}");
        assert_eq!(app.mock.connects().len(), 2, "{fault}");
        app.stop().await;
    }
}

#[tokio::test]
async fn an_empty_success_or_another_object_is_a_success() {
    for fault in ["204,count=1,dialect=empty", "200,count=1,dialect=json"] {
        let app = TestApp::start().await;
        app.faults(&[fault]);
        let id = mapped_incident(&app).await;
        app.admin.wait_for_state(&id, "connected").await;
        assert_eq!(app.mock.connects().len(), 1, "{fault}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_ticket_that_is_too_new_for_serval_is_tried_again() {
    for fault in ["404,count=2", "404,count=2,dialect=numeric"] {
        let app = TestApp::start().await;
        app.faults(&[fault]);
        let id = mapped_incident(&app).await;
        app.admin.wait_for_state(&id, "connected").await;
        assert_eq!(app.mock.connects().len(), 3, "{fault}");
        app.stop().await;
    }
    let app = TestApp::start().await;
    app.mock.forget_ticket("tkt_1");
    let id = mapped_incident(&app).await;
    failed_with(&app, &id, &["404 not_found", "no ticket tkt_1"]).await;
    app.mock.add_ticket("tkt_1");
    app.admin.wait_for_state(&id, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn the_minute_of_a_new_ticket_begins_with_its_first_not_found() {
    let app = TestApp::start().await;
    app.faults(&["404"]);
    let id = mapped_incident(&app).await;
    let tries = async |n: usize| {
        eventually("a further try", async || {
            let event = app.admin.event(&id).await;
            (event["attempts"].as_array()?.len() >= n).then_some(event)
        })
        .await
    };
    tries(1).await;
    app.alter("UPDATE events SET tries = 40").await;
    assert_eq!(tries(3).await["state"], "queued");
    let minute_ago = "UPDATE attempts SET started_at = started_at - 60000;
        UPDATE events SET queued_at = queued_at - 61000";
    app.alter(minute_ago).await;
    let event = app.admin.wait_for_state(&id, "dead").await;
    // The server knows the ticket, but not the call.
    assert_eq!(event["reason"], "unimplemented");
    app.stop().await;
}

#[tokio::test]
async fn the_question_after_an_unknown_ticket_is_a_call_in_flight() {
    let app = TestApp::builder()
        .config("[delivery]\nconcurrency = 1")
        .start()
        .await;
    app.faults(&["404", "path=tickets,latency=3s"]);
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    app.age_mappings().await;
    app.save(incident(1)).await;
    eventually("the question", async || {
        (calls(&app, Endpoint::Tickets) > 0).then_some(())
    })
    .await;
    assert_eq!(app.admin.stats().await["calls_in_flight"], 1);
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_the_server_does_not_have_is_named_and_not_the_ticket() {
    let all = "[sources.servicenow]\naccounted_for = \"all_existing\"";
    for (toml, fault, also, route) in [
        ("", "404,path=connect", "404", "/connect"),
        (all, "404,path=messages", "404", "/messages"),
        (all, "404,path=messages,dialect=numeric", "404", "/messages"),
        (all, "501,path=messages", "404", "/messages"),
        (
            "",
            "404,path=external-tickets",
            "conflict",
            "/external-tickets",
        ),
        (
            "",
            "501,path=external-tickets",
            "conflict",
            "/external-tickets",
        ),
    ] {
        let app = TestApp::builder().config(toml).start().await;
        app.faults(&[fault, also]);
        app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
        app.age_mappings().await;
        let id = app.save(incident(1)).await;
        let event = app.admin.wait_for_state(&id, "dead").await;
        assert_eq!(event["reason"], "unimplemented", "{fault}");
        let said = event["last_error"].as_str().unwrap();
        assert!(
            said.contains(&format!("/v2/tickets/{{ticket}}{route}")),
            "{said}"
        );
        app.stop().await;
    }
}

#[tokio::test]
async fn a_page_for_a_call_beside_the_connect_is_tried_again_and_names_the_call() {
    let all = "[sources.servicenow]\naccounted_for = \"all_existing\"";
    let app = TestApp::builder().config(all).start().await;
    app.mock.set_messages(
        "tkt_1",
        vec![Message {
            id: "m-1".to_owned(),
            content: "seen".to_owned(),
        }],
    );
    app.faults(&["404,path=messages,dialect=html"]);
    let id = mapped_incident(&app).await;
    failed_with(
        &app,
        &id,
        &["GET ", "/messages was answered 404 with a web page"],
    )
    .await;
    app.faults(&[]);
    app.admin.wait_for_state(&id, "connected").await;

    app.faults(&["conflict", "404,path=external-tickets,dialect=text"]);
    app.admin.map("servicenow", &sys_id(2), "tkt_2").await;
    let id = app.save(incident(2)).await;
    failed_with(
        &app,
        &id,
        &["/external-tickets was answered 404 with a text"],
    )
    .await;
    app.faults(&[]);
    app.admin.wait_for_state(&id, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn a_page_teaches_nothing_about_a_ticket_that_a_payload_names() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nticket_id_pointers = ['/correlation_id']")
        .start()
        .await;
    app.faults(&["404,path=tickets,dialect=html"]);
    let id = app.save(naming(1, 1, "tkt_1")).await;
    failed_with(&app, &id, &["/v2/tickets/{ticket} was answered 404"]).await;
    app.faults(&[]);
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(app.connected_to(), ["tkt_1"]);
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_the_token_endpoint_holds_nothing_and_ends_by_itself() {
    let app = TestApp::builder().start().await;
    app.mock.revoke_tokens();
    app.faults(&["401,path=token,dialect=html"]);
    app.mock.revoke_tokens();
    let id = mapped_incident(&app).await;
    failed_with(
        &app,
        &id,
        &["/v2/auth/token was answered 401 with a web page"],
    )
    .await;
    assert_eq!(app.admin.readyz().await.json()["held"], false);
    app.faults(&[]);
    app.admin.wait_for_state(&id, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn a_page_does_not_end_an_unlink() {
    let app = TestApp::start().await;
    let id = mapped_incident(&app).await;
    app.admin.wait_for_state(&id, "connected").await;
    // The second fault is for the look before the call.
    app.faults(&[
        "404,count=1,dialect=html",
        "404,count=1,path=external-tickets,dialect=text",
    ]);
    let path = format!("/mappings/servicenow/{}?disconnect=true", sys_id(1));
    app.admin.delete(&path).await;
    eventually("the pair is unlinked", async || {
        app.mock.links().is_empty().then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_page_with_429_slows_the_pace_down_as_servals_own_does() {
    for fault in ["429,count=1,dialect=html", "429,count=1"] {
        let app = TestApp::builder()
            .config("[delivery]\nrate = 50")
            .start()
            .await;
        let before = app.admin.stats().await["calls_per_second_allowed"].clone();
        app.faults(&[fault]);
        let id = mapped_incident(&app).await;
        app.admin.wait_for_state(&id, "connected").await;
        let after = app.admin.stats().await["calls_per_second_allowed"].clone();
        assert!(
            after.as_f64() < before.as_f64(),
            "{fault}: {before} {after}"
        );
        app.stop().await;
    }
}

#[tokio::test]
async fn an_unlink_that_the_server_does_not_have_is_said() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    daemon.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = daemon.webhooks.servicenow(incident(1)).send().await.id();
    daemon.admin.wait_for_state(&id, "connected").await;
    mock.set_faults(vec!["404,path=connect".parse().unwrap()]);
    let path = format!("/mappings/servicenow/{}?disconnect=true", sys_id(1));
    daemon.admin.delete(&path).await;
    let line = eventually("it cannot be unlinked", async || {
        let is_it = |line: &Value| line.to_string().contains("could not be unlinked");
        daemon.log().into_iter().find(is_it)
    })
    .await;
    let error = line["error"].as_str().unwrap();
    assert!(
        error.contains("/v2/tickets/{ticket}/disconnect/{source}"),
        "{error}"
    );
    assert_eq!(mock.links().len(), 1);
    daemon.terminate().await;
    daemon.ended().await;
}
