//! Delivery: claims events that are due and makes their connect calls.
//!
//! [`Worker`] keeps the calls going, `queue` claims, [`mod@line`] says whether and how many may be made,
//! [`pace`] how fast, `step` makes one and settles it, [`classify`] reads what came of it.
//!
//! Invariant: a call is made only under a claim, and a claim ends in one settlement. No policy
//! lives here: that is [`crate::domain::delivery`].

mod apart;
mod attempt;
mod call;
pub mod classify;
mod hand;
mod learn;
pub mod line;
mod monitor;
pub mod pace;
mod queue;
mod settings;
mod steering;
mod step;
mod verdict;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::ids::{ExternalId, SourceName};
use crate::store::Decision;
pub use monitor::Monitor;
pub use settings::Settings;
pub use steering::Steering;
pub use worker::Worker;

/// What delivery needs to know about a source.
#[derive(Debug, Clone)]
pub struct SourceRoute {
    /// Serval's `channelTarget`.
    pub channel_target: Arc<Value>,
    /// The same for Slack's direct messages.
    pub direct_message_target: Option<Arc<Value>>,
    /// How long an event waits for its mapping.
    pub park_for: Duration,
    /// Whether an id that a payload names is looked up before it is believed.
    pub verifies_learned: bool,
    /// What happens when it is not the mapped one; `None`: a person decides.
    pub on_conflict: Option<Decision>,
    /// Whether one Serval ticket may have several external tickets of the source.
    pub several_per_ticket: bool,
    /// Whether to look before every connect.
    pub looks_first: bool,
    /// Whether a changed mapping takes the old pair apart.
    pub disconnects_old: bool,
    /// Whether changed records of a connected external ticket are sent again.
    pub reconnects: bool,
    /// Whether all messages that a ticket has are accounted for.
    pub accounts_for_all: bool,
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

impl SourceRoute {
    /// The id of the integration behind the target, by which Serval names the source when a pair
    /// is taken apart.
    pub fn integration_id(&self, external_id: &ExternalId) -> Option<String> {
        let target = self.target(external_id);
        let kind = target.as_object()?.values().next()?;
        ["integrationId", "ticketSourceId"]
            .iter()
            .find_map(|key| Some(kind.get(*key)?.as_str()?.to_owned()))
    }
}

/// The routes of all configured sources.
pub type Routes = BTreeMap<SourceName, SourceRoute>;
