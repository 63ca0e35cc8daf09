//! Counter of requests to unlink a pair.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tells if any pair may wait to be unlinked, without a read of the database. Every connect call asks
/// this, and most often no pair waits.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Number of requests.
    times: AtomicU64,
    /// Number of requests after which no pair was left.
    done: AtomicU64,
}

impl Asked {
    /// Counts one request, because a dead process may have left some.
    pub(crate) fn new() -> Self {
        Self {
            times: AtomicU64::new(1),
            done: AtomicU64::new(0),
        }
    }

    /// Counts a request, after its commit and before its answer. One of another process is counted with the next
    /// commit of this one, which is before any claim that may depend on it.
    pub(crate) fn again(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.times() != self.done.load(Ordering::SeqCst)
    }

    pub(crate) fn times(&self) -> u64 {
        self.times.load(Ordering::SeqCst)
    }

    /// Notes that no pair was left after the first `times` requests.
    pub(crate) fn done(&self, times: u64) {
        self.done.store(times, Ordering::SeqCst);
    }
}
