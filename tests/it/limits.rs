//! What a crowd, a slow peer or a peer with too much to say meets at the listeners.

use std::time::{Duration, Instant};

use base64::Engine as _;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::bodies::incident;
use crate::support::{ADMIN_TOKEN, Database, TestApp, eventually};

/// Between two bytes of a slow peer: far less than the read timeout, so that only a limit of the
/// whole can cut it off.
const TRICKLE: Duration = Duration::from_millis(20);

/// A daemon that is out of patience after half a second.
async fn impatient() -> TestApp {
    let quick = "[server]\nread_timeout = \"500ms\"\nkeep_alive = \"500ms\"\n";
    TestApp::builder()
        .config(quick)
        .allow_pending()
        .start()
        .await
}

/// A connection to the webhook listener.
async fn connect(app: &TestApp) -> TcpStream {
    let url = app.webhooks.url("");
    TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

/// What arrives until the peer closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it as well.
    let read = stream.read_to_end(&mut bytes);
    drop(
        tokio::time::timeout(crate::support::PATIENCE, read)
            .await
            .expect("it closes"),
    );
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends `head`, then byte after byte without end, until the peer has had enough; answers what it
/// said, and after what time.
async fn trickle(app: &TestApp, head: &str) -> (String, Duration) {
    let mut stream = connect(app).await;
    let started = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "it listens for ever"
        );
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(n) => said.extend_from_slice(&buffer[..n]),
            },
            () = tokio::time::sleep(TRICKLE) => {
                if stream.write_all(b"a").await.is_err() {
                    break;
                }
            }
        }
    }
    (
        String::from_utf8_lossy(&said).into_owned(),
        started.elapsed(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_bodies_that_trickle_are_cut_off() {
    let app = impatient().await;
    let (said, took) = trickle(
        &app,
        "POST /webhooks/servicenow HTTP/1.1\r\nhost: x\r\nx-slow: ",
    )
    .await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
    assert!(took >= Duration::from_millis(400), "{took:?}");
    let (said, took) = trickle(&app, &head(1_000_000)).await;
    assert!(said.starts_with("HTTP/1.1 408 Request Timeout"), "{said}");
    assert!(said.contains("the body took too long to arrive"), "{said}");
    assert!(took >= Duration::from_millis(400), "{took:?}");
    // The second request of a connection has no more time than the first.
    let healthz = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\nx-slow: ";
    let (said, _) = trickle(&app, healthz).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order_and_an_idle_connection_is_closed() {
    let app = impatient().await;
    let mut stream = connect(&app).await;
    let requests = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /nothing HTTP/1.1\r\nhost: x\r\n\r\n\
                    GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    let status = |part: &str| part.split(' ').next().unwrap_or_default().to_owned();
    let statuses: Vec<String> = said.split("HTTP/1.1 ").skip(1).map(status).collect();
    assert_eq!(statuses[..3], ["200", "404", "200"], "{said}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_and_too_large_headers_are_refused_before_anything_is_read() {
    let app = TestApp::start().await;
    let many = "x-a: b\r\n".repeat(150);
    let large = format!("x-a: {}\r\n", "b".repeat(100 * 1024));
    for headers in [many, large] {
        let mut stream = connect(&app).await;
        let request = format!("POST /webhooks/servicenow HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        // It may close before it has read all.
        drop(stream.write_all(request.as_bytes()).await);
        let said = rest(&mut stream).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 431"),
            "{said}"
        );
    }
    let twenty = "x-a: b\r\n".repeat(20);
    let mut stream = connect(&app).await;
    let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{twenty}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_refused_with_the_reason() {
    let app = TestApp::builder().allow_pending().start().await;
    for (coding, expected) in [
        ("gzip", 415),
        ("br", 415),
        ("identity, GZIP", 415),
        ("identity", 202),
        ("", 202),
    ] {
        let sent = app.webhooks.servicenow(incident(1));
        let answer = sent.header("content-encoding", coding).send().await;
        assert_eq!(answer.status, expected, "{coding}: {answer:?}");
        if expected == 415 {
            let detail = answer.problem(415)["detail"].to_string();
            assert!(detail.contains("without Content-Encoding"), "{detail}");
        }
    }
    app.stop().await;
}

/// The head of a webhook whose body is still to come.
fn head(length: usize) -> String {
    let basic = base64::engine::general_purpose::STANDARD.encode(crate::support::BASIC);
    format!(
        "POST /webhooks/servicenow-eu HTTP/1.1\r\nhost: x\r\nauthorization: Basic {basic}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    )
}

/// A number of the webhook listener.
async fn number(app: &TestApp, family: &str, more: &str) -> u64 {
    let page = app.admin.request(Method::GET, "/metrics", None, "").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let series = format!("serval_connect_{family}{{listener=\"webhooks\"{more}}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap().parse().unwrap()
}

async fn turned_away(app: &TestApp, what: &str) -> bool {
    let what = format!(",what=\"{what}\"");
    number(app, "turned_away_total", &what).await > 0
}

/// Senders that repeat a webhook, each on connections of its own, until it is stored.
fn insistent(app: &TestApp, n: u32) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for n in 1..=n {
        let body = incident(n);
        let request = head(body.len()) + &body;
        let url = app.webhooks.url("");
        senders.spawn(async move {
            let mut said = String::new();
            while !said.starts_with("HTTP/1.1 202") {
                let address = url.strip_prefix("http://").unwrap();
                let mut stream = TcpStream::connect(address).await.unwrap();
                drop(stream.write_all(request.as_bytes()).await);
                said = rest(&mut stream).await;
            }
        });
    }
    senders
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_of_webhooks_they_get_503_while_probes_and_operators_are_answered() {
    let limit = "[server]\nrequest_limit = 2\n";
    let app = TestApp::builder()
        .config(limit)
        .allow_pending()
        .start()
        .await;
    assert!(!turned_away(&app, "request").await);
    let database = Database::hold(&app.database_url()).await;
    let mut waiting = insistent(&app, 2);
    let refused = eventually("there is no place left", async || {
        let answer = app.webhooks.servicenow(incident(3)).send().await;
        let is_it = answer.text().contains("too many requests at once");
        is_it.then_some(answer)
    })
    .await;
    refused.problem(503);
    assert!(!refused.header("retry-after").is_empty());
    let healthz = app.webhooks.plain(Method::GET, "/healthz").send().await;
    assert_eq!(
        healthz.status, 200,
        "a probe must not take a crowd for a death"
    );
    assert_eq!(app.admin.stats().await["totals"]["connected"], 0);
    assert!(turned_away(&app, "request").await);
    eventually("both are seen", async || {
        (number(&app, "requests_in_flight", "").await == 2).then_some(())
    })
    .await;
    database.close().await;
    while let Some(stored) = waiting.join_next().await {
        stored.unwrap();
    }
    let after = app.webhooks.servicenow(incident(4)).send().await;
    assert_eq!(after.status, 202);
    app.stop().await;
}

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// Sends a request on a connection that stays open, and returns the status of the answer; 0: it was closed.
async fn ask(stream: &mut TcpStream, request: &str) -> u16 {
    drop(stream.write_all(request.as_bytes()).await);
    let mut said = [0; 4096];
    let read = tokio::time::timeout(crate::support::PATIENCE, stream.read(&mut said));
    let n = read.await.expect("it answers").unwrap_or(0);
    let said = String::from_utf8_lossy(&said[..n]);
    said.get(9..12).map_or(0, |status| status.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_places_are_taken_strangers_give_way_first_and_then_idle_senders() {
    let limit = "[server]\nconnection_limit = 8\n";
    let app = TestApp::builder()
        .config(limit)
        .allow_pending()
        .start()
        .await;
    let webhook = |n| {
        let body = incident(n);
        head(body.len()).replace("connection: close\r\n", "") + &body
    };
    let mut senders = Vec::new();
    for n in 1..=7 {
        let mut sender = connect(&app).await;
        assert_eq!(ask(&mut sender, &webhook(n)).await, 202);
        senders.push(sender);
    }
    assert!(!turned_away(&app, "connection").await);
    let mut crowd = Vec::new();
    for _ in 0..50 {
        let mut stranger = connect(&app).await;
        assert_eq!(ask(&mut stranger, HEALTHZ).await, 200);
        crowd.push(stranger);
    }
    assert!(turned_away(&app, "connection").await);
    let last = crowd.len() - 1;
    for (n, stranger) in crowd.iter_mut().enumerate() {
        let expected = if n == last { 200 } else { 0 };
        assert_eq!(ask(stranger, HEALTHZ).await, expected, "the stranger {n}");
    }
    for (n, sender) in (1..).zip(&mut senders) {
        assert_eq!(ask(sender, &webhook(n)).await, 202, "the sender {n}");
    }
    // The stranger becomes known, so that all are.
    assert_eq!(ask(&mut crowd[last], &webhook(8)).await, 202);
    let mut next = connect(&app).await;
    assert_eq!(ask(&mut next, &webhook(9)).await, 202);
    assert_eq!(
        ask(&mut senders[0], HEALTHZ).await,
        0,
        "it was idle for longest"
    );
    for sender in senders.iter_mut().skip(1).chain(&mut crowd[last..]) {
        assert_eq!(ask(sender, HEALTHZ).await, 200);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_known_senders_are_busy_in_all_places_others_are_told_so_and_may_ask_for_health() {
    let limit = "[server]\nconnection_limit = 8\n";
    let app = TestApp::builder()
        .config(limit)
        .allow_pending()
        .start()
        .await;
    let database = Database::hold(&app.database_url()).await;
    let mut waiting = insistent(&app, 8);
    let body = incident(9);
    let late = format!("{HEALTHZ}{}{body}", head(body.len()));
    let said = eventually("all places are taken", async || {
        let mut stream = connect(&app).await;
        drop(stream.write_all(late.as_bytes()).await);
        let said = rest(&mut stream).await;
        said.contains("too many connections").then_some(said)
    })
    .await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.contains("HTTP/1.1 503"), "{said}");
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
    // A crowd does not keep a probe out, however large it is.
    let mut crowd = Vec::new();
    for n in 0..50 {
        let mut stranger = connect(&app).await;
        assert_eq!(ask(&mut stranger, HEALTHZ).await, 200, "{n}");
        crowd.push(stranger);
    }
    database.close().await;
    while let Some(stored) = waiting.join_next().await {
        stored.unwrap();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_counted_and_keep_no_right_one_out() {
    let app = TestApp::start().await;
    let stats = async |token: &str| {
        let bearer = format!("Bearer {token}");
        app.admin
            .request(Method::GET, "/api/v1/stats", Some(&bearer), "")
            .await
            .status
    };
    // The right token comes last at first, so that its address is known for wrong ones only.
    for n in 0..200 {
        assert_eq!(stats(&format!("guess-{n}")).await, 401, "{n}");
    }
    for n in 0..20 {
        assert_eq!(stats(ADMIN_TOKEN).await, 200, "{n}");
        assert_eq!(stats("an-old-token").await, 401, "{n}");
    }
    let page = app.admin.request(Method::GET, "/metrics", None, "").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let count = "\nserval_connect_admin_token_refusals_total 220\n";
    assert!(page.contains(count), "{page}");
    app.stop().await;
}
