//! A simulation of the whole daemon: real code on a simulated machine (`sim-machine`), whose clock, disk, network
//! and order of threads follow from a seed, with senders, operators and a Serval that are played.
//!
//! After every seed the promise is checked (`docs/promise.md`). A seed that fails is printed, and replays
//! exactly.
//!
//! ```sh
//! cargo test --test sim                       # a few fixed seeds
//! cargo test --test sim -- --fresh 300        # fresh seeds for 300 s
//! cargo test --test sim -- --seed 42 --log    # one seed, with what happened
//! ```
#![cfg_attr(not(target_os = "linux"), expect(unused, reason = "needs Linux"))]

#[cfg(target_os = "linux")]
mod campaign;
#[cfg(target_os = "linux")]
mod daemon;
#[cfg(target_os = "linux")]
mod ledger;
#[cfg(target_os = "linux")]
mod model;
#[cfg(target_os = "linux")]
mod operators;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod rules;
#[cfg(target_os = "linux")]
mod senders;
#[cfg(target_os = "linux")]
mod serval;
#[cfg(target_os = "linux")]
mod world;

fn main() {
    #[cfg(target_os = "linux")]
    campaign::main();
}
