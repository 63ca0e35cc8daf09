//! Crowds of strangers: what they may cost, and what they may not.

use std::time::Duration;

use http::Method;
use serval_connect::edge::clock::{Clock as _, SystemClock};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::bodies::incident;
use crate::support::{BEARER, Daemon, PATIENCE, Settings, TestApp, eventually};

async fn app(config: &str) -> TestApp {
    let builder = TestApp::builder().config(config).allow_pending();
    builder.start().await
}

async fn connect(app: &TestApp) -> TcpStream {
    let url = app.webhooks.url("");
    let address = url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Connects with buffers that are full soon, and asks for so long, without ever reading an answer, unless
/// the connection ends before.
async fn ask_and_never_read(url: &str, so_long: Duration) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let requests = "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let ask = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    drop(tokio::time::timeout(so_long, ask).await);
    stream
}

/// Stands for a peer that does not read.
const UNREAD: &str = "unread";

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

/// A number of the metrics.
async fn number(app: &TestApp, series: &str) -> usize {
    let page = metrics(app).await;
    let series = format!("serval_connect_{series} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap().parse().unwrap()
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
async fn a_body_that_arrives_slowly_gives_way_when_a_newer_one_finds_no_memory() {
    let app = app(
        "[server]\nbody_limit = \"1MiB\"\nmemory_for_bodies = \"1MiB\"\nread_timeout = \"10m\"\n",
    )
    .await;
    let head = head("servicenow", &forged(now(0)), 700_000);
    let part = vec![b'x'; 699_999];
    let slow = async || {
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&part).await.unwrap();
        stream
    };
    let refused = async |mut stream: TcpStream| {
        let said = answer(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
        assert!(said.to_ascii_lowercase().contains("retry-after"), "{said}");
        assert!(said.contains("too many bodies at once"), "{said}");
    };
    let has_share =
        async || (number(&app, "webhook_bodies_bytes").await >= part.len()).then_some(());
    let mut last = slow().await;
    eventually("the first has its share", has_share).await;
    for _ in 0..3 {
        let newer = slow().await;
        refused(std::mem::replace(&mut last, newer)).await;
        eventually("the newer one has its share", has_share).await;
    }
    // A small webhook still finds room, and a large one takes it.
    for size in [1, 900_000] {
        let pad = format!("{{\"u_a\":\"{}\",", "x".repeat(size));
        let body = incident(1).replacen('{', &pad, 1);
        let sent = app.webhooks.servicenow(body).send().await;
        assert_eq!(sent.status, 202, "{size}: {sent:?}");
    }
    refused(last).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_hold_no_permits_of_webhooks() {
    let app = app("[server]\nrequest_limit = 1\nread_timeout = \"10m\"\n").await;
    let mut slow = Vec::new();
    for _ in 0..5 {
        let mut stream = connect(&app).await;
        let head = head("servicenow", &forged(now(0)), 1000);
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    eventually("all are there", async || {
        let open = number(&app, "connections{listener=\"webhooks\"}").await;
        (open == 5).then_some(())
    })
    .await;
    let sent = app.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(sent.status, 202, "{sent:?}");
    drop(slow);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_its_answers_is_cut_off() {
    let app = app("[server]\nread_timeout = \"300ms\"\n").await;
    // Both directions fill up; then the daemon ends the connection, and writing fails.
    let url = app.webhooks.url("");
    let _peer = ask_and_never_read(&url, PATIENCE).await;
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
async fn no_crowd_keeps_a_sender_or_a_probe_out() {
    // No time limit helps here.
    let app = app("[server]\nread_timeout = \"10m\"\nconnection_limit = 8\n").await;
    let body = head("servicenow", &forged(now(0)), 1000);
    let mut crowd = Vec::new();
    for says in ["", "POST /webhooks/serv", &body, UNREAD] {
        for _ in 0..20 {
            crowd.push(if says == UNREAD {
                ask_and_never_read(&app.webhooks.url(""), Duration::from_millis(50)).await
            } else {
                let mut stream = connect(&app).await;
                stream.write_all(says.as_bytes()).await.unwrap();
                stream
            });
        }
        let sent = app.webhooks.servicenow(incident(1)).send().await;
        assert_eq!(sent.status, 202, "{says:.20}");
        let probe = app.webhooks.plain(Method::GET, "/healthz").send().await;
        assert_eq!(probe.status, 200, "{says:.20}");
    }
    drop(crowd);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_credential_has_the_right_form_outlasts_those_who_say_nothing() {
    let app = app("[server]\nread_timeout = \"10m\"\nconnection_limit = 8\n").await;
    let body = incident(1);
    let bearer = format!("authorization: Bearer {BEARER}\r\ncontent-type: application/json\r\n");
    let mut sender = connect(&app).await;
    let head = head("servicenow-eu", &bearer, body.len());
    sender.write_all(head.as_bytes()).await.unwrap();
    let (first, rest) = body.as_bytes().split_at(body.len() / 2);
    sender.write_all(first).await.unwrap();
    eventually("the head is read", async || {
        (number(&app, "webhook_bodies_bytes").await >= first.len()).then_some(())
    })
    .await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(connect(&app).await);
    }
    eventually("the crowd has filled all places", async || {
        let series =
            "serval_connect_turned_away_total{listener=\"webhooks\",what=\"connection\"} 13";
        let page = metrics(&app).await;
        page.lines().any(|line| line == series).then_some(())
    })
    .await;
    sender.write_all(rest).await.unwrap();
    let said = answer(&mut sender).await;
    assert!(said.starts_with("HTTP/1.1 202 "), "{said}");
    drop(crowd);
    app.stop().await;
}

#[cfg(target_os = "linux")]
/// Resident memory of the daemon, in MiB: now, and at its largest.
fn resident(daemon: &Daemon) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() / 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_takes_no_more_memory_than_the_budget_and_a_little_and_gives_it_back() {
    const BUDGET: u64 = 16;
    const A_LITTLE: u64 = 30;
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let settings = Settings {
        toml: format!("[server]\nmemory_for_bodies = \"{BUDGET}MiB\"\n"),
        ..Settings::default()
    };
    let daemon = Daemon::start(&mock, &settings).await;
    for n in 1..=20 {
        let sent = daemon.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(sent.status, 202);
    }
    let (idle, _) = resident(&daemon);
    let forged = head("servicenow", &forged(now(0)), 1 << 20) + &"x".repeat((1 << 20) - 1);
    let long = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: {}",
        "b".repeat(30_000)
    );
    for says in [&*forged, &long, UNREAD] {
        let mut crowd = JoinSet::new();
        for _ in 0..256 {
            let (url, says) = (daemon.webhooks.url(""), says.to_owned());
            crowd.spawn(async move {
                let a_while = Duration::from_secs(2);
                if says == UNREAD {
                    return ask_and_never_read(&url, a_while).await;
                }
                let address = url.strip_prefix("http://").unwrap();
                let mut stream = TcpStream::connect(address).await.unwrap();
                // It may be refused while it writes, or never get to the end.
                let write = stream.write_all(says.as_bytes());
                drop(tokio::time::timeout(a_while, write).await);
                stream
            });
        }
        let crowd = crowd.join_all().await;
        let (_, largest) = resident(&daemon);
        assert!(
            largest <= idle + BUDGET + A_LITTLE,
            "{says:.20}: {idle} {largest}"
        );
        drop(crowd);
        eventually("the memory is given back", async || {
            let (now, _) = resident(&daemon);
            (now <= idle + A_LITTLE / 2).then_some(())
        })
        .await;
    }
}
