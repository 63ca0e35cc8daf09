//! What is in force: a value that is replaced as a whole while others read it.
//!
//! Invariant: whoever reads holds what was in force at that moment for as long as it likes; nothing
//! waits for it, and nothing changes under it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value in force. Clones share it.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// In force from the start.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// What is in force now.
    pub fn now(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Puts another in its place.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}
