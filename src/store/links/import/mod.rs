//! Imports of many mappings: staged in small transactions while they arrive, applied in one.
//!
//! Invariant: `mappings` and `events` change in the last transaction only, all or nothing. That one
//! consists of statements for the whole set, so that webhooks wait for it briefly.

mod apply;
pub(crate) mod staged;
pub(crate) mod types;
