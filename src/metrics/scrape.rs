//! One scrape: what was counted, and the levels of the moment.
//!
//! The levels get a registry of their own each time, so that a state or a source that is gone
//! leaves no number behind.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::{Metrics, One, PREFIX, Two, process};

/// The levels of the moment.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// Whether `/readyz` would say so.
    pub is_ready: bool,
    /// How the line to Serval stands.
    pub breaker: Breaker,
    /// Whether calls are held because Serval refuses our credentials.
    pub is_held: bool,
    /// Whether an operator paused the calls.
    pub is_paused: bool,
    /// Requests in hand by listener, those that do not count against its limit left out.
    pub requests_in_flight: Vec<(&'static str, usize)>,
    /// Calls to Serval under way.
    pub calls_in_flight: usize,
    /// Times that a token was asked for since the start.
    pub token_refreshes: u64,
    /// Whether the last write failed.
    pub is_store_failing: bool,
    /// Writes that wait.
    pub queue_depth: usize,
    /// The size of the database, in bytes.
    pub database_bytes: u64,
    /// The size of its write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// What the database says; `None` when it cannot be read.
    pub store: Option<StoreLevels>,
}

/// How the line to Serval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Breaker {
    /// Calls are made.
    #[default]
    Closed,
    /// Calls are made, and what waits is probed.
    Suspect,
    /// Only probes are made.
    Open,
}

impl Breaker {
    const ALL: [Self; 3] = [Self::Closed, Self::Suspect, Self::Open];

    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Suspect => "suspect",
            Self::Open => "open",
        }
    }
}

/// What the database says.
#[derive(Debug, Clone, Default)]
pub struct StoreLevels {
    /// Events by source and state.
    pub events: Vec<(String, &'static str, i64)>,
    /// For how long the oldest due event has been due, in seconds; 0: none is.
    pub oldest_due_seconds: f64,
    /// The age of the oldest parked event, in seconds; 0: none is.
    pub oldest_parked_seconds: f64,
    /// Claims whose time is over.
    pub overdue_claims: i64,
}

impl Metrics {
    /// Everything, as `application/openmetrics-text`.
    pub fn render(&self, scrape: &Scrape) -> String {
        let mut levels = Registry::with_prefix(PREFIX);
        line(&mut levels, scrape);
        requests(&mut levels, scrape);
        files(&mut levels, scrape);
        if let Some(store) = &scrape.store {
            events(&mut levels, store);
        }
        // By custom the numbers of a process have the same names whatever the program.
        let mut own = Registry::default();
        process::register(&mut own);
        let mut page = String::with_capacity(16 * 1024);
        for registry in [&self.0.registry, &levels, &own] {
            text::encode_registry(&mut page, registry).expect("a String takes all");
        }
        text::encode_eof(&mut page).expect("a String takes all");
        page
    }
}

fn line(levels: &mut Registry, scrape: &Scrape) {
    let switch = |is_on: bool| ConstGauge::new(i64::from(is_on));
    levels.register(
        "ready",
        "1 while webhooks are stored and what is stored moves",
        switch(scrape.is_ready),
    );
    let breaker = Family::<One, Gauge>::default();
    for state in Breaker::ALL {
        let gauge = breaker.get_or_create_owned(&[("state", state.as_str().into())]);
        gauge.set(i64::from(state == scrape.breaker));
    }
    levels.register(
        "breaker_state",
        "1 for the state in which the line to Serval is",
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
        "calls_in_flight",
        "Calls to Serval under way",
        ConstGauge::new(number(scrape.calls_in_flight)),
    );
    levels.register(
        "token_refreshes",
        "Times that Serval was asked for a token",
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
        "Webhooks and calls of the API under way, by listener",
        requests,
    );
}

fn files(levels: &mut Registry, scrape: &Scrape) {
    levels.register(
        "store_failing",
        "1 while the database takes no writes",
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
            "For how long the oldest due event has been due",
            store.oldest_due_seconds,
        ),
        (
            "oldest_parked_age",
            "For how long the oldest parked event has waited for its mapping",
            store.oldest_parked_seconds,
        ),
    ] {
        levels.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds));
    }
    levels.register(
        "overdue_claims",
        "Claims whose time is over",
        ConstGauge::new(store.overdue_claims),
    );
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
