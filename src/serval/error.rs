//! What a call to Serval can end with other than success.
//!
//! Invariant: no variant holds a credential or a request body, so every one may be stored, shown
//! and logged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::code::Code;

/// Why a call to Serval did not succeed, with all that a retry policy needs to know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServalError {
    /// Serval, or something in front of it, answered with another status than 2xx.
    #[error("Serval answered {}", Said { status: *status, code: *code, message, request_id: request_id.as_deref() })]
    Refused {
        /// The HTTP status.
        status: u16,
        /// From the body, else from the status.
        code: Option<Code>,
        /// Serval's words: one line of at most 500 characters. May be empty.
        message: String,
        /// The name of the exchange at Serval's, for support.
        request_id: Option<String>,
        /// How long Serval asks us to wait, counted from the answer.
        retry_after: Option<Duration>,
    },
    /// Our credentials are no good: the token endpoint said so, or a call with a fresh token did.
    /// Nothing was carried out. Every other call will end the same way until a person acts.
    #[error("Serval refused our credentials: {}", Said { status: *status, code: None, message, request_id: request_id.as_deref() })]
    CredentialsRefused {
        /// The HTTP status.
        status: u16,
        /// Serval's words, as in [`ServalError::Refused`].
        message: String,
        /// The name of the exchange at Serval's, for support.
        request_id: Option<String>,
    },
    /// The token endpoint did not work, so the call was not made. It says nothing about the ticket:
    /// whatever the status, every other call would have ended the same way.
    #[error("no token from Serval: {0}")]
    NoToken(Arc<ServalError>),
    /// No answer, or not all of it.
    #[error("Serval could not be reached: {kind}{}", Detail(detail))]
    Network {
        /// What went wrong.
        kind: NetworkKind,
        /// Whether the request may have reached Serval; `false` only when it certainly did not.
        sent: bool,
        /// The innermost cause, one line. May be empty.
        detail: String,
    },
    /// A 2xx that cannot be what Serval meant to say.
    #[error("Serval answered {status}, but {detail}")]
    BadAnswer {
        /// The HTTP status.
        status: u16,
        /// What is wrong with the body, without its content.
        detail: String,
    },
}

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetworkKind {
    /// The name did not resolve.
    Dns,
    /// Nobody listens there.
    Refused,
    /// The connection broke.
    Reset,
    /// No TLS session: a certificate, or the other end does not speak TLS.
    Tls,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The exchange was not over in time.
    Timeout,
    /// Anything else.
    Other,
}

impl NetworkKind {
    /// One word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "its name does not resolve",
            Self::Refused => "the connection was refused",
            Self::Reset => "the connection broke",
            Self::Tls => "no TLS session",
            Self::ConnectTimeout => "no connection in time",
            Self::Timeout => "no answer in time",
            Self::Other => "the exchange failed",
        })
    }
}

impl ServalError {
    /// The code of a refusal. `None` for a refusal of the token endpoint, whose code says nothing
    /// about the call.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => *code,
            Self::CredentialsRefused { .. }
            | Self::NoToken(_)
            | Self::Network { .. }
            | Self::BadAnswer { .. } => None,
        }
    }

    /// The HTTP status that was answered, by the token endpoint too.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::CredentialsRefused { status, .. }
            | Self::BadAnswer { status, .. } => Some(*status),
            Self::NoToken(fault) => fault.status(),
            Self::Network { .. } => None,
        }
    }

    /// How long Serval asks us to wait, counted from the answer. At most a day.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::NoToken(fault) => fault.retry_after(),
            Self::CredentialsRefused { .. } | Self::Network { .. } | Self::BadAnswer { .. } => None,
        }
    }

    /// The name of the exchange at Serval's.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } | Self::CredentialsRefused { request_id, .. } => {
                request_id.as_deref()
            }
            Self::NoToken(fault) => fault.request_id(),
            Self::Network { .. } | Self::BadAnswer { .. } => None,
        }
    }

    /// One line for the log and for whoever may ask without a token: what went wrong, without
    /// Serval's own words, which may quote the ticket they are about.
    pub fn brief(&self) -> String {
        let said = |status: u16, code: Option<Code>, request_id: &Option<String>| {
            let request_id = request_id.as_deref();
            Said {
                status,
                code,
                message: "",
                request_id,
            }
            .to_string()
        };
        match self {
            Self::Refused {
                status,
                code,
                request_id,
                ..
            } => {
                format!("Serval answered {}", said(*status, *code, request_id))
            }
            Self::CredentialsRefused {
                status, request_id, ..
            } => {
                format!(
                    "Serval refused our credentials: {}",
                    said(*status, None, request_id)
                )
            }
            Self::NoToken(fault) => format!("no token from Serval: {}", fault.brief()),
            Self::Network { .. } | Self::BadAnswer { .. } => self.to_string(),
        }
    }

    /// One line for operators, with Serval's own words. Holds no secret, but may quote a ticket: it
    /// is kept with the event, and goes to no log.
    pub fn summary(&self) -> String {
        self.to_string()
    }

    /// Whether the call may have taken effect all the same, so that a look is due before it is
    /// made again: the answer was lost, or it is one that a server or a proxy gives when it has
    /// lost track (408, 499, 5xx).
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 408 | 499) || *status >= 500,
            Self::Network { sent, .. } => *sent,
            Self::BadAnswer { .. } => true,
            Self::CredentialsRefused { .. } | Self::NoToken(_) => false,
        }
    }
}

/// `404 not_found: no such ticket (request id 1f)`, as much of it as there is.
struct Said<'a> {
    status: u16,
    code: Option<Code>,
    message: &'a str,
    request_id: Option<&'a str>,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match self.request_id {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
        }
    }
}

/// ` (the cause)`, where there is one.
struct Detail<'a>(&'a str);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.0)
        }
    }
}
