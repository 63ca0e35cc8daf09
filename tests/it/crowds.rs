//! Crowds of strangers: what they may cost, and what they may not.

use std::time::Duration;

use http::Method;
use serval_connect::edge::clock::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::bodies::incident;
use crate::support::{PATIENCE, TestApp, eventually};

async fn app(config: &str) -> TestApp {
    let builder = TestApp::builder().config(config).allow_pending();
    builder.start().await
}

async fn connect(app: &TestApp) -> TcpStream {
    let url = app.webhooks.url("");
    let address = url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// The head of an answer, and what came with it.
async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
    let length = read.await.expect("an answer comes").unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn metrics(app: &TestApp) -> String {
    let page = app.admin.request(Method::GET, "/metrics", None, "").await;
    String::from_utf8(page.body.to_vec()).unwrap()
}

/// Seconds of the system's clock, moved by `by`.
fn now(by: i64) -> i64 {
    SystemClock.now().as_second() + by
}

/// A head with these headers, which announces `length` bytes.
fn head(path: &str, headers: &str, length: usize) -> String {
    format!(
        "POST /webhooks/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
}

/// Headers of a signature in the right form under a key that is not ours.
fn forged(timestamp: i64) -> String {
    let mac = "A".repeat(43);
    format!("webhook-id: x\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{mac}=\r\n")
}

fn forged_slack(timestamp: i64, mac: &str) -> String {
    format!("x-slack-request-timestamp: {timestamp}\r\nx-slack-signature: {mac}\r\n")
}

/// The body never comes, so an answer shows that nobody waited for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_known_is_refused_before_the_body() {
    let app = app("").await;
    let zeros = format!("v0={}", "0".repeat(64));
    for (path, headers, says) in [
        ("servicenow", String::new(), "no credential"),
        ("servicenow", forged(now(-9000)), "in the past"),
        ("servicenow", forged(now(9000)), "in the future"),
        (
            "servicenow",
            forged(now(0)).replace("v1,", "v1"),
            "malformed",
        ),
        (
            "servicenow-eu",
            "authorization: Bearer wrong\r\n".to_owned(),
            "bearer token does not match",
        ),
        ("slack", String::new(), "no credential"),
        ("slack", forged_slack(now(-9000), &zeros), "in the past"),
        ("slack", forged_slack(now(0), "v0=00"), "malformed"),
    ] {
        let mut stream = connect(&app).await;
        let head = head(path, &headers, 1000);
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = answer(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 401 "), "{path} {says}: {said}");
        assert!(said.contains(says), "{path} {says}: {said}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_refused_early_may_still_write_its_body_and_reads_the_answer() {
    let app = app("").await;
    let mut stream = connect(&app).await;
    let body = vec![b'x'; 1 << 20];
    let refused = head("servicenow", "", body.len());
    stream.write_all(refused.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let said = answer(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
    // The connection is as good as before.
    let healthz = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(healthz.as_bytes()).await.unwrap();
    let said = answer(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_for_which_there_is_no_memory_gets_503_until_there_is() {
    let app = app(
        "[server]\nread_timeout = \"30s\"\nbody_limit = \"1MiB\"\nmemory_for_bodies = \"1MiB\"\n",
    )
    .await;
    let head = head("servicenow", &forged(now(0)), 700_000);
    let part = vec![b'x'; 699_999];
    let mut first = connect(&app).await;
    first.write_all(head.as_bytes()).await.unwrap();
    first.write_all(&part).await.unwrap();
    eventually("the first body has its share", async || {
        let page = metrics(&app).await;
        let series = "serval_connect_webhook_bodies_bytes ";
        let taken = page.lines().find_map(|line| line.strip_prefix(series));
        let taken: usize = taken.unwrap().parse().unwrap();
        (taken >= part.len()).then_some(())
    })
    .await;
    // Another one reads its answer though it writes all its body first.
    let mut other = connect(&app).await;
    other.write_all(head.as_bytes()).await.unwrap();
    other.write_all(&part).await.unwrap();
    other.write_all(b"x").await.unwrap();
    let said = answer(&mut other).await;
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    assert!(said.to_ascii_lowercase().contains("retry-after"), "{said}");
    assert!(said.contains("too many bodies at once"), "{said}");
    // A small webhook still finds room.
    let small = app.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(small.status, 202);

    first.write_all(b"x").await.unwrap();
    let said = answer(&mut first).await;
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
    let mut again = connect(&app).await;
    again.write_all(head.as_bytes()).await.unwrap();
    again.write_all(&part).await.unwrap();
    again.write_all(b"x").await.unwrap();
    let said = answer(&mut again).await;
    assert!(
        said.starts_with("HTTP/1.1 401 "),
        "the memory is back: {said}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_its_answers_is_cut_off() {
    let app = app("[server]\nread_timeout = \"300ms\"\n").await;
    let mut stream = connect(&app).await;
    let requests = "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2000);
    // Both directions fill up; then the daemon ends the connection, and writing fails.
    let written = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, written)
        .await
        .expect("the connection ends");
    eventually("it is counted", async || {
        let page = metrics(&app).await;
        let series = "cause=\"answer_not_read\"";
        let mut lines = page.lines().filter(|line| line.contains(series));
        lines.any(|line| line.ends_with(" 1")).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_does_not_read_keeps_senders_out_no_longer_than_the_time_limit() {
    let app = app("[server]\nread_timeout = \"300ms\"\nconnection_limit = 8\n").await;
    let requests = "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2000);
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&app).await;
        let fill = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
        drop(tokio::time::timeout(Duration::from_millis(50), fill).await);
        crowd.push(stream);
    }
    eventually("a place is free again", async || {
        let sent = app.webhooks.servicenow(incident(1)).try_send().await;
        sent.is_ok_and(|answer| answer.status == 202).then_some(())
    })
    .await;
    drop(crowd);
    app.stop().await;
}
