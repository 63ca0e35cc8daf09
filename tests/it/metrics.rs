//! What operators' machines watch: the numbers after known traffic, and that tools read them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use http::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::bodies::{incident, slack_message, sys_id};
use crate::support::{Answer, TestApp};

async fn scrape(app: &TestApp) -> Answer {
    let answer = app.admin.request(Method::GET, "/metrics", None, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The value of the series that is written so, if it is there.
fn value(page: &str, series: &str) -> Option<f64> {
    let lines = page.lines().filter_map(|line| line.rsplit_once(' '));
    let mut found = lines.filter(|(name, _)| *name == series);
    found.next().map(|(_, value)| value.parse().unwrap())
}

/// Prometheus' own reader, where the machine has one.
fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("promtool"))
        .find(|tool| tool.is_file())
}

#[tokio::test(flavor = "multi_thread")]
async fn known_traffic_gives_known_numbers() {
    let app = TestApp::builder().allow_pending().start().await;
    let before = String::from_utf8(scrape(&app).await.body.to_vec()).unwrap();
    assert_eq!(
        value(
            &before,
            r#"serval_connect_events{source="slack",state="dead"}"#
        ),
        Some(0.0)
    );
    for series in [
        r#"webhooks_total{source="servicenow",status="202"}"#,
        r#"webhooks_total{source="slack",status="503"}"#,
        r#"verification_failures_total{source="servicenow-eu",cause="mismatch"}"#,
        r#"slack_retries_total{source="slack",reason="http_timeout"}"#,
        r#"connects_total{source="slack",outcome="dead"}"#,
        r#"acknowledgement_duration_seconds_count{source="slack"}"#,
        r#"connect_duration_seconds_count{outcome="connected"}"#,
        r#"turned_away_total{listener="webhooks",what="request"}"#,
    ] {
        let shown = value(&before, &format!("serval_connect_{series}"));
        assert_eq!(
            shown,
            Some(0.0),
            "the first of its kind must be a rise: {series}"
        );
    }
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let stored = app.webhooks.servicenow(incident(1)).send().await;
    let id = stored.events()[0]["id"].as_str().unwrap().to_owned();
    app.admin.wait_for_state(&id, "connected").await;
    app.webhooks.servicenow(incident(2)).send().await.events();
    for _ in 0..3 {
        let forged = app.webhooks.servicenow(incident(3)).key(b"another key");
        assert_eq!(forged.send().await.status, 401);
    }
    let stale = app.webhooks.servicenow(incident(3)).aged(3600);
    assert_eq!(stale.send().await.status, 401);
    let broken = app.webhooks.servicenow("{");
    assert_eq!(broken.send().await.status, 400);
    for path in ["/webhooks/nobody", "/webhooks/nobody-else"] {
        let lost = app.webhooks.servicenow(incident(4)).to(path);
        assert_eq!(lost.send().await.status, 404);
    }
    let message = slack_message("Ev01", "1779146752.000100", &Value::Null);
    let again = app.webhooks.slack(message).header("x-slack-retry-num", "1");
    let again = again.header("x-slack-retry-reason", "http_timeout");
    assert_eq!(again.send().await.status, 200);

    let answer = scrape(&app).await;
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    for (series, expected) in [
        (r#"webhooks_total{source="servicenow",status="202"}"#, 2.0),
        (r#"webhooks_total{source="servicenow",status="401"}"#, 4.0),
        (r#"webhooks_total{source="servicenow",status="400"}"#, 1.0),
        (r#"webhooks_total{source="unknown",status="404"}"#, 2.0),
        (r#"webhooks_total{source="slack",status="200"}"#, 1.0),
        (
            r#"verification_failures_total{source="servicenow",cause="mismatch"}"#,
            3.0,
        ),
        (
            r#"verification_failures_total{source="servicenow",cause="stale"}"#,
            1.0,
        ),
        (
            r#"acknowledgement_duration_seconds_count{source="servicenow"}"#,
            2.0,
        ),
        (
            r#"slack_retries_total{source="slack",reason="http_timeout"}"#,
            1.0,
        ),
        (
            r#"connects_total{source="servicenow",outcome="connected"}"#,
            1.0,
        ),
        (
            r#"connect_duration_seconds_count{outcome="connected"}"#,
            1.0,
        ),
        (r#"events{source="servicenow",state="connected"}"#, 1.0),
        (r#"events{source="servicenow",state="parked"}"#, 1.0),
        (r#"events{source="slack",state="parked"}"#, 1.0),
        (r#"breaker_state{state="closed"}"#, 1.0),
        ("ready", 1.0),
        ("held", 0.0),
        ("paused", 0.0),
        ("token_refreshes_total", 1.0),
        ("store_failing", 0.0),
    ] {
        let shown = value(&page, &format!("serval_connect_{series}"));
        assert_eq!(shown, Some(expected), "{series}\n{page}");
    }
    for series in [
        "database_size_bytes",
        "database_wal_size_bytes",
        "oldest_parked_age_seconds",
        "store_commit_duration_seconds_count",
    ] {
        let shown = value(&page, &format!("serval_connect_{series}"));
        assert!(shown.is_some_and(|shown| shown > 0.0), "{series}\n{page}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_pause_are_seen() {
    let app = TestApp::builder().allow_pending().start().await;
    app.admin.post("/connects/pause", &Value::Null).await;
    let page = String::from_utf8(scrape(&app).await.body.to_vec()).unwrap();
    assert_eq!(value(&page, "serval_connect_paused"), Some(1.0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_is_of_a_described_family_and_prometheus_reads_the_page() {
    let app = TestApp::start().await;
    app.webhooks.servicenow("[]").send().await;
    let page = String::from_utf8(scrape(&app).await.body.to_vec()).unwrap();
    app.stop().await;
    let described: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .collect();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let is_described = suffixes.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|family| described.contains(&family))
        });
        assert!(is_described, "{line}");
    }
    let Some(promtool) = promtool() else { return };
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = check.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).await.unwrap();
    drop(stdin);
    let output = check.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_metrics_is_given_to_those_who_ask_for_it_and_has_the_same_samples() {
    let app = TestApp::start().await;
    let get = async |accept: &str| {
        let answer = app.admin.accepting("/metrics", accept).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.header("content-type").to_owned(), answer.text())
    };
    let (kind, open) =
        get("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2").await;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.ends_with("# EOF\n"));
    let (kind, classic) = get("text/plain;version=0.0.4, */*;q=0.1").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    // A registry has no order that lasts, so sets are compared.
    let names = |page: &str| -> BTreeSet<String> {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect()
    };
    assert!(names(&open) == names(&classic), "{open}\n{classic}");
    app.stop().await;
}
