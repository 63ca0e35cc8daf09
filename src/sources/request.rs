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
    /// Vouches for the request. `delivery_id` is the name that its sender gave the delivery.
    pub(super) fn vouched(self, delivery_id: Option<&'a str>) -> Verified<'a> {
        Verified {
            table: self.table,
            delivery_id,
            body: self.body,
        }
    }
}

/// A request whose sender is known. Made by [`super::Source::verify`] only.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    table: Option<&'a str>,
    delivery_id: Option<&'a str>,
    body: &'a [u8],
}

impl<'a> Verified<'a> {
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
