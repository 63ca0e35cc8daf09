//! The rules of the product: identifiers, events, and what the result of a call means for its event.
//!
//! Invariant: only std, serde, a time type, and the description of its words for the API's document. No
//! async, no I/O, no clock, no randomness: time and jitter are parameters.

pub mod delivery;
pub mod event;
pub mod feed;
pub mod find;
pub mod ids;
pub mod ingest;
pub mod mention;
pub mod rank;
pub mod reason;
pub mod report;
pub mod retry;
pub mod silence;
pub mod token;
pub mod trace;
pub mod uptime;
pub(crate) mod words;
