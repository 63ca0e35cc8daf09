use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{bearer_config, connect, connect_request, faults, mock, try_client};
use crate::config::ServalConfig;
use crate::rehearsal::mock_serval::MockConfig;
use crate::serval::{NetworkKind, ServalClient, ServalError};

async fn fails(config: &ServalConfig) -> ServalError {
    let client = try_client(config).unwrap();
    connect(&client, &connect_request("t")).await.unwrap_err()
}

#[track_caller]
fn assert_network(error: &ServalError, expected: NetworkKind, expected_sent: bool) {
    let ServalError::Network { kind, sent, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!((*kind, *sent), (expected, expected_sent), "{error}");
    assert_eq!(error.may_have_arrived(), expected_sent);
    assert!(!error.summary().contains("t0ken"), "{error}");
}

fn config(base_url: &str) -> ServalConfig {
    ServalConfig {
        connect_timeout: Duration::from_millis(400),
        timeout: Duration::from_millis(800),
        ..bearer_config(base_url, "t0ken")
    }
}

/// Accepts one connection after the other, and does `act` with each.
async fn server<F: Future<Output = ()> + Send>(
    act: impl Fn(TcpStream) -> F + Send + 'static,
) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            act(stream).await;
        }
    });
    (addr.to_string(), task)
}

async fn read_some(stream: &mut TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(read > 0);
}

#[tokio::test]
async fn a_closed_port_is_refused_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = fails(&config(&format!("http://{addr}"))).await;
    assert_network(&error, NetworkKind::Refused, false);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_apart() {
    let mut config = config("http://serval.invalid");
    config.connect_timeout = Duration::from_secs(20);
    config.timeout = Duration::from_secs(20);
    assert_network(&fails(&config).await, NetworkKind::Dns, false);
}

#[tokio::test]
async fn a_connection_that_closes_after_the_request_may_have_delivered_it() {
    let (addr, _server) = server(|mut stream| async move { read_some(&mut stream).await }).await;
    let error = fails(&config(&format!("http://{addr}"))).await;
    assert_network(&error, NetworkKind::Reset, true);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_timeout_that_may_have_delivered() {
    let (addr, _server) = server(|mut stream| async move {
        read_some(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = fails(&config(&format!("http://{addr}"))).await;
    assert_network(&error, NetworkKind::Timeout, true);
}

#[tokio::test]
async fn faults_of_the_stand_in_look_like_the_real_thing() {
    let mock = mock(MockConfig {
        bearer_token: Some("t0ken".to_owned().into()),
        ..MockConfig::default()
    })
    .await;
    let config = config(&mock.base_url());
    for (fault, kind, links) in [
        ("reset", NetworkKind::Reset, 0),
        ("hang", NetworkKind::Timeout, 0),
        ("drop", NetworkKind::Reset, 1),
    ] {
        mock.set_faults(faults(&[fault]));
        assert_network(&fails(&config).await, kind, true);
        assert_eq!(mock.links().len(), links, "{fault}");
    }
}

#[tokio::test]
async fn an_end_that_speaks_no_tls_is_a_matter_of_tls() {
    let mock = mock(MockConfig::default()).await;
    let error = fails(&config(&format!("https://{}", mock.addr()))).await;
    assert_network(&error, NetworkKind::Tls, false);
    let (addr, _server) = server(|mut stream| async move { read_some(&mut stream).await }).await;
    let error = fails(&config(&format!("https://{addr}"))).await;
    assert!(
        matches!(error, ServalError::Network { sent: false, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_connect_timeout() {
    let (addr, _server) = server(|mut stream| async move {
        read_some(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = fails(&config(&format!("https://{addr}"))).await;
    assert_network(&error, NetworkKind::ConnectTimeout, false);
}

#[tokio::test]
async fn a_connect_is_a_success_when_serval_has_nothing_to_say_and_in_doubt_when_it_makes_no_sense()
{
    const CLOSE: &str = "200 OK\r\nconnection: close";
    let huge = "x".repeat(200_000);
    for (head, body, is_success) in [
        ("200 OK\r\ncontent-length: 2", "{}", true),
        ("200 OK\r\ncontent-length: 15", "{\"new\":\"field\"}", true),
        ("200 OK\r\ncontent-length: 0", "", true),
        ("204 No Content", "", true),
        ("200 OK\r\ntransfer-encoding: chunked", "0\r\n\r\n", true),
        ("200 OK\r\nconnection: close", "", true),
        ("200 OK\r\ncontent-length: 9", "<html>ok\n", false),
        ("200 OK\r\ncontent-length: 10", "{\"code\":5}", false),
        ("200 OK\r\ncontent-length: 100", "cut short", false),
        (CLOSE, r#"{"status":"linked","link":"l1"}"#, true),
        (CLOSE, r#"{"error":null,"ticket":"t"}"#, true),
        (CLOSE, r#"{"error":{"code":404}}"#, false),
        (CLOSE, r#"{"error":"denied","ticket":"t"}"#, false),
        (CLOSE, r#"{"errors":[{"text":"no"}],"ticket":"t"}"#, false),
        (CLOSE, r#"{"code":404,"ticket":"t"}"#, false),
        (CLOSE, r#"{"code":"404"}"#, false),
        (CLOSE, r#"{"code":200,"ticket":"t"}"#, true),
        (CLOSE, r#"{"code":"linked","message":"done"}"#, true),
        (CLOSE, r#"{"error":"","errors":[],"status":201}"#, true),
        (CLOSE, r#"{"status":404,"title":"Not Found"}"#, false),
        (
            "200 OK\r\nconnection: close\r\ncontent-type: application/problem+json; charset=utf-8",
            r#"{"reason":"no"}"#,
            false,
        ),
        (
            "201 Created\r\ncontent-length: 200000",
            huge.as_str(),
            false,
        ),
    ] {
        let answer = format!("HTTP/1.1 {head}\r\nx-request-id: r1\r\n\r\n{body}");
        let (addr, _server) = server(move |mut stream| {
            let answer = answer.clone();
            async move {
                read_some(&mut stream).await;
                // The client may hang up in the middle of the huge one.
                drop(stream.write_all(answer.as_bytes()).await);
            }
        })
        .await;
        let client = try_client(&config(&format!("http://{addr}"))).unwrap();
        match connect(&client, &connect_request("t")).await {
            Ok(answer) => {
                assert!(is_success, "{head} {body}");
                assert_eq!(answer.request_id.as_deref(), Some("r1"));
                assert_eq!(answer.status.to_string(), head.split(' ').next().unwrap());
            }
            Err(error) => {
                assert!(!is_success, "{head} {body}: {error}");
                assert!(error.may_have_arrived(), "{error}");
                assert!(!error.brief().contains("html>"), "{error}");
                let is_long = error.brief().contains("too long");
                assert_eq!(is_long, body.len() > 100_000, "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_long_page_in_the_place_of_a_refusal_is_named_by_its_title() {
    let page = format!("<title>closed for repairs</title>{}", "x".repeat(200_000));
    let (addr, _server) = server(move |mut stream| {
        let answer = format!("HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n{page}");
        async move {
            read_some(&mut stream).await;
            drop(stream.write_all(answer.as_bytes()).await);
        }
    })
    .await;
    let error = fails(&config(&format!("http://{addr}"))).await;
    assert_eq!(error.status(), Some(502));
    assert!(error.summary().ends_with(": closed for repairs"), "{error}");
}

#[tokio::test]
async fn a_list_that_is_no_list_is_a_bad_answer_without_its_content() {
    for body in [
        "<html>",
        "{\"data\":7}",
        "[]",
        "{\"data\":[{\"id\":\"t0ken\"",
        "{\"code\":\"not_found\"}",
        "{\"code\":5,\"data\":[]}",
        "{\"error\":{\"code\":404}}",
        "{\"errors\":[\"no\"],\"data\":[]}",
        "{\"status\":404,\"title\":\"Not Found\"}",
        "{\"teams\":[]}",
        "{\"data\":[{\"name\":\"t\"}]}",
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (addr, _server) = server(move |mut stream| {
            let answer = answer.clone();
            async move {
                read_some(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let client = try_client(&config(&format!("http://{addr}"))).unwrap();
        let error = client.teams().await.unwrap_err();
        assert!(
            matches!(&error, ServalError::Foreign(foreign) if foreign.status == 200),
            "{error:?}"
        );
        assert!(!error.summary().contains("t0ken"), "{error}");
    }
}

/// Answers the requests of every connection with the body that `body` makes of the token of the page.
async fn pages(
    body: impl Fn(&str) -> String + Clone + Send + 'static,
) -> (ServalClient, JoinSet<()>) {
    let (addr, server) = server(move |mut stream| {
        let body = body.clone();
        async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let request = String::from_utf8_lossy(&buffer[..read]);
                let token = request.split_once("pageToken=").map(|(_, rest)| rest);
                let body = body(
                    token
                        .and_then(|rest| rest.split(' ').next())
                        .unwrap_or_default(),
                );
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let config = bearer_config(&format!("http://{addr}"), "t0ken");
    (try_client(&config).unwrap(), server)
}

#[tokio::test]
async fn a_page_without_entries_is_followed_to_the_next_one() {
    let (client, _server) = pages(|token| match token {
        "" => r#"{"data":[],"nextPageToken":"p2"}"#.to_owned(),
        "p2" => r#"{"nextPageToken":"p3"}"#.to_owned(),
        _ => r#"{"data":[{"id":"team-1"}],"nextPageToken":""}"#.to_owned(),
    })
    .await;
    let teams = client.teams().await.unwrap();
    assert_eq!(teams.len(), 1);
    assert_eq!(teams[0].id, "team-1");
}

#[tokio::test]
async fn a_list_without_an_end_is_a_bad_answer_and_proves_nothing() {
    let same = |_: &str| r#"{"data":[{"id":"team-1"}],"nextPageToken":"same"}"#.to_owned();
    let next = |token: &str| {
        let n: usize = token.parse().unwrap_or_default();
        format!(r#"{{"data":[],"nextPageToken":"{}"}}"#, n + 1)
    };
    for ((client, _server), says) in [
        (pages(same).await, "names itself as the next one"),
        (pages(next).await, "a list that does not end"),
    ] {
        let error = client.teams().await.unwrap_err();
        assert!(matches!(&error, ServalError::Foreign(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn connections_are_used_again_after_successes_and_refusals() {
    let mock = mock(MockConfig {
        bearer_token: Some("t0ken".to_owned().into()),
        faults: faults(&["404,count=2", "429,count=2"]),
        ..MockConfig::default()
    })
    .await;
    let client = try_client(&config(&mock.base_url())).unwrap();
    for _ in 0..8 {
        drop(connect(&client, &connect_request("t")).await);
    }
    assert_eq!(mock.look(|journal| journal.connect_count), 8);
    assert_eq!(mock.connections(), 1);
}
