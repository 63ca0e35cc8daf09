//! Imports that are over: their staged rows are left over, unless they are decided.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// The imports that are over.
#[derive(Debug)]
pub(crate) struct Leftovers {
    /// Number of the newest one.
    until: AtomicI64,
    is_more: Notify,
}

impl Leftovers {
    /// The imports of earlier processes are over; `newest` is the last of them.
    pub(crate) fn after(newest: i64) -> Self {
        let leftovers = Self {
            until: AtomicI64::new(newest),
            is_more: Notify::new(),
        };
        leftovers.is_more.notify_one();
        leftovers
    }

    /// The import `id` is over.
    pub(super) fn add(&self, id: i64) {
        self.until.fetch_max(id, Ordering::SeqCst);
        self.look_again();
    }

    /// Number of the newest import that is over.
    pub(super) fn until(&self) -> i64 {
        self.until.load(Ordering::SeqCst)
    }

    /// Resolves when an import is over, or at once if one is since the last call.
    pub(super) async fn is_more(&self) {
        self.is_more.notified().await;
    }

    pub(super) fn look_again(&self) {
        self.is_more.notify_one();
    }
}
