//! The page of one scrape: the counters, and the current levels.
//!
//! The levels get a new registry for each scrape, so that a removed state or source leaves no series
//! behind.

use std::sync::atomic::AtomicU64;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::classic::classic;
use super::counters::{Metrics, One, PREFIX, Two};
use crate::domain::words::words;

/// Format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text format of Prometheus, version 0.0.4.
    Classic,
    /// `OpenMetrics`, version 1.0.0.
    OpenMetrics,
}

/// The current levels.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// True if `/readyz` answers 200.
    pub is_ready: bool,
    /// State of the circuit breaker.
    pub breaker: Breaker,
    /// True while calls are held because Serval refuses our credentials.
    pub is_held: bool,
    /// True while an operator has paused the calls.
    pub is_paused: bool,
    /// True if this process makes the calls.
    pub leads: bool,
    /// Number of processes that share the database, this one included.
    pub replicas_alive: i64,
    /// Requests in flight by listener. Requests that need no slot are left out.
    pub requests_in_flight: Vec<(&'static str, usize)>,
    /// Memory that the bodies of webhooks take, in bytes.
    pub body_bytes: usize,
    /// Calls to Serval in flight.
    pub calls_in_flight: usize,
    /// Token requests since the start.
    pub token_refreshes: u64,
    /// True if the last write failed.
    pub is_store_failing: bool,
    /// Writes that wait for the writer.
    pub queue_depth: usize,
    /// Size of the database, in bytes.
    pub database_bytes: u64,
    /// Size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// The last step of the clock: what it showed after it, and its length in milliseconds.
    pub clock_step: Option<(Timestamp, i64)>,
    /// Feeds of the sources.
    pub feeds: Vec<FeedLevels>,
    /// Levels of the store; `None` if it cannot be read.
    pub store: Option<StoreLevels>,
}

words! {
    /// State of the circuit breaker.
    #[derive(Default)]
    pub enum Breaker {
        /// Calls are made.
        #[default]
        Closed = "closed",
        /// Calls are made; events that wait after a failure are probed.
        Suspect = "suspect",
        /// Only probes are made.
        Open = "open",
    }
}

/// Feed of one source.
#[derive(Debug, Clone, Default)]
pub struct FeedLevels {
    /// Name of the source.
    pub source: String,
    /// Time of the last accepted webhook, as a Unix time; 0: there was none.
    pub last_webhook_at: f64,
    /// Possible troubles, and which of them it has.
    pub troubles: Vec<(&'static str, bool)>,
}

/// Levels of the store.
#[derive(Debug, Clone, Default)]
pub struct StoreLevels {
    /// Events by source and state.
    pub events: Vec<(String, &'static str, i64)>,
    /// Seconds since the oldest due event became due; 0: none is due.
    pub oldest_due_seconds: f64,
    /// Age of the oldest parked event, in seconds; 0: none is parked.
    pub oldest_parked_seconds: f64,
    /// Age of the oldest parked event whose payload names a Serval ticket, in seconds; 0: none is parked.
    pub oldest_named_parked_seconds: f64,
    /// Claims that have run out.
    pub overdue_claims: i64,
}

impl Metrics {
    /// The whole page.
    pub fn render(&self, scrape: &Scrape, format: Format) -> String {
        let mut levels = Registry::with_prefix(PREFIX);
        delivery(&mut levels, scrape);
        requests(&mut levels, scrape);
        files(&mut levels, scrape);
        clock(&mut levels, scrape);
        feeds(&mut levels, scrape);
        if let Some(store) = &scrape.store {
            events(&mut levels, store);
        }
        // By convention the figures of a process have the same names for every program: no prefix.
        #[cfg_attr(
            not(target_os = "linux"),
            expect(unused_mut, reason = "there is no /proc")
        )]
        let mut own = Registry::default();
        #[cfg(target_os = "linux")]
        super::process::register(&mut own);
        let mut page = String::with_capacity(16 * 1024);
        for registry in [&self.0.registry, &levels, &own] {
            text::encode_registry(&mut page, registry).expect("a String takes all");
        }
        text::encode_eof(&mut page).expect("a String takes all");
        match format {
            Format::Classic => classic(&page),
            Format::OpenMetrics => page,
        }
    }
}

fn delivery(levels: &mut Registry, scrape: &Scrape) {
    let switch = |is_on: bool| ConstGauge::new(i64::from(is_on));
    levels.register(
        "ready",
        "1 while webhooks are stored and events move",
        switch(scrape.is_ready),
    );
    let breaker = Family::<One, Gauge>::default();
    // One series for each state, so that a graph and an alert need no numbers with a meaning.
    for state in Breaker::ALL {
        let gauge = breaker.get_or_create_owned(&[("state", state.as_str().into())]);
        gauge.set(i64::from(state == scrape.breaker));
    }
    levels.register(
        "breaker_state",
        "1 for the current state of the circuit breaker",
        breaker,
    );
    levels.register(
        "held",
        "1 while calls are held because Serval refuses our credentials",
        switch(scrape.is_held),
    );
    levels.register(
        "paused",
        "1 while an operator has paused the calls",
        switch(scrape.is_paused),
    );
    levels.register(
        "replica_leads",
        "1 while this process makes the calls to Serval; of the replicas of a database, one does",
        switch(scrape.leads),
    );
    levels.register(
        "replicas_alive",
        "Processes that share the database, this one included",
        ConstGauge::new(scrape.replicas_alive),
    );
    levels.register(
        "calls_in_flight",
        "Calls to Serval in flight",
        ConstGauge::new(number(scrape.calls_in_flight)),
    );
    levels.register(
        "token_refreshes",
        "Token requests to Serval",
        ConstCounter::new(scrape.token_refreshes),
    );
}

fn requests(levels: &mut Registry, scrape: &Scrape) {
    let requests = Family::<One, Gauge>::default();
    for (listener, n) in &scrape.requests_in_flight {
        let gauge = requests.get_or_create_owned(&[("listener", (*listener).into())]);
        gauge.set(number(*n));
    }
    levels.register(
        "requests_in_flight",
        "Webhooks and API calls in flight, by listener",
        requests,
    );
    levels.register_with_unit(
        "webhook_bodies",
        "Memory that the bodies of webhooks take now",
        Unit::Bytes,
        ConstGauge::new(number(scrape.body_bytes)),
    );
}

fn files(levels: &mut Registry, scrape: &Scrape) {
    levels.register(
        "store_failing",
        "1 while writes to the database fail",
        ConstGauge::new(i64::from(scrape.is_store_failing)),
    );
    levels.register(
        "store_queue_depth",
        "Writes that wait for the writer",
        ConstGauge::new(number(scrape.queue_depth)),
    );
    for (name, help, bytes) in [
        ("database_size", "The database file", scrape.database_bytes),
        (
            "database_wal_size",
            "The write-ahead log beside the database",
            scrape.wal_bytes,
        ),
    ] {
        let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
        levels.register_with_unit(name, help, Unit::Bytes, gauge);
    }
}

fn clock(levels: &mut Registry, scrape: &Scrape) {
    let step = scrape.clock_step;
    let at = step.map_or(0.0, |(at, _)| at.as_duration().as_secs_f64());
    let length = SignedDuration::from_millis(step.map_or(0, |(_, length)| length));
    for (name, help, seconds) in [
        (
            "clock_step",
            "Length of the last step of the clock, or of the time that the daemon was off; negative: back",
            length.as_secs_f64(),
        ),
        (
            "clock_step_timestamp",
            "Time of the last step of the clock, as a Unix time; 0: there was none",
            at,
        ),
    ] {
        levels.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds));
    }
}

fn feeds(levels: &mut Registry, scrape: &Scrape) {
    let last = Family::<One, Gauge<f64, AtomicU64>>::default();
    let troubles = Family::<Two, Gauge>::default();
    for feed in &scrape.feeds {
        let source = || ("source", feed.source.clone().into());
        // A source that never sent anything has the value 0, not no series: an alert about a
        // missing series would fire without end after a source was removed.
        last.get_or_create(&[source()]).set(feed.last_webhook_at);
        for (trouble, is_on) in &feed.troubles {
            let labels = [source(), ("trouble", (*trouble).into())];
            troubles.get_or_create(&labels).set(i64::from(*is_on));
        }
    }
    levels.register_with_unit(
        "last_webhook_timestamp",
        "Arrival of the last accepted webhook by source, as a Unix time; 0: none came yet",
        Unit::Seconds,
        last,
    );
    levels.register(
        "source_trouble",
        "1 for the trouble that a source has: its webhooks do not come, or not all of them",
        troubles,
    );
}

fn events(levels: &mut Registry, store: &StoreLevels) {
    let events = Family::<Two, Gauge>::default();
    for (source, state, n) in &store.events {
        let labels = [
            ("source", source.clone().into()),
            ("state", (*state).into()),
        ];
        events.get_or_create(&labels).set(*n);
    }
    levels.register("events", "Stored events by source and state", events);
    for (name, help, seconds) in [
        (
            "oldest_due_age",
            "Time since the oldest due event became due",
            store.oldest_due_seconds,
        ),
        (
            "oldest_parked_age",
            "Time that the oldest parked event has waited for its mapping",
            store.oldest_parked_seconds,
        ),
        (
            "oldest_named_parked_age",
            "Time that the oldest parked event has waited whose payload names a Serval ticket that cannot be used",
            store.oldest_named_parked_seconds,
        ),
    ] {
        levels.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds));
    }
    levels.register(
        "overdue_claims",
        "Claims that have run out",
        ConstGauge::new(store.overdue_claims),
    );
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
