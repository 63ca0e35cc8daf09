//! What the browser of an operator may do with the admin listener, on every path of it.

use http::Method;

use crate::support::bodies::{incident, sys_id};
use crate::support::{Answer, Browser, TestApp};

/// Pages, the API, and what needs no token.
const PATHS: [&str; 12] = [
    "/",
    "/events",
    "/login",
    "/assets/none.css",
    "/api/v1/stats",
    "/api/v1/mappings/export",
    "/api/v1/nothing",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/nothing/here",
];

async fn named(browser: &mut Browser, path: &str, host: &str) -> Answer {
    let request = browser.request(Method::GET, path).header("host", host);
    browser.send(request).await
}

#[tokio::test]
async fn without_tokens_every_path_is_open_under_the_names_of_this_machine_alone() {
    let app = TestApp::builder()
        .config("[admin]\ntokens = []")
        .start()
        .await;
    let mut browser = app.admin.browser();
    for path in PATHS {
        for host in ["localhost:1234", "127.0.0.1", "[::1]:8081"] {
            let status = named(&mut browser, path, host).await.status;
            assert_ne!(status, 421, "{path} {host}");
        }
        for host in ["rebound.example", "localhost.rebound.example:8081"] {
            let answer = named(&mut browser, path, host).await;
            assert_eq!(answer.status, 421, "{path} {host}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path} {host}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn with_a_token_the_listener_has_any_name() {
    let app = TestApp::start().await;
    let mut browser = app.admin.browser();
    for path in PATHS {
        let answer = named(&mut browser, path, "ops.example").await;
        assert_ne!(answer.status, 421, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn no_cache_keeps_an_answer_and_no_browser_takes_it_for_another_type() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&id, "connected").await;
    for path in [
        "/events",
        &format!("/events/{id}"),
        "/stats",
        "/audit",
        "/mappings",
        "/mappings/export",
        "/mappings/export?format=ndjson",
        // Refusals, too.
        "/events/evt_999",
        "/nothing",
    ] {
        let answer = app.admin.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    for path in ["/readyz", "/metrics", "/openapi.json", "/api/v1/stats"] {
        let answer = app.admin.request(Method::GET, path, None, "").await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    app.stop().await;
}
