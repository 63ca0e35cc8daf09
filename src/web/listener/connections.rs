//! Counts the connections of a listener.
//!
//! Connections up to the limit are served. The next 32 are accepted but marked as over the limit: they
//! may call only health endpoints, so that a probe does not mistake overload for a crash. All others
//! are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::edge::metrics::Metrics;
use crate::web::refusals::Refusals;

/// Connections beyond the limit that are accepted for health endpoints.
const SPARE: usize = 32;

#[derive(Debug)]
pub(super) struct Counter {
    listener: &'static str,
    limit: usize,
    open: AtomicUsize,
    metrics: Metrics,
    refusals: Refusals,
}

/// One counted connection. Lives until the last of its requests is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    counter: Arc<Counter>,
    pub(super) is_over_limit: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counter.open.fetch_sub(1, Ordering::Relaxed);
        self.counter
            .metrics
            .connection_closed(self.counter.listener);
    }
}

impl Counter {
    pub(super) fn new(
        listener: &'static str,
        limit: usize,
        metrics: Metrics,
        refusals: Refusals,
    ) -> Arc<Self> {
        Arc::new(Self {
            listener,
            limit,
            open: AtomicUsize::new(0),
            metrics,
            refusals,
        })
    }

    /// Counts a connection; `None` if it must be closed.
    pub(super) fn open(self: &Arc<Self>) -> Option<Connection> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.connection_opened(self.listener);
        // Made even if it is refused: its drop undoes the count.
        let connection = Connection {
            counter: Arc::clone(self),
            is_over_limit: before >= self.limit,
        };
        if before < self.limit.saturating_add(SPARE) {
            return Some(connection);
        }
        self.metrics.turned_away(self.listener, "connection");
        let detail = "connection_limit is reached: the connection was closed";
        self.refusals
            .connection(self.listener, "connection_limit", detail);
        None
    }
}
