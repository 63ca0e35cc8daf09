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
        408 | 425 | 502.. => FailureKind::Unavailable,
        // A redirect is a wrong base_url or a portal in between: a person mends it, and nothing
        // that waits is to blame.
        300..=399 => FailureKind::Unavailable,
        403 => FailureKind::Permanent("permission_denied"),
        404 | 410 => FailureKind::Permanent("not_found"),
        _ => FailureKind::Permanent("refused"),
    }
}
