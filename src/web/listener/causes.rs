//! Names the cause when a connection ends without a request: from its first bytes and the fault that
//! was found.

/// First bytes of a connection that are kept: enough to tell what speaks there.
pub(super) const OPENING: usize = 16;

/// A fault of a connection, as the HTTP or TLS library reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The TLS handshake failed.
    Handshake,
    /// The head of a request did not arrive in time.
    Slow,
    /// The peer did not read its answer in time.
    Unread,
    /// The head of a request is larger than our limits.
    TooLarge,
    /// HTTP/2 arrived.
    Http2,
    /// The peer ended its side in the head of a request.
    Incomplete,
    /// Something else than HTTP arrived.
    NotHttp,
    /// The peer went away.
    Gone,
}

/// Cause and text of a refusal.
pub(super) type Cause = (&'static str, &'static str);

const PROXY: Cause = (
    "proxy_protocol",
    "a header of the PROXY protocol arrived, which is not spoken here; switch it off at the load balancer",
);
const HTTP2: Cause = (
    "http2",
    "HTTP/2 arrived without a word before; only HTTP/1.1 is spoken here",
);
const TLS: Cause = (
    "tls",
    "TLS arrived, but no certificate is configured for this listener; send plain HTTP or set tls_cert_file",
);
const NO_TLS: Cause = (
    "no_tls",
    "plain HTTP arrived, but this listener speaks TLS; use https://",
);
const HANDSHAKE: Cause = ("tls_handshake", "the TLS handshake failed");
const SLOW: Cause = (
    "head_slow",
    "the headers of a request took longer than server.read_timeout",
);
const UNREAD: Cause = (
    "answer_not_read",
    "the peer did not read its answer within server.read_timeout",
);
const TOO_LARGE: Cause = (
    "head_too_large",
    "a request has too many headers, or they or its URL are too long",
);
const INCOMPLETE: Cause = (
    "head_incomplete",
    "the peer ended the connection in the headers of a request",
);
const NOT_HTTP: Cause = ("not_http", "what arrived is not HTTP/1.1");

/// Causes of all refusals that are counted by listener.
pub const ALL: [&str; 26] = [
    PROXY.0,
    HTTP2.0,
    TLS.0,
    NO_TLS.0,
    HANDSHAKE.0,
    SLOW.0,
    UNREAD.0,
    TOO_LARGE.0,
    INCOMPLETE.0,
    NOT_HTTP.0,
    "accept",
    "no_host",
    "not_found",
    "method",
    "media_type",
    "compressed",
    "body_too_large",
    "body_slow",
    "body_incomplete",
    "connection_limit",
    "request_limit",
    "memory",
    "token",
    "scope",
    "foreign_host",
    "cross_site",
];

/// Tells why a connection was ended; `None`: nothing was refused. `is_first`: no request came before.
/// `opening` is empty if the fault was found inside TLS.
pub(super) fn cause(opening: &[u8], is_first: bool, fault: Fault) -> Option<Cause> {
    const PROXY_1: &[u8] = b"PROXY ";
    const PROXY_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    const { assert!(PREFACE.len() <= OPENING && PROXY_2.len() <= OPENING) };
    if fault == Fault::Gone {
        return None;
    }
    if is_first {
        // Only the first bytes of a connection tell which protocol is spoken: later ones belong to
        // a connection that has spoken HTTP already. They come before the fault that the library
        // reports, which is the same for all of these.
        let is_http = opening.iter().take(3).all(u8::is_ascii_uppercase);
        if opening.starts_with(PROXY_1) || opening.starts_with(PROXY_2) {
            return Some(PROXY);
        }
        if opening.starts_with(PREFACE) {
            return Some(HTTP2);
        }
        if opening.starts_with(&[0x16, 0x03]) && fault == Fault::NotHttp {
            return Some(TLS);
        }
        if is_http && fault == Fault::Handshake {
            return Some(NO_TLS);
        }
    }
    Some(match fault {
        Fault::Handshake => HANDSHAKE,
        Fault::Slow => SLOW,
        Fault::Unread => UNREAD,
        Fault::TooLarge => TOO_LARGE,
        Fault::Http2 => HTTP2,
        Fault::Incomplete => INCOMPLETE,
        Fault::NotHttp => NOT_HTTP,
        Fault::Gone => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_named() {
        let hello = b"\x16\x03\x01\x02\x00\x01";
        let proxy_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";
        for (opening, is_first, fault, expected) in [
            (&b"PROXY TCP4 192.0"[..], true, Fault::NotHttp, Some(PROXY)),
            (b"PROXY UNKNOWN\r\nG", true, Fault::NotHttp, Some(PROXY)),
            (b"PROXY TCP4", true, Fault::Slow, Some(PROXY)),
            (b"PROXY TCP4", true, Fault::Handshake, Some(PROXY)),
            (proxy_2, true, Fault::NotHttp, Some(PROXY)),
            (proxy_2, true, Fault::Handshake, Some(PROXY)),
            (&proxy_2[..11], true, Fault::NotHttp, Some(NOT_HTTP)),
            (b"PROXYTCP4 192.0", true, Fault::NotHttp, Some(NOT_HTTP)),
            // Later bytes are those of a request.
            (b"PROXY TCP4 192.0", false, Fault::NotHttp, Some(NOT_HTTP)),
            (b"PRI * HTTP/2.0\r\n", true, Fault::NotHttp, Some(HTTP2)),
            (b"PRI * HTTP/2.0\r\n", true, Fault::Handshake, Some(HTTP2)),
            // Without a handshake: the listener does not speak TLS.
            (hello, true, Fault::NotHttp, Some(TLS)),
            (hello, true, Fault::Handshake, Some(HANDSHAKE)),
            (hello, true, Fault::Slow, Some(SLOW)),
            (hello, false, Fault::NotHttp, Some(NOT_HTTP)),
            (b"GET / HTTP/1.1\r\n", true, Fault::Handshake, Some(NO_TLS)),
            (b"GET / HTTP/1.1\r\n", true, Fault::Slow, Some(SLOW)),
            (b"GET /heal", true, Fault::Incomplete, Some(INCOMPLETE)),
            (b"GET /heal", false, Fault::Incomplete, Some(INCOMPLETE)),
            (b"PROXY TCP4", true, Fault::Incomplete, Some(PROXY)),
            (b"POST /webhooks/s", true, Fault::TooLarge, Some(TOO_LARGE)),
            (b"POST /webhooks/s", false, Fault::TooLarge, Some(TOO_LARGE)),
            (b"\0\0\0\0", true, Fault::NotHttp, Some(NOT_HTTP)),
            // Inside TLS.
            (b"", true, Fault::NotHttp, Some(NOT_HTTP)),
            (b"", true, Fault::Http2, Some(HTTP2)),
            (b"", true, Fault::TooLarge, Some(TOO_LARGE)),
            (b"", true, Fault::Gone, None),
            (b"PROXY TCP4 192.0", true, Fault::Gone, None),
        ] {
            let found = cause(opening, is_first, fault);
            assert_eq!(found, expected, "{opening:?} {is_first} {fault:?}");
        }
    }
}
