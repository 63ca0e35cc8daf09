//! What can be seen from outside, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod conservation;
mod docs;
mod interleavings;
