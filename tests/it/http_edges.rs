//! What load balancers, probes and careless senders do below or beside HTTP: over bare sockets, what they
//! are answered, and the line and the count that a refusal leaves.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::bodies::{incident, slack_message, sys_id};
use crate::support::{Admin, BEARER, Daemon, PATIENCE, Settings, TestApp, eventually};

/// A request for liveness.
const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// Opens a connection to the listener at a URL such as `http://127.0.0.1:80`.
async fn connect(url: &str) -> TcpStream {
    let address = url.split("//").nth(1).unwrap().trim_end_matches('/');
    TcpStream::connect(address).await.unwrap()
}

/// All that the daemon says until it closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    // A reset is an end, too.
    drop(read.await.expect("it closes"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a connection that says these bytes is answered until its end.
async fn say(url: &str, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(url).await;
    // It may close before it has read everything.
    drop(stream.write_all(bytes.as_ref()).await);
    rest(&mut stream).await
}

/// The next answer on a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while !said.contains("\r\n\r\n") {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
        let n = read.await.expect("it answers").unwrap();
        assert!(n > 0, "it closed after {said:?}");
        said.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    said
}

async fn page(admin: &Admin) -> String {
    let page = admin.request(Method::GET, "/metrics", None, "").await;
    String::from_utf8(page.body.to_vec()).unwrap()
}

/// Refusals of this cause that a listener has counted.
async fn counted(admin: &Admin, listener: &str, cause: &str) -> u64 {
    let series =
        format!("serval_connect_http_refusals_total{{listener=\"{listener}\",cause=\"{cause}\"}} ");
    let page = page(admin).await;
    let value = page.lines().find_map(|line| line.strip_prefix(&series));
    let value = value.unwrap_or_else(|| panic!("{cause} has no series at {listener}\n{page}"));
    value.parse().unwrap()
}

async fn daemon(toml: &str) -> (MockServal, Daemon) {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let settings = Settings {
        toml: toml.to_owned(),
        ..Settings::default()
    };
    let daemon = Daemon::start(&mock, &settings).await;
    (mock, daemon)
}

/// The fields of the log's lines about refusals with this cause.
fn lines(daemon: &Daemon, cause: &str) -> Vec<Value> {
    let log = daemon.log().into_iter();
    log.filter(|line| line.to_string().contains(&format!("\"cause\":\"{cause}\"")))
        .collect()
}

async fn line(daemon: &Daemon, cause: &str) -> String {
    eventually(&format!("{cause} is in the log"), async || {
        let mut lines = lines(daemon, cause);
        (!lines.is_empty()).then(|| lines.remove(0).to_string())
    })
    .await
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_webhooks_path_changes_nothing() {
    let app = TestApp::builder().allow_pending().start().await;
    for path in ["/webhooks/slack", "/webhooks/slack/"] {
        let message = slack_message("Ev01", "1779146752.000100", &Value::Null);
        let answer = app.webhooks.slack(message).to(path).send().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    for path in [
        "/webhooks/servicenow/",
        "/webhooks/servicenow/incident",
        "/webhooks/servicenow/incident/",
        "/webhooks/servicenow//",
    ] {
        let answer = app.webhooks.servicenow(incident(1)).to(path).send().await;
        assert_eq!(answer.status, 202, "{path}: {answer:?}");
    }
    // No table is named by an empty one: the record itself says that it is an incident.
    let events = app.admin.events("source=servicenow").await;
    assert_eq!(events.len(), 4);
    assert!(
        events.iter().all(|event| event["subtype"] == "incident"),
        "{events:?}"
    );
    for path in [
        "/webhooks/",
        "/webhooks//",
        "/webhooks//slack",
        "/webhooks/nobody/",
        "/webhooks/servicenow/incident//",
    ] {
        let answer = app.webhooks.servicenow(incident(1)).to(path).send().await;
        answer.problem(404);
    }
    let get = app.webhooks.plain(Method::GET, "/webhooks/slack/");
    get.send().await.problem(405);
    app.stop().await;
}

#[tokio::test]
async fn http_1_1_needs_one_host_and_http_1_0_none() {
    let app = TestApp::start().await;
    for url in [app.webhooks.url(""), app.admin.url("")] {
        for (head, status) in [
            ("GET /healthz HTTP/1.1\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
            ("GET http://a/healthz HTTP/1.1\r\n", 400),
            ("GET /healthz HTTP/1.0\r\nhost: a\r\nhost: b\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nhost: a\r\n", 200),
            ("GET /healthz HTTP/1.1\r\nhost:\r\n", 200),
            ("GET /healthz HTTP/1.0\r\n", 200),
        ] {
            let said = say(&url, format!("{head}connection: close\r\n\r\n")).await;
            let expected = [format!("HTTP/1.1 {status} "), format!("HTTP/1.0 {status} ")];
            let is_right = expected.iter().any(|start| said.starts_with(start));
            assert!(is_right, "{head}: {said}");
            let is_problem = said.contains("application/problem+json") && said.contains("Host");
            assert_eq!(is_problem, status == 400, "{said}");
        }
    }
    for listener in ["webhooks", "admin"] {
        assert_eq!(counted(&app.admin, listener, "no_host").await, 4);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_named_in_the_log_and_counted() {
    let (_mock, daemon) = daemon("").await;
    let many = format!(
        "{}{}\r\n",
        &HEALTHZ[..HEALTHZ.len() - 2],
        "x-a: b\r\n".repeat(300)
    );
    let long = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: {}",
        "b".repeat(200_000)
    );
    let url = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000));
    let proxied = |line: &[u8]| [line, HEALTHZ.as_bytes()].concat();
    for (cause, bytes, n) in [
        (
            "proxy_protocol",
            vec![
                proxied(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"),
                proxied(b"PROXY UNKNOWN\r\n"),
                proxied(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\x01\xbb"),
            ],
            3,
        ),
        (
            "http2",
            vec![b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()],
            1,
        ),
        (
            "tls",
            vec![b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n".to_vec()],
            1,
        ),
        ("not_http", vec![b"\0\x01\x02 hello\r\n\r\n".to_vec()], 1),
        (
            "head_too_large",
            vec![many.into_bytes(), long.into_bytes(), url.into_bytes()],
            3,
        ),
    ] {
        for (url, listener) in [(daemon.webhooks.url(""), "webhooks"), (daemon.admin.url(""), "admin")] {
            for bytes in &bytes {
                let said = say(&url, bytes).await;
                assert!(
                    said.is_empty() || said.starts_with("HTTP/1.1 4"),
                    "{cause}: {said}"
                );
            }
            eventually(&format!("{cause} is counted"), async || {
                (counted(&daemon.admin, listener, cause).await == n).then_some(())
            })
            .await;
        }
        let line = line(&daemon, cause).await;
        assert!(line.contains("WARN") && line.contains("connection refused"), "{line}");
    }
    assert!(
        line(&daemon, "proxy_protocol")
            .await
            .contains("switch it off at the load balancer")
    );
    // A probe that only opens a connection is refused nothing, and one that goes away neither.
    let before = page(&daemon.admin).await;
    drop(connect(&daemon.webhooks.url("")).await);
    let mut stream = connect(&daemon.webhooks.url("")).await;
    stream.write_all(HEALTHZ.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(
        daemon
            .webhooks
            .plain(Method::GET, "/healthz")
            .send()
            .await
            .status,
        200
    );
    let refusals = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| line.contains("http_refusals"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(refusals(&before), refusals(&page(&daemon.admin).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ends_its_side_in_the_middle_of_a_head_leaves_a_line_and_a_count() {
    let (_mock, daemon) = daemon("").await;
    let second = [HEALTHZ.as_bytes(), b"GET /healthz HTTP/1.1\r\nhost:"].concat();
    for (url, listener) in [
        (daemon.webhooks.url(""), "webhooks"),
        (daemon.admin.url(""), "admin"),
    ] {
        for bytes in [b"GET /heal", &*second] {
            let mut stream = connect(&url).await;
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            rest(&mut stream).await;
        }
        // A body that ends too early has its own cause.
        let mut stream = connect(&url).await;
        let post = "POST /webhooks/slack HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(post.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        rest(&mut stream).await;
        eventually("both are counted", async || {
            (counted(&daemon.admin, listener, "head_incomplete").await == 2).then_some(())
        })
        .await;
    }
    let line = line(&daemon, "head_incomplete").await;
    assert!(line.contains("in the headers of a request"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_has_its_line_and_its_count_without_words_of_the_request() {
    let (_mock, daemon) = daemon("").await;
    let secret = "words-that-no-log-takes";
    let map = json!({ "ticket_id": format!("{secret} with spaces") });
    for (cause, answer, status) in [
        (
            "not_found",
            daemon.admin.get(&format!("/events/{secret}")).await,
            404,
        ),
        (
            "not_found",
            daemon.admin.get(&format!("/mappings/{secret}/1")).await,
            404,
        ),
        (
            "bad_request",
            daemon.admin.get("/events?limit=many").await,
            400,
        ),
        (
            "invalid",
            daemon
                .admin
                .put(&format!("/mappings/servicenow/{}", sys_id(1)), &map)
                .await,
            422,
        ),
    ] {
        assert_eq!(answer.status, status, "{cause}");
        let line = line(&daemon, cause).await;
        assert!(line.contains(&format!("\"status\":{status}")), "{line}");
        assert!(!line.contains(secret), "{line}");
    }
    assert_eq!(counted(&daemon.admin, "admin", "not_found").await, 2);
    assert_eq!(counted(&daemon.admin, "admin", "bad_request").await, 1);
    assert_eq!(counted(&daemon.admin, "admin", "invalid").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_status_of_a_refusal_has_its_line_and_its_count() {
    let (_mock, daemon) =
        daemon("[server]\nread_timeout = \"300ms\"\nbody_limit = \"2KiB\"\n").await;
    let (public, admin) = (daemon.webhooks.url(""), daemon.admin.url(""));
    let slow = format!(
        "POST /webhooks/servicenow-eu HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\n\
         content-length: 9\r\n\r\n{{"
    );
    for (cause, request, status) in [
        (
            "not_found",
            "GET /favicon.ico HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            404,
        ),
        (
            "no_such_source",
            "POST /webhooks/slak HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            404,
        ),
        (
            "method",
            "GET /webhooks/slack HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            405,
        ),
        ("body_slow", slow.as_str(), 408),
        (
            "body_too_large",
            "POST /webhooks/slack HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9999\r\n\r\n",
            413,
        ),
        (
            "compressed",
            "POST /webhooks/slack HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
            415,
        ),
        (
            "missing",
            "POST /webhooks/slack HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            401,
        ),
    ] {
        let said = say(&public, request).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{cause}: {said}"
        );
        let line = line(&daemon, cause).await;
        assert!(line.contains(&format!("\"status\":{status}")), "{line}");
        let page = page(&daemon.admin).await;
        let is_counted = page.lines().any(|line| {
            let of_source = line.starts_with("serval_connect_webhooks_total{")
                && line.contains(&format!("status=\"{status}\""));
            let of_listener = line.starts_with("serval_connect_http_refusals_total{")
                && line.contains(&format!("cause=\"{cause}\""));
            (of_source || of_listener) && !line.ends_with(" 0")
        });
        assert!(is_counted, "{cause}\n{page}");
    }
    assert!(
        line(&daemon, "no_such_source")
            .await
            .contains("/webhooks/…")
    );
    // A head that does not end is cut off.
    let said = say(
        &public,
        "POST /webhooks/slack HTTP/1.1\r\nhost: x\r\nx-slow: ",
    )
    .await;
    assert_eq!(said, "");
    line(&daemon, "head_slow").await;
    for (cause, request, status) in [
        (
            "token",
            "GET /api/v1/stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            401,
        ),
        (
            "not_found",
            "GET /api/v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            404,
        ),
        (
            "method",
            "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            405,
        ),
    ] {
        let said = say(&admin, request).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{cause}: {said}"
        );
        assert_eq!(counted(&daemon.admin, "admin", cause).await, 1, "{cause}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_cause_is_counted_whole_and_logged_in_part() {
    let (_mock, daemon) = daemon("").await;
    let url = daemon.webhooks.url("");
    for _ in 0..300 {
        say(&url, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n\r\n").await;
        let answer = daemon
            .webhooks
            .servicenow(incident(1))
            .key(b"another")
            .send()
            .await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(
        counted(&daemon.admin, "webhooks", "proxy_protocol").await,
        300
    );
    for cause in ["proxy_protocol", "mismatch"] {
        line(&daemon, cause).await;
        let n = lines(&daemon, cause).len();
        assert!((1..=60).contains(&n), "{cause}: {n} lines");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_lasts_longer_than_a_slow_request() {
    let quick = "[server]\nread_timeout = \"1s\"\nkeep_alive = \"6s\"\n";
    let app = TestApp::builder()
        .config(quick)
        .allow_pending()
        .start()
        .await;
    let url = app.webhooks.url("");
    // Nothing is said at all: like a slow request.
    let started = Instant::now();
    assert_eq!(say(&url, "").await, "");
    assert!(started.elapsed() < Duration::from_secs(5));
    // A second request has its own time, counted from its first byte.
    let mut stream = connect(&url).await;
    for _ in 0..2 {
        stream.write_all(HEALTHZ.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    let started = Instant::now();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nx-slow: ")
        .await
        .unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    // After a webhook with a body, too, an idle connection ends in its time.
    let mut stream = connect(&url).await;
    let post = "POST /webhooks/slack HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(post.as_bytes()).await.unwrap();
    stream.write_all(b"{}").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401"));
    let started = Instant::now();
    rest(&mut stream).await;
    assert!(
        started.elapsed() > Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(counted(&app.admin, "webhooks", "head_slow").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ends_its_side_after_a_whole_request_is_answered() {
    let app = TestApp::builder().allow_pending().start().await;
    let webhook = app.webhooks.servicenow(incident(1)).raw();
    let slack = slack_message("Ev02", "1779146753.000100", &Value::Null);
    let slack = app.webhooks.slack(slack).raw();
    let two = format!("{HEALTHZ}{HEALTHZ}").into_bytes();
    for (bytes, statuses) in [
        (webhook, &["202"][..]),
        (slack, &["200"]),
        (HEALTHZ.as_bytes().to_vec(), &["200"]),
        (two, &["200", "200"]),
    ] {
        let mut stream = connect(&app.webhooks.url("")).await;
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = rest(&mut stream).await;
        let parts = said.split("HTTP/1.1 ").skip(1);
        let found: Vec<&str> = parts.map(|part| &part[..3]).collect();
        assert_eq!(found, statuses, "{said}");
    }
    // Half a request is not taken for a whole one.
    let mut stream = connect(&app.webhooks.url("")).await;
    let head = format!(
        "POST /webhooks/servicenow-eu HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\n\
         content-length: 99\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    app.stop().await;
}
