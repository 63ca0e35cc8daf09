//! What a crowd, a slow peer or a peer with too much to say meets at the listeners.

use std::time::{Duration, Instant};

use base64::Engine as _;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::bodies::incident;
use crate::support::{ADMIN_TOKEN, TestApp, eventually};

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

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_of_webhooks_they_get_503_while_probes_and_operators_are_answered() {
    let limit = "[server]\nrequest_limit = 2\n";
    let app = TestApp::builder()
        .config(limit)
        .allow_pending()
        .start()
        .await;
    assert!(!turned_away(&app, "request").await);
    let mut waiting = Vec::new();
    for n in 1..=2 {
        let mut stream = connect(&app).await;
        let body = incident(n);
        stream.write_all(head(body.len()).as_bytes()).await.unwrap();
        waiting.push((stream, body));
    }
    let refused = eventually("there is no place left", async || {
        let answer = app.webhooks.servicenow(incident(3)).send().await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(!refused.header("retry-after").is_empty());
    let detail = refused.problem(503)["detail"].to_string();
    assert!(detail.contains("too many requests at once"), "{detail}");
    let healthz = app.webhooks.plain(Method::GET, "/healthz").send().await;
    assert_eq!(
        healthz.status, 200,
        "a probe must not take a crowd for a death"
    );
    assert_eq!(app.admin.stats().await["totals"]["connected"], 0);
    assert!(turned_away(&app, "request").await);
    assert_eq!(number(&app, "requests_in_flight", "").await, 2);

    for (mut stream, body) in waiting {
        stream.write_all(body.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(
            said.starts_with("HTTP/1.1 202"),
            "who came first is served: {said}"
        );
    }
    let after = app.webhooks.servicenow(incident(4)).send().await;
    assert_eq!(after.status, 202);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_of_connections_a_few_are_told_so_and_the_rest_are_closed() {
    let limit = "[server]\nconnection_limit = 8\n";
    let app = TestApp::builder()
        .config(limit)
        .allow_pending()
        .start()
        .await;
    let mut crowd = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&app).await;
        // Answered, so that each has its place before the next comes.
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        crowd.push(stream);
    }
    let mut late = connect(&app).await;
    let healthz = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let body = incident(1);
    late.write_all(format!("{healthz}{}{body}", head(body.len())).as_bytes())
        .await
        .unwrap();
    let said = rest(&mut late).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(
        said.contains("HTTP/1.1 503") && said.contains("too many connections"),
        "{said}"
    );
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
    assert!(turned_away(&app, "connection").await);

    let mut beyond = Vec::new();
    for _ in 0..32 {
        let mut stream = connect(&app).await;
        stream.write_all(healthz.as_bytes()).await.unwrap();
        beyond.push(stream);
    }
    eventually("a connection is closed unheard", async || {
        let mut stream = connect(&app).await;
        drop(stream.write_all(healthz.as_bytes()).await);
        let mut byte = [0];
        let read = stream.read(&mut byte).await;
        let is_closed = matches!(read, Ok(0) | Err(_));
        beyond.push(stream);
        is_closed.then_some(())
    })
    .await;
    drop((crowd, beyond));
    eventually("there is room again", async || {
        let answer = app.webhooks.servicenow(incident(2)).try_send().await;
        answer
            .is_ok_and(|answer| answer.status == 202)
            .then_some(())
    })
    .await;
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
