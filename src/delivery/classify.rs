//! Turns the error of a call into the failure that the policy knows. Pure: one table over every answer of
//! Serval, the network and the proxies in between.

use crate::domain::delivery::{Failure, FailureKind};
use crate::domain::reason::Reason;
use crate::serval::{Code, ServalError};

/// The kind of the failure, whether the call is in doubt, and how long Serval asked to wait.
pub fn classify(error: &ServalError) -> Failure {
    let kind = match error {
        ServalError::CredentialsRefused(_) => FailureKind::CredentialsRefused,
        ServalError::NoToken(_) | ServalError::Network { .. } => FailureKind::Unreachable,
        // Nobody's word on a ticket, whatever the status: a person must mend what stands in between, and
        // the event is not the cause.
        ServalError::Foreign(_) => FailureKind::Unavailable,
        ServalError::Refused(refusal) => refused(refusal.code),
    };
    Failure {
        kind,
        in_doubt: error.may_have_arrived(),
        retry_after: error.retry_after(),
    }
}

/// True if the same request would fail again with the same answer.
pub(super) fn is_final(error: &ServalError) -> bool {
    classify(error).kind.is_final()
}

/// The code tells more than the status: 409 is both `aborted` and `already_exists`.
fn refused(code: Code) -> FailureKind {
    match code {
        Code::Unavailable | Code::DeadlineExceeded => FailureKind::Unavailable,
        Code::Canceled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => {
            // Serval answered, so it runs, and the cause may be in this event. `Unavailable` above
            // says that no caller is answered.
            FailureKind::Faulty
        }
        Code::ResourceExhausted => FailureKind::Throttled,
        // The link that we wanted exists. A look at the links decides whether it is ours.
        Code::AlreadyExists => FailureKind::Exists,
        Code::Unauthenticated => FailureKind::CredentialsRefused,
        Code::InvalidArgument => FailureKind::Permanent(Reason::InvalidArgument),
        Code::NotFound => FailureKind::Permanent(Reason::NotFound),
        Code::PermissionDenied => FailureKind::Permanent(Reason::PermissionDenied),
        Code::FailedPrecondition => FailureKind::Permanent(Reason::FailedPrecondition),
        Code::OutOfRange => FailureKind::Permanent(Reason::OutOfRange),
        Code::Unimplemented => FailureKind::Permanent(Reason::Unimplemented),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};
    use jiff::Timestamp;

    use super::*;
    use crate::edge::blot::Blot;
    use crate::serval::{NetworkKind, Received, verdict};

    /// The verdict on an answer, and its failure.
    fn failure(status: u16, body: &str) -> Option<(ServalError, Failure)> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        let received = Received {
            call: "POST https://serval.example/v2/tickets/{ticket}/connect",
            status,
            headers: &headers,
            body: body.as_bytes(),
            is_token: false,
            now: Timestamp::UNIX_EPOCH,
        };
        let error = verdict(&received, &Blot::default()).err()?;
        let failure = classify(&error);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)), "{error}");
        Some((error, failure))
    }

    fn kind_of(code: Code) -> FailureKind {
        use FailureKind::{CredentialsRefused, Exists, Faulty, Permanent, Throttled, Unavailable};
        match code {
            Code::Canceled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => {
                Faulty
            }
            Code::DeadlineExceeded | Code::Unavailable => Unavailable,
            Code::ResourceExhausted => Throttled,
            Code::AlreadyExists => Exists,
            Code::Unauthenticated => CredentialsRefused,
            Code::InvalidArgument => Permanent(Reason::InvalidArgument),
            Code::NotFound => Permanent(Reason::NotFound),
            Code::PermissionDenied => Permanent(Reason::PermissionDenied),
            Code::FailedPrecondition => Permanent(Reason::FailedPrecondition),
            Code::OutOfRange => Permanent(Reason::OutOfRange),
            Code::Unimplemented => Permanent(Reason::Unimplemented),
        }
    }

    fn may_have_arrived(status: u16) -> bool {
        matches!(status, 200..=299 | 408 | 499 | 500..)
    }

    #[test]
    fn a_code_of_servals_decides_whatever_the_status() {
        for status in (100..200).chain(300..600) {
            for code in Code::ALL {
                for body in [
                    format!(r#"{{"code":"{code}","message":"m"}}"#),
                    format!(r#"{{"code":{},"message":"m","details":[]}}"#, code.number()),
                    format!(r#" {{"message":"m","code":"{}"}} "#, code.number()),
                ] {
                    let (error, failure) = failure(status, &body).unwrap();
                    assert_eq!(failure.kind, kind_of(code), "{status} {body}");
                    assert_eq!(failure.in_doubt, may_have_arrived(status), "{status}");
                    assert_eq!(error.code(), Some(code), "{status} {body}");
                }
            }
        }
    }

    #[test]
    fn any_other_answer_is_an_outage_whatever_the_status() {
        for status in (100..200).chain(300..600) {
            for body in [
                "",
                " \r\n",
                "{}",
                "[]",
                "null",
                "404",
                r#""not_found""#,
                r#"{"code":404,"message":"m"}"#,
                r#"{"code":0}"#,
                r#"{"code":17}"#,
                r#"{"code":-5}"#,
                r#"{"code":5.0}"#,
                r#"{"code":"no_route"}"#,
                r#"{"code":null}"#,
                r#"{"code":["not_found"]}"#,
                r#"{"code":{"not_found":5}}"#,
                r#"{"Code":"not_found"}"#,
                r#"{"status":"NOT_FOUND"}"#,
                r#"{"error":{"code":5,"status":"NOT_FOUND"}}"#,
                r#"{"error":"invalid_client"}"#,
                r#"{"message":"no Route matched with those values"}"#,
                r#"[{"code":"not_found"}]"#,
                r#"{"code":"not_found""#,
                "<html><head><title>404 Not Found</title></head></html>",
                "<!doctype html>",
                "default backend - 404",
                "not_found",
            ] {
                let (error, failure) = failure(status, body).unwrap();
                assert_eq!(failure.kind, FailureKind::Unavailable, "{status} {body}");
                assert_eq!(
                    failure.in_doubt,
                    may_have_arrived(status),
                    "{status} {body}"
                );
                assert_eq!(error.code(), None, "{status} {body}");
                let brief = error.brief();
                assert!(
                    brief.contains("https://serval.example/")
                        && brief.contains(&status.to_string()),
                    "{brief}"
                );
            }
        }
    }

    #[test]
    fn a_2xx_is_a_success_unless_its_body_is_an_error_or_no_object() {
        for status in 200..300 {
            for body in [
                "",
                " \n",
                "{}",
                r#"{"data":{"id":"x"}}"#,
                r#"{"error":null}"#,
                r#"{"ok":true,"code":null}"#,
                r#"{"ok":true,"status":"fine"}"#,
                r#"{"error":null,"errors":null,"ok":true}"#,
                r#"{"links":[{"code":"not_found"}]}"#,
                r#"{"ok":true,"code":"fine"}"#,
                r#"{"message":"linked"}"#,
            ] {
                assert!(failure(status, body).is_none(), "{status} {body}");
            }
            for body in [
                r#"{"code":"not_found","message":"no such ticket"}"#,
                r#"{"code":5,"message":"no such ticket","details":[]}"#,
                r#"{"code":"13"}"#,
                r#"{"error":{"code":"unavailable"}}"#,
                r#"{"code":404}"#,
                r#"{"error":"denied","ok":true}"#,
                r#"{"errors":[{"message":"no such ticket"}],"ok":true}"#,
                "<html>Sign in</html>",
                "welcome",
                "[]",
                "true",
                "{",
            ] {
                let (error, failure) = failure(status, body).unwrap();
                assert_eq!(failure.kind, FailureKind::Unavailable, "{status} {body}");
                assert!(failure.in_doubt, "{status} {body}");
                assert_eq!(error.code(), None, "it is no word about a ticket: {body}");
            }
        }
    }

    #[test]
    fn the_network_is_never_the_events_fault() {
        for kind in [
            NetworkKind::Dns,
            NetworkKind::Refused,
            NetworkKind::Reset,
            NetworkKind::Tls,
            NetworkKind::ConnectTimeout,
            NetworkKind::Timeout,
            NetworkKind::Other,
        ] {
            for sent in [false, true] {
                let error = ServalError::Network {
                    kind,
                    sent,
                    detail: String::new(),
                };
                let failure = classify(&error);
                assert_eq!(
                    (failure.kind, failure.in_doubt),
                    (FailureKind::Unreachable, sent)
                );
            }
        }
        // A token that could not be fetched says nothing about the event, whatever the status.
        for status in [404, 500, 503] {
            let (refused, _) = failure(status, r#"{"code":"not_found"}"#).unwrap();
            let failure = classify(&ServalError::NoToken(Arc::new(refused)));
            assert_eq!(
                (failure.kind, failure.in_doubt),
                (FailureKind::Unreachable, false)
            );
        }
    }
}
