//! Counts what was written to the write-ahead log since it was last moved into the database.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Number of written bytes after which the log is moved.
const WORTH: u64 = 2 << 20;
/// Estimated bytes of a write, beside its bodies.
pub(crate) const BYTES_PER_WRITE: u64 = 4096;
/// Estimated bytes of any commit: a page of each table and index that it touches. A smaller estimate
/// would let the log of lone commits grow to many times [`WORTH`].
const BYTES_PER_COMMIT: u64 = 16 * 4096;
/// Bytes written since the last move.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    bytes: AtomicU64,
    is_worth_a_move: Notify,
}

impl Growth {
    /// Adds a commit of `bytes`.
    pub(crate) fn add(&self, bytes: u64) {
        let bytes = bytes + BYTES_PER_COMMIT;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= WORTH {
            self.is_worth_a_move.notify_one();
        }
    }

    /// Resolves when enough was written.
    pub(crate) async fn is_worth_a_move(&self) {
        self.is_worth_a_move.notified().await;
    }

    /// Counts from zero again.
    pub(crate) fn begin_anew(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }
}
