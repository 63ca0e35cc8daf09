//! The words and rules of the product: ids, events, what one try of a connect means for its event.
//!
//! Invariant: std, serde and a time type only. No async, no I/O, no clock reads, no randomness:
//! time and jitter come in as parameters.

pub mod delivery;
pub mod event;
pub mod find;
pub mod ids;
pub mod ingest;
pub mod retry;
pub mod token;
pub mod trace;
