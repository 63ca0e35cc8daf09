//! Three processes of the real binary on one Postgres with a synchronous standby, which a seed kills, freezes, cuts
//! off and fails over, while senders repeat what was not acknowledged.
//!
//! What must hold in the end is in `rules`. The faults follow from the seed. When they strike, the processes are
//! where the machine has them: a seed that fails may pass the next time.
//!
//! ```sh
//! cargo test --test replicas                                  # 40 s
//! cargo test --test replicas -- --seconds 600 --seed 7        # 10 minutes
//! ```
#![cfg_attr(not(target_os = "linux"), expect(unused, reason = "needs Linux"))]
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "a program of tests: it prints, ends by itself, and a fault of its own may end it"
    )
)]

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod campaign;
#[cfg(target_os = "linux")]
mod cluster;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod records;
#[cfg(target_os = "linux")]
mod rules;
#[cfg(target_os = "linux")]
mod saves;
#[cfg(target_os = "linux")]
mod seat;
#[cfg(target_os = "linux")]
mod stage;

#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the tests of one process use the rest")]
#[path = "../it/conservation/daemon.rs"]
mod daemon;
#[cfg(target_os = "linux")]
#[path = "../it/conservation/generator.rs"]
mod generator;
#[cfg(target_os = "linux")]
#[path = "../it/support/script.rs"]
mod script;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the tests of one process use the rest")]
#[path = "../it/conservation/sender.rs"]
mod sender;

fn main() {
    #[cfg(target_os = "linux")]
    campaign::main();
}
