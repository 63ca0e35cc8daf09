//! Serval's documented error codes (those of the Connect protocol), and their HTTP statuses.

use std::fmt;

/// Makes the codes from one table: name, number, word, HTTP status.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $word:literal, $status:literal;)*) => {
        /// The reason of a refusal. The numbers are those of `google.rpc.Code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: [Self; 16] = [$(Self::$name,)*];

            /// The word in a Connect error body.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The HTTP status that the Connect protocol gives the code.
            pub fn http_status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }
        }
    };
}

codes! {
    /// The caller cancelled the call.
    Canceled = 1, "canceled", 499;
    /// No other code fits.
    Unknown = 2, "unknown", 500;
    /// The request is wrong in itself.
    InvalidArgument = 3, "invalid_argument", 400;
    /// The call took too long; it may have taken effect.
    DeadlineExceeded = 4, "deadline_exceeded", 504;
    /// The object does not exist.
    NotFound = 5, "not_found", 404;
    /// The object to create exists.
    AlreadyExists = 6, "already_exists", 409;
    /// The caller is known, and may not do this.
    PermissionDenied = 7, "permission_denied", 403;
    /// Too many calls, or a quota is used up.
    ResourceExhausted = 8, "resource_exhausted", 429;
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9, "failed_precondition", 400;
    /// A concurrent call won.
    Aborted = 10, "aborted", 409;
    /// The call went past the end of a range.
    OutOfRange = 11, "out_of_range", 400;
    /// Serval does not offer this call.
    Unimplemented = 12, "unimplemented", 501;
    /// An invariant of Serval is broken.
    Internal = 13, "internal", 500;
    /// Serval cannot serve the call now.
    Unavailable = 14, "unavailable", 503;
    /// Data is lost beyond recovery.
    DataLoss = 15, "data_loss", 500;
    /// The caller is not known.
    Unauthenticated = 16, "unauthenticated", 401;
}

impl Code {
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

    /// Reads an error of `OAuth` (RFC 6749, section 5.2).
    pub(super) fn of_oauth(error: &str) -> Option<Self> {
        Some(match error {
            "invalid_client" => Self::Unauthenticated,
            "unauthorized_client" | "access_denied" => Self::PermissionDenied,
            "invalid_request" | "invalid_grant" | "unsupported_grant_type" | "invalid_scope" => {
                Self::InvalidArgument
            }
            "server_error" => Self::Internal,
            "temporarily_unavailable" => Self::Unavailable,
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
}
