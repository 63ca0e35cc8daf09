//! The counters and histograms.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::domain::ids::SourceName;

/// Prefix of our names.
pub(super) const PREFIX: &str = "serval_connect";

/// The source label of webhooks to a path that names no source.
pub const UNKNOWN: &str = "unknown";

/// Buckets of the time to an acknowledgement, in seconds. Senders give up after 3 s and more.
const ACKNOWLEDGEMENT: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0,
];
/// Buckets of the duration of a connect with all its requests, in seconds.
const CONNECT: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0,
];
/// Buckets of the duration of a commit, in seconds: one sync of the disk.
const COMMIT: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
];
/// Buckets of the number of writes in a commit.
const WRITES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// A counter that only sources of one kind have.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceCounter {
    /// Name, without our prefix.
    pub name: &'static str,
    /// Help text.
    pub help: &'static str,
    /// The label beside `source`.
    pub label: &'static str,
    /// Possible values of the label.
    pub words: &'static [&'static str],
}

/// Outcomes of a reload.
const TAKEN: &str = "taken_over";
const REFUSED: &str = "refused";

pub(super) type Word = Cow<'static, str>;
pub(super) type One = [(&'static str, Word); 1];
pub(super) type Two = [(&'static str, Word); 2];
type Histograms = Family<One, Histogram, fn() -> Histogram>;

/// The counters and histograms of one daemon. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) registry: Registry,
    pub(super) webhooks: Family<Two, Counter>,
    pub(super) verification_failures: Family<Two, Counter>,
    pub(super) reused_names: Family<One, Counter>,
    pub(super) acknowledgements: Histograms,
    of_kinds: Vec<(&'static SourceCounter, Family<Two, Counter>)>,
    pub(super) connects: Family<Two, Counter>,
    pub(super) connect_durations: Histograms,
    named_expired: Counter,
    commits: Histogram,
    writes: Histogram,
    pub(super) connections: Family<One, Gauge>,
    pub(super) turned_away: Family<Two, Counter>,
    pub(super) http_refusals: Family<Two, Counter>,
    token_refusals: Counter,
    certificates: Family<One, Gauge>,
    reloads: Family<One, Counter>,
    last_reload: Gauge<f64, AtomicU64>,
    is_last_reload_good: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new([])
    }
}

impl Metrics {
    /// Creates all metrics, and these counters of single kinds of sources.
    pub fn new(of_kinds: impl IntoIterator<Item = &'static SourceCounter>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", version);
        // Each metric is registered where it is made, so none can be forgotten on the page.
        let all = &mut registry;
        let inner = Inner {
            webhooks: kept(
                all,
                "webhooks",
                "Webhooks by source and status of the answer",
            ),
            verification_failures: kept(
                all,
                "verification_failures",
                "Webhooks answered 401, by the cause",
            ),
            reused_names: kept(
                all,
                "webhooks_reused_id",
                "Webhooks with the id of an earlier one and another content; they are stored",
            ),
            acknowledgements: kept_seconds(
                all,
                "acknowledgement_duration",
                "From the headers of a webhook to its acknowledgement, by source",
                Family::new_with_constructor(|| Histogram::new(ACKNOWLEDGEMENT)),
            ),
            of_kinds: of_kinds
                .into_iter()
                .map(|counter| (counter, kept(all, counter.name, counter.help)))
                .collect(),
            connects: kept(
                all,
                "connects",
                "Calls to Serval about an event, by source and outcome",
            ),
            connect_durations: kept_seconds(
                all,
                "connect_duration",
                "Calls to Serval about an event, by outcome",
                Family::new_with_constructor(|| Histogram::new(CONNECT)),
            ),
            named_expired: kept(
                all,
                "named_expired",
                "Events that expired although their payload names a Serval ticket: it could not be used",
            ),
            commits: kept_seconds(
                all,
                "store_commit_duration",
                "Transactions of the store, from begin to the end of the commit",
                Histogram::new(COMMIT),
            ),
            writes: {
                let writes = Histogram::new(WRITES);
                let help = "Writes that shared a transaction";
                all.register("store_commit_writes", help, writes.clone());
                writes
            },
            connections: kept(all, "connections", "Open connections by listener"),
            turned_away: kept(
                all,
                "turned_away",
                "Connections and requests over the limits of a listener",
            ),
            http_refusals: kept(
                all,
                "http_refusals",
                "Requests refused before they reached a webhook's source or the API, by listener and cause",
            ),
            token_refusals: kept(
                all,
                "admin_token_refusals",
                "Calls of the API and logins with a wrong token",
            ),
            certificates: kept_seconds(
                all,
                "tls_certificate_expiry_timestamp",
                "End of the certificate of a listener that speaks TLS, as a Unix time",
                Family::default(),
            ),
            reloads: kept(
                all,
                "config_reloads",
                "Reloads of the configuration since the start, by outcome",
            ),
            last_reload: kept_seconds(
                all,
                "config_last_reload_success_timestamp",
                "Time of the last start or successful reload, as a Unix time",
                Gauge::default(),
            ),
            is_last_reload_good: kept(
                all,
                "config_last_reload_successful",
                "1 unless the last reload was refused",
            ),
            registry,
        };
        for outcome in [TAKEN, REFUSED] {
            add(&inner.reloads, &[("outcome", outcome.into())], 0);
        }
        Self(Arc::new(inner))
    }

    /// Counts an answered webhook. A 2xx counts as its acknowledgement.
    pub fn webhook(&self, source: Option<&SourceName>, status: u16, took: Duration) {
        let source = source.map_or(Word::Borrowed(UNKNOWN), name);
        if (200..300).contains(&status) {
            let labels = [("source", source.clone())];
            observe(&self.0.acknowledgements, &labels, took);
        }
        let labels = [("source", source), ("status", status.to_string().into())];
        add(&self.0.webhooks, &labels, 1);
    }

    /// Counts a webhook whose credential was refused.
    pub fn verification_failed(&self, source: &SourceName, cause: &'static str) {
        let labels = [("source", name(source)), ("cause", cause.into())];
        add(&self.0.verification_failures, &labels, 1);
    }

    /// Counts events that expired although their payloads name a Serval ticket.
    pub fn named_expired(&self, events: u64) {
        self.0.named_expired.inc_by(events);
    }

    /// Counts a webhook whose id had come before with another content.
    pub fn name_reused(&self, source: &SourceName) {
        add(&self.0.reused_names, &[("source", name(source))], 1);
    }

    /// Adds 1 to a counter of one kind.
    pub fn count(&self, counter: &'static SourceCounter, source: &SourceName, word: &'static str) {
        self.count_kind(counter, name(source), word, 1);
    }

    pub(super) fn count_kind(
        &self,
        counter: &'static SourceCounter,
        source: Word,
        word: &'static str,
        n: u64,
    ) {
        let mut of_kinds = self.0.of_kinds.iter();
        if let Some((_, family)) = of_kinds.find(|(known, _)| *known == counter) {
            let labels = [("source", source), (counter.label, word.into())];
            add(family, &labels, n);
        }
    }

    /// Counts a call to Serval.
    pub fn connect(&self, source: &SourceName, outcome: &'static str, took: Duration) {
        let labels = [("source", name(source)), ("outcome", outcome.into())];
        add(&self.0.connects, &labels, 1);
        let labels = [("outcome", outcome.into())];
        observe(&self.0.connect_durations, &labels, took);
    }

    /// Counts a connection to the listener of this name.
    pub fn connection_opened(&self, listener: &'static str) {
        let labels = [("listener", listener.into())];
        self.0.connections.get_or_create(&labels).inc();
    }

    /// Counts the end of a connection.
    pub fn connection_closed(&self, listener: &'static str) {
        let labels = [("listener", listener.into())];
        self.0.connections.get_or_create(&labels).dec();
    }

    /// Counts a `connection` or a `request` over a limit of the listener.
    pub fn turned_away(&self, listener: &'static str, what: &'static str) {
        let labels = [("listener", listener.into()), ("what", what.into())];
        add(&self.0.turned_away, &labels, 1);
    }

    /// Counts a request that a listener refused.
    pub fn http_refused(&self, listener: &'static str, cause: &'static str) {
        let labels = [("listener", listener.into()), ("cause", cause.into())];
        add(&self.0.http_refusals, &labels, 1);
    }

    /// Counts a call of the admin API that was refused for its token.
    pub fn token_refused(&self) {
        self.0.token_refusals.inc();
    }

    /// Records when the certificate of a listener ends; `None`: it has none.
    pub fn certificate_ends(&self, listener: &'static str, at: Option<Timestamp>) {
        let (ends, labels) = (&self.0.certificates, [("listener", listener.into())]);
        match at {
            Some(at) => _ = ends.get_or_create(&labels).set(at.as_second()),
            None => _ = ends.remove(&labels),
        }
    }

    /// Counts a successful reload.
    pub fn reloaded(&self, now: Timestamp) {
        add(&self.0.reloads, &[("outcome", TAKEN.into())], 1);
        self.configured(now);
    }

    /// Records the time of a new configuration. The start calls it, too.
    pub fn configured(&self, now: Timestamp) {
        let since_epoch = Duration::from_millis(now.as_millisecond().unsigned_abs());
        self.0.last_reload.set(since_epoch.as_secs_f64());
        self.0.is_last_reload_good.set(1);
    }

    /// Counts a refused reload.
    pub fn reload_refused(&self) {
        add(&self.0.reloads, &[("outcome", REFUSED.into())], 1);
        self.0.is_last_reload_good.set(0);
    }

    /// Counts a commit and the writes in it.
    pub fn committed(&self, writes: usize, took: Duration) {
        self.0.commits.observe(took.as_secs_f64());
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        self.0.writes.observe(f64::from(writes));
    }
}

pub(super) fn name(source: &SourceName) -> Word {
    source.as_str().to_owned().into()
}

/// Adds `n` to the counter with these labels. 0 creates it.
pub(super) fn add<const N: usize>(
    family: &Family<[(&'static str, Word); N], Counter>,
    labels: &[(&'static str, Word); N],
    n: u64,
) {
    family.get_or_create(labels).inc_by(n);
}

fn observe(family: &Histograms, labels: &One, took: Duration) {
    family.get_or_create(labels).observe(took.as_secs_f64());
}

/// Creates and registers a metric.
fn kept<M: Metric + Clone + Default>(all: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    all.register(name, help, metric.clone());
    metric
}

/// Registers a metric in seconds.
fn kept_seconds<M: Metric + Clone>(all: &mut Registry, name: &str, help: &str, metric: M) -> M {
    all.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}
