//! Imports of many mappings. Their rows are *staged* while they arrive, *checked* by readers, *decided* in one
//! small transaction, and then written in *steps*, between which webhooks are stored.
//!
//! Invariant: before the decision nothing but the staging changes. After it the import is written whole,
//! whatever comes: the next start continues where a step ended. Until then no event is claimed, no pair is
//! unlinked and nobody else writes a mapping, so nobody acts on a part of it.
//!
//! Why steps: webhooks share the one writer, and to write 200,000 rows at once takes it a second.

pub(crate) mod decide;
pub(crate) mod decided;
mod empty;
pub(crate) mod leftovers;
mod room;
mod shared;
pub(crate) mod staged;
pub(crate) mod step;
pub(crate) mod types;
