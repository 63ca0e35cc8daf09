//! Requests before and after authentication, as types: unverified bytes cannot reach a parser.

use std::fmt;

use http::HeaderMap;

/// A request as it came from the network.
#[derive(Clone, Copy)]
pub struct Unverified<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The `{table}` of `/webhooks/{source}/{table}`, decoded.
    pub table: Option<&'a str>,
    /// Its body, untouched.
    pub body: &'a [u8],
}

impl<'a> Unverified<'a> {
    /// The head of a request whose body is not read yet.
    pub fn head(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            table: None,
            body: &[],
        }
    }

    /// The value of a header that may stand only once: of two, a proxy and we might read different
    /// ones.
    pub fn header(&self, name: &'static str) -> Result<Option<&'a str>, Refused> {
        let malformed = Refused::Malformed { header: name };
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| malformed),
            (Some(_), Some(_)) => Err(malformed),
        }
    }

    /// Declares the request authentic. Only a `verify` may call it. `delivery_id` is the name that
    /// the sender gave the delivery.
    pub fn vouched(self, delivery_id: Option<&'a str>) -> Verified<'a> {
        Verified {
            table: self.table,
            delivery_id,
            body: self.body,
        }
    }
}

/// A request whose sender is known. Made by [`crate::sources::Source::verify`], or from a stored body.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    table: Option<&'a str>,
    delivery_id: Option<&'a str>,
    body: &'a [u8],
}

impl<'a> Verified<'a> {
    /// A body from the store, which was verified before it was stored.
    pub(in crate::sources) fn stored(body: &'a [u8], table: Option<&'a str>) -> Self {
        Self {
            table,
            delivery_id: None,
            body,
        }
    }

    /// The `{table}` of the path.
    pub fn table(&self) -> Option<&'a str> {
        self.table
    }

    /// The `webhook-id` header, where there is one.
    pub fn delivery_id(&self) -> Option<&'a str> {
        self.delivery_id
    }

    /// The raw body.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

impl fmt::Debug for Unverified<'_> {
    /// Without the body and the headers: signatures and tokens are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("table", &self.table)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified<'_> {
    /// Without the body, which is somebody's ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("table", &self.table)
            .field("delivery_id", &self.delivery_id)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Reason why a request is not authentic. The text goes to the log and to the sender; it never holds a
/// secret, a signature or a part of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No credential that this source accepts.
    #[error("no credential: expected {expected}")]
    Missing {
        /// The headers that the source accepts.
        expected: &'static str,
    },
    /// A header that cannot be read.
    #[error("the {header} header is malformed")]
    Malformed {
        /// Its name.
        header: &'static str,
    },
    /// The timestamp is too old.
    #[error(
        "the timestamp is {seconds} s in the past by our clock, more than the {tolerance} s allowed: it was on the way for \
         long, or the sender's clock or ours is wrong"
    )]
    Stale {
        /// Age in seconds.
        seconds: i64,
        /// The source's limit in seconds.
        tolerance: u64,
    },
    /// The timestamp is from the future.
    #[error(
        "the timestamp is {seconds} s in the future by our clock, more than the {tolerance} s allowed: the sender's clock \
         or ours is wrong"
    )]
    Future {
        /// Seconds ahead of our clock.
        seconds: i64,
        /// The source's limit in seconds.
        tolerance: u64,
    },
    /// The signature, token or password is not one of the configured ones.
    #[error("the {what} does not match any configured secret")]
    Mismatch {
        /// `signature`, `bearer token` or `user and password`.
        what: &'static str,
    },
}

impl Refused {
    /// All words of [`cause`](Self::cause).
    pub const CAUSES: [&'static str; 5] = ["missing", "malformed", "stale", "future", "mismatch"];

    /// One word for metrics and logs.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Malformed { .. } => "malformed",
            Self::Stale { .. } => "stale",
            Self::Future { .. } => "future",
            Self::Mismatch { .. } => "mismatch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_part_of_body_and_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer private".parse().unwrap());
        let request = Unverified {
            headers: &headers,
            table: None,
            body: b"private",
        };
        let text = format!("{request:?} {:?}", request.vouched(None));
        assert!(!text.contains("private") && !text.contains("112"), "{text}");
    }
}
