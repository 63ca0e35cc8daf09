//! The ways in which a call to Serval can fail.
//!
//! Invariant: no variant holds a credential or a request body, so every error may be stored, shown
//! and logged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::code::Code;

/// Reason why a call to Serval failed, with all that a retry policy needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServalError {
    /// Serval refused the call, in its own form.
    #[error("Serval answered {0}")]
    Refused(Refusal),
    /// Our credentials are not accepted: the token endpoint refused them, or a call with a fresh
    /// token was refused. The call had no effect. Every other call will fail the same way until a
    /// person acts. Has no time to wait.
    #[error("Serval refused our credentials: {0}")]
    CredentialsRefused(Refusal),
    /// The token endpoint failed, so the call was not made. This has nothing to do with the ticket:
    /// every other call would have failed the same way.
    #[error("no token from Serval: {0}")]
    NoToken(Arc<ServalError>),
    /// No answer, or not a complete one.
    #[error("Serval could not be reached: {kind}{}", in_brackets(detail))]
    Network {
        /// The kind of failure.
        kind: NetworkKind,
        /// True unless the request certainly did not reach Serval.
        sent: bool,
        /// The innermost cause, one line. May be empty.
        detail: String,
    },
    /// An answer that is not in Serval's form. A gateway, a proxy or a wrong server may have given it,
    /// so it tells nothing about the ticket.
    #[error("{0}")]
    Foreign(Foreign),
}

/// A refusal in Serval's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The call: its method and its URL, with names instead of ids.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// The code in the body.
    pub code: Code,
    /// Serval's message: one line of at most 500 characters. May be empty.
    pub message: String,
    /// Serval's id of the request, for support.
    pub request_id: Option<String>,
    /// The time that Serval asks us to wait, counted from the answer. At most a day.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn without_message(&self) -> Self {
        Self {
            message: String::new(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Refusal {
    /// `404 not_found: no such ticket (POST https://…/v2/tickets/{ticket}/connect, request id 1f)`,
    /// without the parts that are missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write!(f, " ({}", self.call)?;
        if let Some(id) = &self.request_id {
            write!(f, ", request id {id}")?;
        }
        f.write_str(")")
    }
}

/// An answer that is not in Serval's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The call: its method and its URL, with names instead of ids.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// Kind of the answer, without its content: `a web page (text/html)`.
    pub what: String,
    /// One line of its text, of at most 500 characters. May be empty.
    pub excerpt: String,
    /// The id of the request, if the server gave it one.
    pub request_id: Option<String>,
    /// The time that the answer asks us to wait. At most a day.
    pub retry_after: Option<Duration>,
}

impl Foreign {
    fn without_excerpt(&self) -> Self {
        Self {
            excerpt: String::new(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call, status, what, ..
        } = self;
        write!(
            f,
            "{call} was answered {status} with {what}, which is not Serval's form"
        )?;
        if self.excerpt.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.excerpt)
        }
    }
}

/// Kinds of network failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetworkKind {
    /// The host name did not resolve.
    Dns,
    /// No server listens at the address.
    Refused,
    /// The connection broke.
    Reset,
    /// The TLS handshake failed: a bad certificate, or the server does not speak TLS.
    Tls,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The answer was not complete in time.
    Timeout,
    /// Any other failure.
    Other,
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
    /// The code of a refused call. `None` if the token endpoint refused: its code is not about the
    /// call.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::CredentialsRefused(_)
            | Self::NoToken(_)
            | Self::Network { .. }
            | Self::Foreign(_) => None,
        }
    }

    /// The HTTP status of the answer, also of the token endpoint's.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) | Self::CredentialsRefused(refusal) => Some(refusal.status),
            Self::Foreign(foreign) => Some(foreign.status),
            Self::NoToken(fault) => fault.status(),
            Self::Network { .. } => None,
        }
    }

    /// The time that the answer asks us to wait, counted from it. At most a day.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) | Self::CredentialsRefused(refusal) => refusal.retry_after,
            Self::Foreign(foreign) => foreign.retry_after,
            Self::NoToken(fault) => fault.retry_after(),
            Self::Network { .. } => None,
        }
    }

    /// Serval's id of the request.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) | Self::CredentialsRefused(refusal) => {
                refusal.request_id.as_deref()
            }
            Self::Foreign(foreign) => foreign.request_id.as_deref(),
            Self::NoToken(fault) => fault.request_id(),
            Self::Network { .. } => None,
        }
    }

    /// One line for the log and for pages that need no token. It leaves out the text of the answer,
    /// which may quote the ticket.
    pub fn brief(&self) -> String {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.without_message()).to_string(),
            Self::CredentialsRefused(refusal) => {
                Self::CredentialsRefused(refusal.without_message()).to_string()
            }
            Self::Foreign(foreign) => foreign.without_excerpt().to_string(),
            Self::NoToken(fault) => format!("no token from Serval: {}", fault.brief()),
            Self::Network { .. } => self.to_string(),
        }
    }

    /// One line for operators, with Serval's own message. It holds no secret, but may quote a
    /// ticket: it is stored with the event, and never logged.
    pub fn summary(&self) -> String {
        self.to_string()
    }

    /// True if the call may have taken effect, so that the links must be read before it is made
    /// again: the answer was lost, makes no sense, or has a status that a server or a proxy gives
    /// without knowing the result (408, 499, 5xx).
    pub fn may_have_arrived(&self) -> bool {
        let is_unclear = |status: u16| matches!(status, 200..=299 | 408 | 499) || status >= 500;
        match self {
            Self::Refused(refusal) => is_unclear(refusal.status),
            Self::Foreign(foreign) => is_unclear(foreign.status),
            Self::Network { sent, .. } => *sent,
            Self::CredentialsRefused(_) | Self::NoToken(_) => false,
        }
    }

    /// Turns a refusal of a call into one of our credentials.
    pub(super) fn into_credentials_refused(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::CredentialsRefused(refusal),
            other @ (Self::CredentialsRefused(_)
            | Self::NoToken(_)
            | Self::Network { .. }
            | Self::Foreign(_)) => other,
        }
    }
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    }
}
