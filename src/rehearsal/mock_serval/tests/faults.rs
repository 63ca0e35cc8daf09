use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CONNECT, Stage, TOKEN};
use crate::rehearsal::mock_serval::{Effect, Endpoint, Fault, MockConfig, RetryAfter};

fn with(specs: &[&str]) -> MockConfig {
    MockConfig {
        faults: specs.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..MockConfig::default()
    }
}

#[test]
fn faults_are_read_from_text_and_printed_back() {
    let connect = Fault::of(Effect::Status(503));
    for (text, fault) in [
        ("status=503", connect.clone()),
        ("503", connect.clone()),
        (
            " 503 , count=3",
            Fault {
                count: Some(3),
                ..connect.clone()
            },
        ),
        ("conflict", Fault::of(Effect::Status(409))),
        ("drop", Fault::of(Effect::Drop)),
        ("reset", Fault::of(Effect::Reset)),
        (
            "hang,path=all",
            Fault {
                endpoint: None,
                ..Fault::of(Effect::Hang)
            },
        ),
        (
            "latency=250ms",
            Fault {
                latency: Duration::from_millis(250),
                ..Fault::of(Effect::None)
            },
        ),
        (
            "503,path=token",
            Fault {
                endpoint: Some(Endpoint::Token),
                ..connect.clone()
            },
        ),
        (
            "path=external-tickets,503",
            Fault {
                endpoint: Some(Endpoint::ExternalTickets),
                ..connect.clone()
            },
        ),
        (
            "503,retry_after=7",
            Fault {
                retry_after: Some(RetryAfter::Seconds(7)),
                ..connect.clone()
            },
        ),
        (
            "503,retry_after=date:7",
            Fault {
                retry_after: Some(RetryAfter::DateIn(7)),
                ..connect.clone()
            },
        ),
        (
            "503,retry_after=date:2030-01-01T00:00:00Z",
            Fault {
                retry_after: Some(RetryAfter::Date("2030-01-01T00:00:00Z".parse().unwrap())),
                ..connect.clone()
            },
        ),
        (
            "503,rate=0.3,ticket=a",
            Fault {
                rate: Some(0.3),
                ticket: Some("a".to_owned()),
                ..connect.clone()
            },
        ),
        (
            "503,dialect=numeric",
            Fault {
                dialect: Some(crate::rehearsal::mock_serval::Dialect::Numeric),
                ..connect
            },
        ),
    ] {
        assert_eq!(text.parse::<Fault>().as_ref(), Ok(&fault), "{text}");
        assert_eq!(fault.to_string().parse::<Fault>(), Ok(fault), "{text}");
    }
}

#[test]
fn a_text_that_is_no_fault_is_refused_with_the_part_that_is_wrong() {
    for (text, part) in [
        ("", "\"\""),
        ("count=3", "count=3"),
        ("teapot", "teapot"),
        ("status=199", "status=199"),
        ("999", "999"),
        ("99999999", "99999999"),
        ("status=", "status="),
        ("503,404", "404"),
        ("drop,reset", "reset"),
        ("drop=1", "drop=1"),
        ("503,count=0", "count=0"),
        ("503,rate=1.5", "rate=1.5"),
        ("503,rate=NaN", "rate=NaN"),
        ("503,path=nowhere", "path=nowhere"),
        ("503,dialect=latin", "dialect=latin"),
        ("503,retry_after=-1", "retry_after=-1"),
        ("503,retry_after=date:soon", "date:soon"),
        ("latency=250", "latency=250"),
        ("503,ticket=", "ticket="),
        ("503,", "\"\""),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_counted_fault_wears_off_and_tells_when_to_come_back() {
    let stage = Stage::set(with(&["status=429,retry_after=7,count=2"])).await;
    for status in [429, 429, 200] {
        let answer = stage.connect("t", CONNECT).await.unwrap();
        assert_eq!(answer.status(), status);
        let retry_after = answer.headers().get("retry-after");
        assert_eq!(retry_after.is_some_and(|value| value == "7"), status == 429);
    }
    let answered: Vec<_> = stage.mock.connects().iter().map(|c| c.answered).collect();
    assert_eq!(answered, [Some(429), Some(429), Some(200)]);
    assert_eq!(stage.mock.connects()[0].external_id, "x");
}

#[tokio::test]
async fn errors_are_written_in_the_dialect_asked_for() {
    let stage = Stage::set(MockConfig::default()).await;
    for (dialect, body) in [
        (
            "string",
            r#"{"code":"unavailable","message":"a fault was asked for"}"#,
        ),
        (
            "numeric",
            r#"{"code":14,"details":[],"message":"a fault was asked for"}"#,
        ),
        ("text", "a fault was asked for\n"),
        (
            "html",
            "<html><head><title>a fault was asked for</title></head></html>",
        ),
        ("json", r#"{"message":"a fault was asked for"}"#),
        ("empty", ""),
    ] {
        let fault = format!("503,dialect={dialect}").parse().unwrap();
        stage.mock.set_faults(vec![fault]);
        let answer = stage.connect("t", CONNECT).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_dropped_call_is_stored_and_a_reset_one_is_not() {
    for (fault, links) in [("drop", 1), ("reset", 0)] {
        let stage = Stage::set(with(&[&format!("{fault},count=1")])).await;
        let error = stage.connect("t", CONNECT).await.unwrap_err();
        assert!(
            !error.is_timeout() && !error.is_connect(),
            "{fault}: {error:?}"
        );
        assert_eq!(stage.mock.links().len(), links, "{fault}");
        let connects = stage.mock.connects();
        assert_eq!(connects[0].answered, None, "{fault}");
        assert_eq!(connects[0].stored, links == 1, "{fault}");
        assert_eq!(stage.connect("t", CONNECT).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_dropped_call_ends_in_order_and_a_reset_one_does_not() {
    for (fault, expected) in [("drop", Ok(0)), ("reset", Err(ErrorKind::ConnectionReset))] {
        let stage = Stage::set(with(&[fault])).await;
        let mut stream = TcpStream::connect(stage.mock.addr()).await.unwrap();
        let request = format!(
            "POST /v2/tickets/t/connect HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{CONNECT}",
            CONNECT.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let outcome = stream
            .read(&mut [0; 16])
            .await
            .map_err(|error| error.kind());
        assert_eq!(outcome, expected, "{fault}");
    }
}

#[tokio::test]
async fn a_fault_strikes_where_it_is_told_to() {
    let stage = Stage::set(with(&[
        "503,ticket=a",
        "500,path=directory",
        "401,path=external-tickets",
    ]))
    .await;
    assert_eq!(stage.connect("a", CONNECT).await.unwrap().status(), 503);
    assert_eq!(stage.connect("b", CONNECT).await.unwrap().status(), 200);
    assert_eq!(stage.get("/v2/teams").await.0, 500);
    assert_eq!(stage.get("/v2/tickets/a/external-tickets").await.0, 401);
    assert_eq!(stage.get("/v2/tickets/a/messages").await.0, 200);
    assert_eq!(stage.get("/v2/tickets/a").await.0, 200);
}

#[tokio::test]
async fn latency_comes_first_and_a_hanging_call_gets_nothing() {
    let stage = Stage::set(with(&["latency=120ms", "hang,ticket=h"])).await;
    let started = Instant::now();
    assert_eq!(stage.connect("t", CONNECT).await.unwrap().status(), 200);
    assert!(started.elapsed() >= Duration::from_millis(120));
    assert!(stage.connect("h", CONNECT).await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_rate_strikes_about_as_often_as_it_says() {
    let stage = Stage::set(MockConfig {
        seed: Some(7),
        ..with(&["503,rate=0.3"])
    })
    .await;
    let mut struck = 0;
    for _ in 0..200 {
        struck += u32::from(stage.connect("t", CONNECT).await.unwrap().status() == 503);
    }
    assert!((35..=85).contains(&struck), "{struck}");
}

#[tokio::test]
async fn faults_are_switched_over_http() {
    let stage = Stage::set(MockConfig::default()).await;
    let put = |body: Value| stage.request("PUT", "/_faults").json(&body).send();
    assert_eq!(
        put(json!(["503,count=9", "drop,ticket=x"]))
            .await
            .unwrap()
            .status(),
        200
    );
    let (_, listed) = stage.get("/_faults").await;
    assert_eq!(
        listed["data"],
        json!([
            "status=503,path=connect,count=9",
            "drop,path=connect,ticket=x"
        ])
    );
    assert_eq!(stage.connect("t", CONNECT).await.unwrap().status(), 503);
    let wrong = put(json!(["teapot"])).await.unwrap();
    assert_eq!(wrong.status(), 400);
    assert!(wrong.text().await.unwrap().contains("teapot"));
    stage.request("DELETE", "/_faults").send().await.unwrap();
    assert_eq!(stage.connect("t", CONNECT).await.unwrap().status(), 200);
}
