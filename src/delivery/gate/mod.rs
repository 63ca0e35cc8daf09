//! Decides whether a call may be made now: the circuit breaker, the pace, the call slots, and the unlink
//! that is in progress.

pub mod breaker;
pub mod pace;
pub(super) mod slots;
pub(super) mod unlinks;
