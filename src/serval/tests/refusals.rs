use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::edge::blot::Blot;
use crate::serval::refusal::{one_line, request_id, retry_after};
use crate::serval::{Code, Received, ServalError, verdict};

const CALL: &str = "POST https://serval.example/v2/tickets/{ticket}/connect";

fn read(status: u16, headers: &HeaderMap, body: &[u8], secrets: &[&str]) -> ServalError {
    let secrets: Vec<SecretString> = secrets.iter().map(|&secret| secret.into()).collect();
    let received = Received {
        call: CALL,
        status,
        headers,
        body,
        is_token: false,
        now: Timestamp::UNIX_EPOCH,
    };
    verdict(&received, &Blot::new(&secrets)).unwrap_err()
}

fn refused(status: u16, body: &str) -> ServalError {
    read(status, &HeaderMap::new(), body.as_bytes(), &[])
}

fn message(error: &ServalError) -> &str {
    if let ServalError::Refused(refusal) = error {
        return &refusal.message;
    }
    let ServalError::Foreign(foreign) = error else {
        panic!("{error:?}");
    };
    &foreign.excerpt
}

#[test]
fn codes_and_messages_are_read_from_every_kind_of_body() {
    for (status, body, code, text) in [
        (
            404,
            r#"{"code":"not_found","message":"no ticket"}"#,
            Some(Code::NotFound),
            "no ticket",
        ),
        (
            404,
            r#"{"code":5,"message":"no ticket","details":[]}"#,
            Some(Code::NotFound),
            "no ticket",
        ),
        (
            409,
            r#"{"code":"10","message":"m"}"#,
            Some(Code::Aborted),
            "m",
        ),
        (
            400,
            r#"{"code":"FAILED_PRECONDITION","message":"m","detail":{"type":"t","value":"dg"}}"#,
            Some(Code::FailedPrecondition),
            "m",
        ),
        (
            503,
            r#"{"code":"unavailable","message":7}"#,
            Some(Code::Unavailable),
            "",
        ),
        (503, r#"{"code":"a_new_code","message":"m"}"#, None, "m"),
        (
            404,
            r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#,
            None,
            "",
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"no such client"}"#,
            None,
            "no such client",
        ),
        (502, "[1,2]", None, "[1,2]"),
        (404, "404 page not found\n", None, "404 page not found"),
        (
            502,
            "<html><head><TITLE>502 Bad\nGateway</TITLE></head></html>",
            None,
            "502 Bad Gateway",
        ),
        (503, "<!doctype html><p>sorry", None, "a web page"),
        (302, "", None, ""),
        (418, r#"{"code":"#, None, r#"{"code":"#),
    ] {
        let error = refused(status, body);
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.code(), code, "{status} {body}");
        assert_eq!(message(&error), text, "{status} {body}");
    }
    let error = read(500, &HeaderMap::new(), b"\xff\x00\xfe", &[]);
    assert_eq!(error.code(), None);
}

#[test]
fn a_foreign_answer_is_named_with_its_type_and_where_it_came_from() {
    for (status, header, value, body, expected) in [
        (
            404,
            "content-type",
            "text/html; charset=utf-8",
            "<p>x",
            "404 with a web page (text/html)",
        ),
        (
            451,
            "content-type",
            "text/plain",
            "blocked",
            "451 with a text (text/plain)",
        ),
        (
            423,
            "content-type",
            "a b<script>",
            "",
            "423 with an empty body",
        ),
        (
            503,
            "content-type",
            "application/json",
            "{}",
            "503 with JSON that has no known code (application/json)",
        ),
        (
            200,
            "x",
            "y",
            r#"{"code":5}"#,
            "200 with an error, not_found",
        ),
        (
            200,
            "x",
            "y",
            r#"{"error":{"code":"not_found"}}"#,
            "200 with an error, not_found",
        ),
        (200, "x", "y", r#"{"status":400}"#, "200 with an error"),
        // Only a redirect leads anywhere.
        (
            404,
            "location",
            "https://login.example/",
            "",
            "404 with an empty body",
        ),
        (
            302,
            "location",
            "https://login.example/sso?secret=s3cret",
            "",
            "302 with an empty body that leads to login.example",
        ),
        (
            302,
            "location",
            "/login?secret=s3cret",
            "",
            "302 with an empty body",
        ),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header, HeaderValue::from_static(value));
        let error = read(status, &headers, body.as_bytes(), &[]);
        let expected = format!("{CALL} was answered {expected}, which is not Serval's form");
        assert_eq!(error.brief(), expected);
        assert!(error.summary().starts_with(&expected), "{error}");
        assert!(!error.summary().contains("s3cret"), "{error}");
    }
    let page = "<title>down t0ken</title>";
    let error = read(404, &HeaderMap::new(), page.as_bytes(), &["t0ken"]);
    assert!(error.summary().ends_with(": down [redacted]"), "{error}");
    assert!(!error.brief().contains("down"), "{error}");
}

#[test]
fn oauth_errors_count_at_the_token_endpoint_alone() {
    let headers = HeaderMap::new();
    for (body, code) in [
        (r#"{"error":"invalid_client"}"#, Some(Code::Unauthenticated)),
        (
            r#"{"error":"unauthorized_client"}"#,
            Some(Code::PermissionDenied),
        ),
        (r#"{"error":"invalid_scope"}"#, Some(Code::InvalidArgument)),
        (
            r#"{"error":"temporarily_unavailable"}"#,
            Some(Code::Unavailable),
        ),
        (r#"{"error":"Unauthorized"}"#, None),
        (
            r#"{"code":"internal","error":"invalid_client"}"#,
            Some(Code::Internal),
        ),
    ] {
        let mut received = Received {
            call: CALL,
            status: 401,
            headers: &headers,
            body: body.as_bytes(),
            is_token: true,
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            verdict(&received, &Blot::default()).unwrap_err().code(),
            code,
            "{body}"
        );
        received.is_token = false;
        let code = code.filter(|code| *code == Code::Internal);
        assert_eq!(
            verdict(&received, &Blot::default()).unwrap_err().code(),
            code,
            "{body}"
        );
    }
}

#[test]
fn a_retry_after_is_seconds_or_a_date() {
    let now: Timestamp = "2026-11-06T08:49:30Z".parse().unwrap();
    for (text, wait) in [
        ("0", Some(0)),
        (" 7 ", Some(7)),
        ("99999999999999999999999", Some(86_400)),
        ("Fri, 06 Nov 2026 08:49:37 GMT", Some(7)),
        ("Friday, 06-Nov-26 08:49:37 GMT", Some(7)),
        ("Fri Nov  6 08:49:37 2026", Some(7)),
        ("Fri, 06 Nov 2026 08:49:00 GMT", Some(0)),
        ("Mon, 06 Nov 2034 08:49:00 GMT", Some(86_400)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ] {
        assert_eq!(
            retry_after(text, now),
            wait.map(Duration::from_secs),
            "{text:?}"
        );
    }
}

#[test]
fn a_wait_may_stand_in_the_body_and_the_header_wins() {
    let in_list = r#"{"code":8,"details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}"#;
    let in_object = r#"{"code":"resource_exhausted","detail":{"type":"google.rpc.RetryInfo","value":"CgA","debug":{"retryDelay":"1.5s"}}}"#;
    for body in [in_list, in_object] {
        let wait = refused(429, body).retry_after();
        assert_eq!(wait, Some(Duration::from_millis(1500)), "{body}");
    }
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("9"));
    let error = read(429, &headers, in_list.as_bytes(), &[]);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
    for delay in ["-1s", "5", "NaNs", "1e400s"] {
        let body = format!(
            r#"{{"code":8,"details":[{{"@type":"google.rpc.RetryInfo","retryDelay":"{delay}"}}]}}"#
        );
        assert_eq!(refused(429, &body).retry_after(), None, "{delay}");
    }
}

#[test]
fn a_message_is_one_short_line_without_our_secrets() {
    let long = format!("a\u{0}b\r\n\u{1b}[31m  {}", "é".repeat(1000));
    let line = one_line(&long, 500);
    assert!(line.starts_with("a b [31m é"));
    assert_eq!(line.chars().count(), 500);

    let body = r#"{"code":"unauthenticated","message":"token tok-123 is no good"}"#;
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("req-9"));
    let error = read(401, &headers, body.as_bytes(), &["tok-123", ""]);
    assert_eq!(
        error.summary(),
        format!(
            "Serval answered 401 unauthenticated: token [redacted] is no good ({CALL}, request id \
             req-9)"
        )
    );
    assert_eq!(error.request_id(), Some("req-9"));
}

#[test]
fn a_request_id_is_kept_as_long_as_it_can_be_one() {
    let long = "x".repeat(129);
    for (id, expected) in [
        ("req-9", Some("req-9")),
        (
            " 1-67891233-abcdef012345678912345678 ",
            Some("1-67891233-abcdef012345678912345678"),
        ),
        ("Root=1-6;Parent=5", None),
        ("<script>alert(1)</script>", None),
        ("two words", None),
        ("", None),
        (&long, None),
        (&long[..128], Some(&long[..128])),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_str(id).unwrap());
        assert_eq!(request_id(&headers).as_deref(), expected, "{id}");
        headers.insert("x-correlation-id", HeaderValue::from_static("c-1"));
        assert_eq!(
            request_id(&headers).as_deref(),
            expected.or(Some("c-1")),
            "{id}"
        );
    }
}

#[test]
fn only_an_answer_that_leaves_doubt_may_have_arrived() {
    for (status, doubt) in [
        (204, true),
        (302, false),
        (400, false),
        (404, false),
        (408, true),
        (409, false),
        (429, false),
        (499, true),
        (500, true),
        (503, true),
        (504, true),
    ] {
        assert_eq!(refused(status, "x").may_have_arrived(), doubt, "{status}");
    }
}
