//! What can be seen from outside, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod broken;
mod conservation;
mod docs;
mod doubt;
mod interleavings;
mod jumps;
mod promise;
mod stopping;
mod timing;
