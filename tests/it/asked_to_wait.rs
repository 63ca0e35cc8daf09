//! An answer with `Retry-After` that stops the calls is shown where operators look.

use serde_json::Value;

use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, eventually};

#[tokio::test]
async fn a_wait_that_serval_asked_for_is_told_with_its_end_and_its_answer() {
    for (fault, breaker, seconds, answer) in [
        ("status=429,retry_after=40", "closed", 40, "429"),
        ("status=503,retry_after=600", "open", 600, "503"),
    ] {
        let app = TestApp::builder()
            .config("[delivery]\nbreaker_threshold = 1")
            .allow_pending()
            .start()
            .await;
        assert_eq!(app.admin.stats().await["asked_to_wait"], Value::Null);
        app.faults(&[fault]);
        app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        let id = app.webhooks.servicenow(incident(1)).send().await.id();
        let stats = eventually("the wait", async || {
            let stats = app.admin.stats().await;
            stats["asked_to_wait"].is_object().then_some(stats)
        })
        .await;
        assert_eq!(stats["breaker"]["state"], breaker, "{stats}");
        let asked = &stats["asked_to_wait"];
        assert!(
            asked["reason"].as_str().unwrap().contains(answer),
            "{asked}"
        );
        let until: jiff::Timestamp = asked["until"].as_str().unwrap().parse().unwrap();
        let event = eventually("the attempt", async || {
            let event = app.admin.event(&id).await;
            event["attempts"][0].is_object().then_some(event)
        })
        .await;
        let called = event["attempts"][0]["started_at"].as_str().unwrap();
        let wait = until.duration_since(called.parse().unwrap()).as_secs();
        assert!((seconds..seconds + 20).contains(&wait), "{wait} s");
        let mut browser = app.admin.browser().logged_in().await;
        let page = browser.page("/").await;
        let told = page.contains("Serval asked to wait.") && page.contains(answer);
        assert!(told, "{page}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_wait_of_credentials_is_not_told_about_others() {
    let config = "[delivery]\nbreaker_threshold = 1";
    let mut app = TestApp::builder()
        .config(config)
        .allow_pending()
        .start()
        .await;
    app.faults(&["status=401,retry_after=600"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.save(incident(1)).await;
    let told = async |app: &TestApp, key: &str, state: &str| {
        eventually(state, async || {
            let stats = app.admin.stats().await;
            let is_it = stats[key].is_object() && stats["breaker"]["state"] == state;
            is_it.then_some(stats)
        })
        .await
    };
    told(&app, "hold", "closed").await;
    app.faults(&["status=503"]);
    // Another time limit makes another account, too.
    app.rewrite(&format!("{config}\n[serval]\ntimeout = \"11s\""));
    assert_eq!(app.reload().await.status, 200);
    let stats = told(&app, "breaker", "open").await;
    assert_eq!(stats["hold"], Value::Null);
    assert_eq!(stats["asked_to_wait"], Value::Null, "{stats}");
    app.stop().await;
}
