//! What a person may see and do, and its rules, whichever door it comes through: the API or the console.
//!
//! Invariant: a rule stands here once. The doors read what was sent and show what came of it; what is
//! refused is refused here, in words for people, and what is done is written to the audit list here.

mod access;
mod act;
mod events;
mod health;
mod mappings;
mod refusal;
mod throttle;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::SharedClock;
use crate::delivery::Monitor;
use crate::domain::ids::{ExternalId, ExternalTicket, SourceKind, SourceName};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::sources;
use crate::store::Store;
pub(crate) use access::fingerprint;
pub use access::{Access, AdminTokens, Fingerprint, Operator, is_loopback_host};
pub use act::Why;
pub use events::one_spelling;
pub use health::problems;
pub use mappings::MapTicket;
pub(crate) use mappings::{message_ids, taken};
pub use refusal::Refusal;
use throttle::Throttle;

/// What of a source's configuration decides about actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The system behind it.
    pub kind: SourceKind,
    /// Whether a changed mapping takes the old pair apart at Serval.
    pub disconnects_old: bool,
    /// Whether one Serval ticket may have several external tickets of the source.
    pub several_per_ticket: bool,
}

/// What the configuration says about operators; changes with a reload.
#[derive(Debug, Default)]
pub struct Rules {
    /// Who may do what.
    pub tokens: AdminTokens,
    /// Whether payloads are shown.
    pub shows_payloads: bool,
    /// Whether the listener speaks TLS by itself.
    pub speaks_tls: bool,
    /// The configured sources.
    pub sources: HashMap<SourceName, Policy>,
}

/// Where operators act. Clones share what is in force.
#[derive(Debug, Clone)]
pub struct Desk {
    store: Store,
    monitor: Monitor,
    clock: SharedClock,
    metrics: Metrics,
    rules: Live<Rules>,
    throttle: Arc<Throttle>,
}

impl Desk {
    /// Over the daemon's parts.
    pub fn new(
        store: Store,
        monitor: Monitor,
        clock: SharedClock,
        metrics: Metrics,
        rules: Rules,
    ) -> Self {
        Self {
            store,
            monitor,
            clock,
            metrics,
            rules: Live::new(rules),
            throttle: Arc::default(),
        }
    }

    /// Goes by other rules from now on.
    pub fn follow(&self, rules: Rules) {
        self.rules.replace(rules);
    }

    /// Whether payloads are shown at all.
    pub fn shows_payloads(&self) -> bool {
        self.rules.now().shows_payloads
    }

    /// Whether the listener speaks TLS by itself.
    pub fn speaks_tls(&self) -> bool {
        self.rules.now().speaks_tls
    }

    /// The store, to read.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The worker, to look at.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The names of the configured sources, in their order.
    pub fn source_names(&self) -> Vec<SourceName> {
        let mut names: Vec<_> = self.rules.now().sources.keys().cloned().collect();
        names.sort();
        names
    }

    /// The system behind a source, if it is configured.
    pub fn kind(&self, source: &str) -> Option<SourceKind> {
        let name: SourceName = source.parse().ok()?;
        self.rules
            .now()
            .sources
            .get(&name)
            .map(|policy| policy.kind)
    }

    /// A configured source.
    pub fn source(&self, name: &str) -> Result<SourceName, Refusal> {
        name.parse()
            .ok()
            .filter(|name| self.rules.now().sources.contains_key(name))
            .ok_or_else(|| Refusal::Missing(format!("no source is named {name:?}")))
    }

    /// An external ticket of a configured source.
    pub fn ticket(&self, name: &str, external_id: &str) -> Result<ExternalTicket, Refusal> {
        let source = self.source(name)?;
        let external_id = self
            .policy(source.as_str())
            .kind
            .parse_external_id(external_id)
            .map_err(|error| Refusal::Invalid(error.to_string()))?;
        Ok(ExternalTicket {
            source,
            external_id,
        })
    }

    /// An external ticket. Of a source that is not configured any more, as it was stored: it can
    /// still be looked at and erased.
    pub fn stored_ticket(&self, name: &str, external_id: &str) -> Result<ExternalTicket, Refusal> {
        match name.parse() {
            Ok(source) if !self.rules.now().sources.contains_key(&source) => Ok(ExternalTicket {
                source,
                external_id: ExternalId::from_store(external_id.to_owned()),
            }),
            Ok(_) | Err(_) => self.ticket(name, external_id),
        }
    }

    /// What people call the external ticket whose object this is.
    pub fn title(&self, source: &str, object: Option<&[u8]>) -> sources::Title {
        self.kind(source)
            .zip(object)
            .map(|(kind, object)| sources::title(kind, object))
            .unwrap_or_default()
    }

    /// The policy for a source; of one that is not configured any more, the careful one.
    fn policy(&self, source: &str) -> Policy {
        let name: Option<SourceName> = source.parse().ok();
        let known = name.and_then(|name| self.rules.now().sources.get(&name).copied());
        known.unwrap_or(Policy {
            kind: SourceKind::ServiceNow,
            disconnects_old: false,
            several_per_ticket: false,
        })
    }
}
