//! One source that is ready for webhooks: it verifies a request, then interprets it.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::auth::request::{Refused, Unverified, Verified};
use crate::domain::event::NewEvent;
use crate::domain::ids::ExternalId;

/// A configured sender of webhooks.
pub trait Source: Send + Sync + fmt::Debug {
    /// Authenticates a request over its raw bytes, in constant time.
    fn verify<'a>(&self, request: Unverified<'a>, now: Timestamp) -> Result<Verified<'a>, Refused>;

    /// Judges a request by its headers, before its body is read: a credential that is missing, malformed
    /// or too old, or that is not one of ours, is refused whatever the body. An `Ok` proves nothing.
    fn screen(&self, _headers: &HeaderMap, _now: Timestamp) -> Result<(), Refused> {
        Ok(())
    }

    /// Reads the events of an authentic request.
    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable>;

    /// Reads a body again that was authentic and is stored, with the present configuration.
    fn interpret_again(&self, stored: &StoredBody<'_>) -> Result<Receipt, Unreadable> {
        self.interpret(&Verified::stored(stored.body, None))
    }

    /// Serval's `channelTarget` for this external ticket; `None`: the one of the policy. `is_direct`:
    /// an event told that the messages of its channel are direct.
    fn target(&self, _external_id: &ExternalId, _is_direct: bool) -> Option<Arc<Value>> {
        None
    }

    /// The word under which the kind's counter counts an authentic request with these headers;
    /// `None`: the request is not counted.
    fn counted(&self, _headers: &HeaderMap) -> Option<&'static str> {
        None
    }
}

/// The body of an ignored event, with what is stored about the event.
#[derive(Clone, Copy)]
pub struct StoredBody<'a> {
    /// Body, or of a batch the event's element.
    pub body: &'a [u8],
    /// Type that the event got when it arrived.
    pub event_type: &'a str,
    /// Reason for which it is ignored.
    pub reason: &'a str,
}

/// Content of an authentic request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// Events to store, all or none. May be empty (an empty batch).
    Events(Vec<NewEvent>),
    /// The sender tests the address: answer with this text, store nothing.
    Challenge(String),
}

/// Reason why an authentic body gives no events. Nothing of the body is stored. The text names the
/// place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not in a shape that holds an event: 400.
    #[error("{0}")]
    Body(String),
    /// A record without a usable external id: 422.
    #[error("{detail}")]
    Record {
        /// The record's place in a batch, from 0; `None` outside of a batch.
        index: Option<usize>,
        /// The fault, with the index in a batch.
        detail: String,
    },
}
