//! Delivery: claims due events and makes their connect calls.
//!
//! In the order of one claim: [`Worker`] runs the loop; `queue` claims and starts a `step`; the step asks
//! the [`gate`] whether a call may be made, lets `learn` or `connect` make it, decides with `classify` and
//! [`decide`](crate::domain::delivery::decide), and settles. `unlink` and `watch` work beside it.
//!
//! Invariant: a call is made only under a claim, and one settlement ends a claim. The policy is in
//! [`crate::domain::delivery`].

pub mod classify;
mod clock;
mod connect;
mod context;
mod directory;
pub mod gate;
mod learn;
mod monitor;
mod queue;
mod record;
mod settings;
mod step;
mod unlink;
mod watch;
mod worker;

pub use directory::{Directory, Named, NoAnswer};
pub use monitor::Monitor;
pub use settings::Settings;
pub use worker::Worker;
