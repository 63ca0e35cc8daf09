//! Our account at Serval: tokens, credentials that are no good, and who never gets to see them.

use std::sync::OnceLock;

use http::StatusCode;
use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{Endpoint, Journal, MockConfig, MockServal};

use crate::support::bodies::{incident, sys_id};
use crate::support::{Call, Daemon, Peer, Reply, Settings, TestApp, eventually};

fn another_secret() -> MockConfig {
    MockConfig {
        client_secret: "another-secret".to_owned().into(),
        ..MockConfig::default()
    }
}

fn connect_requests(mock: &MockServal) -> usize {
    mock.look(|journal: &Journal| journal.requests_to(Endpoint::Connect))
}

/// Waits until the line is held.
async fn held(app: &TestApp) -> Value {
    eventually("calls are held", async || {
        let answer = app.admin.readyz().await;
        (answer.status == 503).then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn while_the_credentials_are_wrong_events_wait_and_readyz_says_why() {
    let app = TestApp::builder()
        .serval(another_secret())
        .allow_pending()
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let answer = app.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(answer.status, 202, "webhooks are taken all the same");
    let ready = held(&app).await;
    assert_eq!(ready["status"], "not ready");
    assert_eq!(ready["held"], true);
    let problem = ready["problems"][0].as_str().unwrap();
    assert!(problem.contains("credentials"), "{problem}");
    assert!(!problem.contains("mock-secret"), "{problem}");

    let stats = app.admin.stats().await;
    assert_eq!(stats["totals"]["queued"], 1);
    assert!(stats["hold"]["reason"].is_string(), "{stats}");
    assert_eq!(
        connect_requests(&app.mock),
        0,
        "no call is made without a token"
    );
    let event = app.admin.event(&answer.id()).await;
    assert_eq!(event["state"], "queued");
    // A call that was under way when the line was held may be on record, as no fault of the event.
    for attempt in event["attempts"].as_array().unwrap() {
        assert_eq!(attempt["outcome"], "held", "{attempt}");
    }
    let healthz = app
        .admin
        .request(http::Method::GET, "/healthz", None, "")
        .await;
    assert_eq!(healthz.status, 200, "the process is fine");
    app.stop().await;
}

#[tokio::test]
async fn wrong_credentials_are_said_once_and_loudly() {
    let mock = MockServal::start(another_secret()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    for n in 0..4 {
        daemon
            .admin
            .map("servicenow", &sys_id(n), &format!("tkt_{n}"))
            .await;
        daemon.webhooks.servicenow(incident(n)).send().await;
    }
    eventually("calls are held", async || {
        (daemon.admin.readyz().await.status == 503).then_some(())
    })
    .await;
    let errors: Vec<Value> = daemon
        .log()
        .into_iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let message = errors[0]["message"].as_str().unwrap();
    assert!(message.contains("credentials"), "{message}");
    let log = Value::from(daemon.log()).to_string();
    assert!(!log.contains("mock-secret"), "no secret in the log");
}

#[tokio::test]
async fn credentials_that_go_bad_hold_the_line_and_cost_no_event_anything() {
    let app = TestApp::builder().allow_pending().start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let first = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&first, "connected").await;
    app.faults(&["status=401,path=token"]);
    app.mock.revoke_tokens();
    app.admin.map("servicenow", &sys_id(2), "tkt_2").await;
    let second = app.webhooks.servicenow(incident(2)).send().await.id();
    held(&app).await;
    eventually("the call that met it is on record", async || {
        let event = app.admin.event(&second).await;
        (event["attempts"][0]["outcome"] == "held").then_some(())
    })
    .await;
    assert_eq!(app.admin.event(&second).await["state"], "queued");
    app.stop().await;
}

#[tokio::test]
async fn a_hold_lasts_at_least_as_long_as_serval_asks() {
    for (fault, seconds) in [
        ("status=401,path=connect", 30),
        ("status=401,retry_after=7,path=connect", 30),
        ("status=401,retry_after=60,path=connect", 60),
    ] {
        let app = TestApp::builder().allow_pending().start().await;
        app.faults(&[fault]);
        app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
        app.save(incident(1)).await;
        held(&app).await;
        let hold = app.admin.stats().await["hold"].clone();
        let time = |key: &str| -> jiff::Timestamp { hold[key].as_str().unwrap().parse().unwrap() };
        let wait = time("next_check_at").duration_since(time("since"));
        assert_eq!(wait.as_secs(), seconds, "{fault}: {hold}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_renewed_and_the_call_made_once_more() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let first = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&first, "connected").await;
    assert_eq!(app.mock.look(|journal| journal.token_count), 1);
    app.mock.revoke_tokens();
    app.admin.map("servicenow", &sys_id(2), "tkt_2").await;
    let second = app.webhooks.servicenow(incident(2)).send().await.id();
    let event = app.admin.wait_for_state(&second, "connected").await;
    assert_eq!(
        event["attempts"].as_array().unwrap().len(),
        1,
        "one attempt, with one retry in it"
    );
    assert_eq!(app.mock.look(|journal| journal.token_count), 2);
    assert_eq!(connect_requests(&app.mock), 3);
    assert_eq!(app.admin.readyz().await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn one_token_serves_all_calls() {
    let app = TestApp::start().await;
    for n in 0..8 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt_{n}"))
            .await;
    }
    let batch: Vec<String> = (0..8).map(incident).collect();
    app.webhooks
        .servicenow(format!("[{}]", batch.join(",")))
        .send()
        .await;
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 8);
    assert_eq!(app.mock.look(|journal| journal.token_count), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_token_is_refreshed_before_its_end() {
    let app = TestApp::builder()
        .serval(MockConfig {
            expires_in: Some(1),
            ..MockConfig::default()
        })
        .start()
        .await;
    for n in 0..3 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt_{n}"))
            .await;
        let id = app.webhooks.servicenow(incident(n)).send().await.id();
        app.admin.wait_for_state(&id, "connected").await;
    }
    let is_refused = |journal: &Journal| {
        let connects = journal.requests.iter();
        connects.filter(|request| !request.authorised).count()
    };
    assert_eq!(
        app.mock.look(is_refused),
        0,
        "no call is made with a token that ended"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_fixed_bearer_token_does_without_the_token_endpoint() {
    let app = TestApp::builder()
        .bearer_token("a-token-from-elsewhere")
        .serval(MockConfig {
            bearer_token: Some("a-token-from-elsewhere".to_owned().into()),
            ..MockConfig::default()
        })
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(app.mock.look(|journal| journal.token_count), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_fixed_bearer_token_that_is_refused_holds_the_line_too() {
    let app = TestApp::builder()
        .bearer_token("a-token-that-nobody-knows")
        .allow_pending()
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    app.webhooks.servicenow(incident(1)).send().await;
    let ready = held(&app).await;
    assert_eq!(app.admin.stats().await["totals"]["queued"], json!(1));
    assert!(!ready.to_string().contains("nobody-knows"), "{ready}");
    app.stop().await;
}

/// Where a Serval that was taken over would like its callers to go.
static ELSEWHERE: OnceLock<String> = OnceLock::new();

fn redirecting(call: &Call) -> Reply {
    if call.path == "/v2/auth/token" {
        let token = r#"{"access_token":"a-token","expires_in":3600}"#.to_owned();
        return (StatusCode::OK, Vec::new(), token);
    }
    // With 307 and 308 a client would repeat the body and all.
    let location = format!("{}{}", ELSEWHERE.get().unwrap(), call.path);
    let headers = vec![("location", location)];
    (StatusCode::PERMANENT_REDIRECT, headers, String::new())
}

#[tokio::test]
async fn a_redirect_leads_neither_tickets_nor_tokens_elsewhere() {
    let elsewhere = Peer::start(|_| (StatusCode::OK, Vec::new(), "{}".to_owned())).await;
    ELSEWHERE.set(elsewhere.url()).unwrap();
    let serval = Peer::start(redirecting).await;
    let toml = format!("[serval]\nbase_url = \"{}\"\n", serval.url());
    let app = TestApp::builder()
        .config(&toml)
        .allow_pending()
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = app.save(incident(1)).await;
    let tried = eventually("a call was made", async || {
        let event = app.admin.event(&id).await;
        let attempts = event["attempts"].as_array().unwrap().len();
        (attempts > 0).then_some(event)
    })
    .await;
    assert_ne!(tried["state"], "connected", "{tried}");
    let calls = serval.calls();
    assert!(
        calls
            .iter()
            .any(|call| call.path == "/v2/tickets/tkt_1/connect")
    );
    app.stop().await;
    assert_eq!(elsewhere.calls().len(), 0, "nobody went there");
}
