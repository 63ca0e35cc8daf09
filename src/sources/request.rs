//! Requests before and after authentication, as types: unverified bytes cannot reach a parser.

use http::HeaderMap;

/// A request as it came from the network.
#[derive(Debug, Clone, Copy)]
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
#[derive(Debug, Clone, Copy)]
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
