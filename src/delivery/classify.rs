//! Reads a failed call as the policy sees it: one pure function over all that Serval, the network
//! and what stands between can answer.

use crate::domain::delivery::{Failure, FailureKind};
use crate::serval::{Code, ServalError};

/// The kind of a failure, its doubt, and what Serval asked for.
pub fn classify(error: &ServalError) -> Failure {
    let kind = match error {
        ServalError::CredentialsRefused { .. } => FailureKind::CredentialsRefused,
        ServalError::NoToken(_) | ServalError::Network { .. } => FailureKind::Unreachable,
        ServalError::BadAnswer { .. } => FailureKind::Unavailable,
        ServalError::Refused { status, code, .. } => refused(*status, *code),
    };
    Failure {
        kind,
        in_doubt: error.may_have_arrived(),
        retry_after: error.retry_after(),
    }
}

/// The code says more than the status (409 is both `aborted` and `already_exists`), so it decides
/// where there is one.
fn refused(status: u16, code: Option<Code>) -> FailureKind {
    match code {
        Some(Code::Unavailable | Code::DeadlineExceeded) => FailureKind::Unavailable,
        Some(Code::Canceled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss) => {
            FailureKind::Faulty
        }
        Some(Code::ResourceExhausted) => FailureKind::Throttled,
        Some(Code::AlreadyExists) => FailureKind::Exists,
        Some(Code::Unauthenticated) => FailureKind::CredentialsRefused,
        Some(
            code @ (Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented),
        ) => FailureKind::Permanent(code.as_str()),
        None => bare_status(status),
    }
}

fn bare_status(status: u16) -> FailureKind {
    match status {
        401 => FailureKind::CredentialsRefused,
        429 => FailureKind::Throttled,
        409 => FailureKind::Exists,
        501 => FailureKind::Permanent("unimplemented"),
        500 => FailureKind::Faulty,
        // A redirect is a wrong base_url or a portal in between: a person mends it, and nothing
        // that waits is to blame.
        300..=399 | 408 | 425 | 502.. => FailureKind::Unavailable,
        403 => FailureKind::Permanent("permission_denied"),
        404 | 410 => FailureKind::Permanent("not_found"),
        _ => FailureKind::Permanent("refused"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::serval::NetworkKind;

    fn answer(status: u16, code: Option<Code>) -> ServalError {
        ServalError::Refused {
            status,
            code,
            message: "words".to_owned(),
            request_id: None,
            retry_after: Some(Duration::from_secs(7)),
        }
    }

    #[test]
    fn every_code_has_its_kind_whatever_the_status() {
        use FailureKind::{CredentialsRefused, Exists, Faulty, Permanent, Throttled, Unavailable};
        for code in Code::ALL {
            let expected = match code {
                Code::Canceled
                | Code::Unknown
                | Code::Aborted
                | Code::Internal
                | Code::DataLoss => Faulty,
                Code::DeadlineExceeded | Code::Unavailable => Unavailable,
                Code::ResourceExhausted => Throttled,
                Code::AlreadyExists => Exists,
                Code::Unauthenticated => CredentialsRefused,
                Code::InvalidArgument => Permanent("invalid_argument"),
                Code::NotFound => Permanent("not_found"),
                Code::PermissionDenied => Permanent("permission_denied"),
                Code::FailedPrecondition => Permanent("failed_precondition"),
                Code::OutOfRange => Permanent("out_of_range"),
                Code::Unimplemented => Permanent("unimplemented"),
            };
            for status in [200, 400, 409, 500, 503] {
                assert_eq!(
                    classify(&answer(status, Some(code))).kind,
                    expected,
                    "{code:?}"
                );
            }
        }
    }

    #[test]
    fn a_bare_status_has_its_kind() {
        use FailureKind::{CredentialsRefused, Exists, Faulty, Permanent, Throttled, Unavailable};
        for (status, kind, in_doubt) in [
            (301, Unavailable, false),
            (302, Unavailable, false),
            (400, Permanent("refused"), false),
            (401, CredentialsRefused, false),
            (403, Permanent("permission_denied"), false),
            (404, Permanent("not_found"), false),
            (405, Permanent("refused"), false),
            (408, Unavailable, true),
            (409, Exists, false),
            (410, Permanent("not_found"), false),
            (413, Permanent("refused"), false),
            (422, Permanent("refused"), false),
            (425, Unavailable, false),
            (429, Throttled, false),
            (500, Faulty, true),
            (501, Permanent("unimplemented"), true),
            (502, Unavailable, true),
            (503, Unavailable, true),
            (504, Unavailable, true),
            (529, Unavailable, true),
        ] {
            let failure = classify(&answer(status, None));
            assert_eq!(
                (failure.kind, failure.in_doubt),
                (kind, in_doubt),
                "{status}"
            );
            assert_eq!(
                failure.retry_after,
                Some(Duration::from_secs(7)),
                "{status}"
            );
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
            let error = ServalError::NoToken(Arc::new(answer(status, None)));
            let failure = classify(&error);
            assert_eq!(
                (failure.kind, failure.in_doubt),
                (FailureKind::Unreachable, false)
            );
        }
    }

    #[test]
    fn a_2xx_that_makes_no_sense_is_looked_into() {
        let error = ServalError::BadAnswer {
            status: 200,
            detail: "not JSON".to_owned(),
        };
        let failure = classify(&error);
        assert_eq!(
            (failure.kind, failure.in_doubt),
            (FailureKind::Unavailable, true)
        );
        let error = ServalError::CredentialsRefused {
            status: 401,
            message: String::new(),
            request_id: None,
        };
        assert_eq!(classify(&error).kind, FailureKind::CredentialsRefused);
    }
}
