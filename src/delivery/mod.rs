//! Delivery: claims events that are due and makes their connect calls.
//!
//! [`Worker`] claims and keeps the calls going, [`mod@line`] says whether and how many may be made,
//! [`pace`] how fast, `step` makes one and settles it, [`classify`] reads what came of it.
//!
//! Invariant: a call is made only under a claim, and a claim ends in one settlement. No policy
//! lives here: that is [`crate::domain::delivery`].

pub mod classify;
pub mod line;
pub mod pace;
mod step;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::ids::{ExternalId, SourceName};
pub use worker::{Monitor, Settings, Worker};

/// What delivery needs to know about a source.
#[derive(Debug, Clone)]
pub struct SourceRoute {
    /// Serval's `channelTarget`.
    pub channel_target: Arc<Value>,
    /// The same for Slack's direct messages.
    pub direct_message_target: Option<Arc<Value>>,
    /// How long an event waits for its mapping.
    pub park_for: Duration,
}

impl SourceRoute {
    /// The target for an external ticket. Slack's direct messages have ids that begin with `D`;
    /// no `sys_id` does, being lower-case.
    pub fn target(&self, external_id: &ExternalId) -> Arc<Value> {
        match &self.direct_message_target {
            Some(target) if external_id.as_str().starts_with('D') => Arc::clone(target),
            _ => Arc::clone(&self.channel_target),
        }
    }
}

/// The routes of all configured sources.
pub type Routes = BTreeMap<SourceName, SourceRoute>;
