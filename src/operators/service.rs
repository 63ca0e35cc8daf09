//! The service that the API and the console share. Its actions are in the files beside this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::access::AdminTokens;
use super::feeds::Feeds;
use super::refusal::Refusal;
use crate::delivery::{Directory, Monitor};
use crate::domain::ids::SourceName;
use crate::edge::clock::SharedClock;
use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::sources::{self, Kinds, SourceConfig, SourceKind, SourcePolicy};
use crate::store::Store;

/// The configuration of operators. A reload replaces it.
#[derive(Debug, Default)]
pub struct Rules {
    /// The admin tokens.
    pub tokens: AdminTokens,
    /// True if payloads may be shown.
    pub shows_payloads: bool,
    /// True if the admin listener itself serves TLS.
    pub speaks_tls: bool,
    /// The configured sources.
    pub sources: BTreeMap<SourceName, SourceConfig>,
    /// All kinds of sources, configured or not.
    pub kinds: Kinds,
    /// Hash of what has to be the same on every replica.
    pub config_hash: String,
}

/// Everything that operators can see and do. Clones share one set of rules.
///
/// A store is all it needs: the command line also uses it while no daemon runs. The daemon adds its
/// worker with [`Operators::with_worker`].
#[derive(Debug, Clone)]
pub struct Operators {
    pub(super) store: Store,
    pub(super) worker: Option<Monitor>,
    pub(in crate::operators) directory: Option<Directory>,
    pub(super) clock: SharedClock,
    pub(super) metrics: Metrics,
    pub(super) rules: Live<Rules>,
    pub(super) feeds: Feeds,
    pub(super) started_at: Timestamp,
}

impl Operators {
    /// Builds the service over a store.
    pub fn new(store: Store, clock: SharedClock, metrics: Metrics, rules: Rules) -> Self {
        store.configured(&rules.config_hash);
        Self {
            started_at: clock.now(),
            // Somebody waits for every answer.
            store: store.in_time(),
            worker: None,
            directory: None,
            clock,
            metrics,
            rules: Live::new(rules),
            feeds: Feeds::default(),
        }
    }

    /// Shows and pauses this worker.
    #[must_use]
    pub fn with_worker(self, worker: Monitor) -> Self {
        Self {
            directory: Some(worker.directory()),
            worker: Some(worker),
            ..self
        }
    }

    /// Asks Serval by this directory.
    #[must_use]
    pub fn with_directory(self, directory: Directory) -> Self {
        let directory = Some(directory);
        Self { directory, ..self }
    }

    /// Replaces the rules, for all clones.
    pub fn set_rules(&self, rules: Rules) {
        self.store.configured(&rules.config_hash);
        self.rules.replace(rules);
    }

    /// True if payloads may be shown.
    pub fn shows_payloads(&self) -> bool {
        self.rules.now().shows_payloads
    }

    /// True if the admin listener itself serves TLS.
    pub fn speaks_tls(&self) -> bool {
        self.rules.now().speaks_tls
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> SharedClock {
        Arc::clone(&self.clock)
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Names of the configured sources, sorted.
    pub fn source_names(&self) -> Vec<SourceName> {
        self.rules.now().sources.keys().cloned().collect()
    }

    /// All kinds of sources, configured or not.
    pub fn kinds(&self) -> Kinds {
        self.rules.now().kinds
    }

    /// The rules that are in force now. Work that takes long keeps one value, so that a reload does not
    /// change them in between.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.now()
    }

    /// The settings of a source; `None` if it is no longer configured.
    pub fn policy(&self, source: &SourceName) -> Option<Arc<SourcePolicy>> {
        let rules = self.rules.now();
        let source = rules.sources.get(source);
        source.map(|source| Arc::clone(&source.policy))
    }

    /// The kind of a configured source.
    pub fn kind(&self, source: &str) -> Option<SourceKind> {
        let name: SourceName = source.parse().ok()?;
        self.rules
            .now()
            .sources
            .get(&name)
            .map(|source| source.kind)
    }

    /// Checks that a source is configured.
    pub fn source(&self, name: &str) -> Result<SourceName, Refusal> {
        name.parse()
            .ok()
            .filter(|name| self.rules.now().sources.contains_key(name))
            .ok_or_else(|| Refusal::Missing(format!("no source is named {name:?}")))
    }

    /// Number and title of an external ticket, read from its object.
    pub fn title(&self, source: &str, object: Option<&[u8]>) -> sources::Title {
        self.kind(source)
            .zip(object)
            .map(|(kind, object)| sources::title(kind, object))
            .unwrap_or_default()
    }
}
