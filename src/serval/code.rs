//! The error codes that Serval documents (those of the Connect protocol), and the statuses they
//! travel with.

use std::fmt;

/// Why Serval refused a call. The numbers are those of `google.rpc.Code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The caller gave up.
    Canceled = 1,
    /// No better code fits.
    Unknown = 2,
    /// The request is wrong whatever the state of the system.
    InvalidArgument = 3,
    /// It took too long; it may have happened.
    DeadlineExceeded = 4,
    /// No such thing.
    NotFound = 5,
    /// What should be created exists.
    AlreadyExists = 6,
    /// The caller is known, and may not.
    PermissionDenied = 7,
    /// Too many calls, or a quota is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9,
    /// Lost against a concurrent call.
    Aborted = 10,
    /// Past the end of something.
    OutOfRange = 11,
    /// Not offered here.
    Unimplemented = 12,
    /// An invariant of theirs is broken.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
    /// Lost beyond recovery.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

impl Code {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Canceled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The word in a Connect error body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out_of_range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data_loss",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The number in a `google.rpc.Status` body.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Reads the word, in any case, or the number written as text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| code.as_str().eq_ignore_ascii_case(word))
            .or_else(|| word.parse().ok().and_then(Self::from_number))
    }

    /// Reads the number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| u64::from(code.number()) == number)
    }

    /// The HTTP status that the Connect protocol gives the code.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::ResourceExhausted => 429,
            Self::Canceled => 499,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }

    /// The most likely code behind a status whose body names none (a proxy's page). 409 reads as
    /// `already_exists`, which callers verify before they believe it.
    pub fn from_http_status(status: u16) -> Option<Self> {
        Some(match status {
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            408 | 504 => Self::DeadlineExceeded,
            409 => Self::AlreadyExists,
            429 => Self::ResourceExhausted,
            499 => Self::Canceled,
            500 => Self::Internal,
            501 => Self::Unimplemented,
            502 | 503 => Self::Unavailable,
            _ => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_word_and_its_number() {
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert_eq!(Code::parse(&code.as_str().to_uppercase()), Some(code));
            assert_eq!(Code::parse(&code.number().to_string()), Some(code));
            assert_eq!(Code::from_number(code.number().into()), Some(code));
        }
        for unknown in ["", "0", "17", "-1", "teapot"] {
            assert_eq!(Code::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_status_alone_gives_a_code_of_that_status() {
        for status in [400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504] {
            let code = Code::from_http_status(status).unwrap();
            assert_eq!(code.http_status(), status);
        }
        assert_eq!(Code::from_http_status(502), Some(Code::Unavailable));
        assert_eq!(Code::from_http_status(408), Some(Code::DeadlineExceeded));
        assert_eq!(Code::from_http_status(302), None);
        assert_eq!(Code::from_http_status(418), None);
    }
}
