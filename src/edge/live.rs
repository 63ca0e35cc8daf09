//! A value that can be replaced as a whole while others read it.
//!
//! Invariant: a reader keeps the value that it read for as long as it needs it. Nothing waits for the
//! reader, and its value does not change.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// A replaceable value. Clones share it.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// Begins with `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The current value.
    pub fn now(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value.
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
