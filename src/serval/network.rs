//! Finds the kind of a network failure among the causes of a client error.

use std::error::Error;
use std::io::{self, ErrorKind};

use super::error::{NetworkKind, ServalError};
use super::refusal::one_line;

/// Longest cause that is kept, in characters.
const MAX_DETAIL: usize = 200;

/// The error for a request without a complete answer.
pub(super) fn fault(error: &reqwest::Error) -> ServalError {
    ServalError::Network {
        kind: kind(error),
        // Only an error before the request line proves that nothing was sent.
        sent: !(error.is_connect() || error.is_builder()),
        detail: one_line(&innermost(error), MAX_DETAIL),
    }
}

fn kind(error: &reqwest::Error) -> NetworkKind {
    if error.is_dns() {
        return NetworkKind::Dns;
    }
    if error.is_timeout() {
        return if error.is_connect() {
            NetworkKind::ConnectTimeout
        } else {
            NetworkKind::Timeout
        };
    }
    causes(error)
        .find_map(|cause| cause_kind(cause, error.is_connect()))
        .unwrap_or(NetworkKind::Other)
}

fn cause_kind(cause: &(dyn Error + 'static), connecting: bool) -> Option<NetworkKind> {
    if cause.is::<rustls::Error>() {
        return Some(NetworkKind::Tls);
    }
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        // An I/O error leaves the error that it wraps out of the chain of causes.
        let inner = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
        return inner
            .and_then(|inner| cause_kind(inner, connecting))
            .or_else(|| io_kind(io, connecting));
    }
    // The client's own error type is private, so its text is all there is.
    let text = cause.to_string();
    (text.contains("connection closed") || text.contains("end of file"))
        .then_some(NetworkKind::Reset)
}

fn io_kind(error: &io::Error, connecting: bool) -> Option<NetworkKind> {
    const BROKEN: [ErrorKind; 5] = [
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::BrokenPipe,
        ErrorKind::NotConnected,
        ErrorKind::UnexpectedEof,
    ];
    let kind = error.kind();
    if kind == ErrorKind::ConnectionRefused {
        Some(NetworkKind::Refused)
    } else if kind == ErrorKind::UnexpectedEof && connecting {
        // While connecting, only the TLS handshake reads, so only it can meet an end of file.
        Some(NetworkKind::Tls)
    } else {
        BROKEN.contains(&kind).then_some(NetworkKind::Reset)
    }
}

/// The causes of an error, outermost first, without the error itself (whose text has the URL).
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| {
        let cause: &'a (dyn Error + 'static) = *cause;
        cause.source()
    })
}

fn innermost(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
