//! The numbers that operators watch, in the text form of `OpenMetrics`.
//!
//! Counters and histograms are kept where things happen; levels (what is queued, how old it is, how
//! large the files are) are handed in at each scrape. Nothing is global: a daemon has one
//! [`Metrics`], and two daemons in one process do not mix.
//!
//! Invariant: no label has a value from outside. Sources are named by the configuration, all else
//! by words of this program.

mod process;
mod scrape;
mod start;

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
use prometheus_client::registry::{Registry, Unit};

use crate::domain::ids::SourceName;
pub use scrape::{Breaker, Scrape, StoreLevels};
pub use start::Words;

/// Before every name that is ours.
const PREFIX: &str = "serval_connect";

/// The label of webhooks to a path that names no source.
pub const UNKNOWN: &str = "unknown";

/// Seconds to the acknowledgement. Slack gives up after three.
const ACKNOWLEDGEMENT: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0,
];
/// Seconds of a call to Serval, up to a whole exchange of calls.
const CONNECT: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0,
];
/// Seconds of a commit: one sync of the disk.
const COMMIT: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
];
/// Writes that shared a commit, up to the most that may.
const WRITES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The reasons that Slack documents for `X-Slack-Retry-Reason`.
const RETRY_REASONS: [&str; 6] = [
    "http_timeout",
    "too_many_redirects",
    "connection_failed",
    "ssl_error",
    "http_error",
    "unknown_error",
];

/// The outcomes of a reload.
const TAKEN: &str = "taken_over";
const REFUSED: &str = "refused";

type Word = Cow<'static, str>;
type One = [(&'static str, Word); 1];
type Two = [(&'static str, Word); 2];
type Histograms = Family<One, Histogram, fn() -> Histogram>;

/// The numbers of one daemon. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    webhooks: Family<Two, Counter>,
    verification_failures: Family<Two, Counter>,
    acknowledgements: Histograms,
    slack_retries: Family<Two, Counter>,
    connects: Family<Two, Counter>,
    connect_durations: Histograms,
    commits: Histogram,
    writes: Histogram,
    connections: Family<One, Gauge>,
    turned_away: Family<Two, Counter>,
    token_refusals: Family<One, Counter>,
    reloads: Family<One, Counter>,
    last_reload: Gauge<f64, AtomicU64>,
    is_last_reload_good: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let inner = Inner {
            registry: Registry::with_prefix(PREFIX),
            webhooks: Family::default(),
            verification_failures: Family::default(),
            acknowledgements: Family::new_with_constructor(|| Histogram::new(ACKNOWLEDGEMENT)),
            slack_retries: Family::default(),
            connects: Family::default(),
            connect_durations: Family::new_with_constructor(|| Histogram::new(CONNECT)),
            commits: Histogram::new(COMMIT),
            writes: Histogram::new(WRITES),
            connections: Family::default(),
            turned_away: Family::default(),
            token_refusals: Family::default(),
            reloads: Family::default(),
            last_reload: Gauge::default(),
            is_last_reload_good: Gauge::default(),
        };
        Self(Arc::new(inner.registered()))
    }
}

impl Inner {
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", version);
        registry.register(
            "webhooks",
            "Webhooks by source and status of the answer",
            self.webhooks.clone(),
        );
        registry.register(
            "verification_failures",
            "Webhooks answered 401, by what was wrong with their credential",
            self.verification_failures.clone(),
        );
        registry.register_with_unit(
            "acknowledgement_duration",
            "From the headers of a webhook to its acknowledgement, by source",
            Unit::Seconds,
            self.acknowledgements.clone(),
        );
        registry.register(
            "slack_retries",
            "Authentic webhooks that Slack sent again, by the reason it gave",
            self.slack_retries.clone(),
        );
        registry.register(
            "connects",
            "Calls to Serval about an event, by source and outcome",
            self.connects.clone(),
        );
        registry.register_with_unit(
            "connect_duration",
            "Calls to Serval about an event, by outcome",
            Unit::Seconds,
            self.connect_durations.clone(),
        );
        registry.register_with_unit(
            "store_commit_duration",
            "Transactions of the store, from begin to the end of the commit",
            Unit::Seconds,
            self.commits.clone(),
        );
        registry.register(
            "store_commit_writes",
            "Writes that shared a transaction",
            self.writes.clone(),
        );
        registry.register(
            "connections",
            "Open connections by listener",
            self.connections.clone(),
        );
        registry.register(
            "turned_away",
            "Connections and requests beyond the limits of a listener",
            self.turned_away.clone(),
        );
        for cause in ["unknown", "throttled"] {
            self.token_refusals
                .get_or_create(&[("cause", cause.into())])
                .inc_by(0);
        }
        registry.register(
            "admin_token_refusals",
            "Calls of the API with a wrong token, or from an address with too many of them",
            self.token_refusals.clone(),
        );
        for outcome in [TAKEN, REFUSED] {
            self.reloads
                .get_or_create(&[("outcome", outcome.into())])
                .inc_by(0);
        }
        registry.register(
            "config_reloads",
            "Reloads of the configuration since the start, by outcome",
            self.reloads.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When a configuration was last taken over, the start included, as a Unix time",
            Unit::Seconds,
            self.last_reload.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "1 unless the last reload was refused",
            self.is_last_reload_good.clone(),
        );
        self
    }
}

impl Metrics {
    /// A webhook was answered. A 2xx counts as its acknowledgement.
    pub fn webhook(&self, source: Option<&SourceName>, status: u16, took: Duration) {
        let source = source.map_or(Word::Borrowed(UNKNOWN), name);
        if (200..300).contains(&status) {
            let labels = [("source", source.clone())];
            let histogram = self.0.acknowledgements.get_or_create(&labels);
            histogram.observe(took.as_secs_f64());
        }
        let labels = [("source", source), ("status", status.to_string().into())];
        self.0.webhooks.get_or_create(&labels).inc();
    }

    /// A webhook's credential was refused.
    pub fn verification_failed(&self, source: &SourceName, cause: &'static str) {
        let labels = [("source", name(source)), ("cause", cause.into())];
        self.0.verification_failures.get_or_create(&labels).inc();
    }

    /// Slack sent an authentic webhook again, and said why.
    pub fn slack_retried(&self, source: &SourceName, said: Option<&str>) {
        let mut known = RETRY_REASONS.into_iter();
        let word = known.find(|known| Some(*known) == said).unwrap_or("other");
        let labels = [("source", name(source)), ("reason", word.into())];
        self.0.slack_retries.get_or_create(&labels).inc();
    }

    /// A call to Serval ended.
    pub fn connect(&self, source: &SourceName, outcome: &'static str, took: Duration) {
        let labels = [("source", name(source)), ("outcome", outcome.into())];
        self.0.connects.get_or_create(&labels).inc();
        let labels = [("outcome", outcome.into())];
        let histogram = self.0.connect_durations.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// A peer connected to the listener of this name.
    pub fn connection_opened(&self, listener: &'static str) {
        self.0
            .connections
            .get_or_create(&[("listener", listener.into())])
            .inc();
    }

    /// A connection ended.
    pub fn connection_closed(&self, listener: &'static str) {
        self.0
            .connections
            .get_or_create(&[("listener", listener.into())])
            .dec();
    }

    /// A listener had no room for a `connection` or a `request`.
    pub fn turned_away(&self, listener: &'static str, what: &'static str) {
        let labels = [("listener", listener.into()), ("what", what.into())];
        self.0.turned_away.get_or_create(&labels).inc();
    }

    /// A call of the admin API was refused for its token.
    pub fn token_refused(&self, cause: &'static str) {
        self.0
            .token_refusals
            .get_or_create(&[("cause", cause.into())])
            .inc();
    }

    /// A reload was taken over.
    pub fn reloaded(&self, now: Timestamp) {
        self.0
            .reloads
            .get_or_create(&[("outcome", TAKEN.into())])
            .inc();
        self.configured(now);
    }

    /// A configuration is in force, at the start.
    pub fn configured(&self, now: Timestamp) {
        let millis = now.as_millisecond();
        self.0
            .last_reload
            .set(Duration::from_millis(millis.unsigned_abs()).as_secs_f64());
        self.0.is_last_reload_good.set(1);
    }

    /// A reload was refused.
    pub fn reload_refused(&self) {
        self.0
            .reloads
            .get_or_create(&[("outcome", REFUSED.into())])
            .inc();
        self.0.is_last_reload_good.set(0);
    }

    /// A transaction was committed, with so many writes in it.
    pub fn committed(&self, writes: usize, took: Duration) {
        self.0.commits.observe(took.as_secs_f64());
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        self.0.writes.observe(f64::from(writes));
    }
}

fn name(source: &SourceName) -> Word {
    source.as_str().to_owned().into()
}

#[cfg(test)]
mod tests;
