//! `cargo bench`: the daemon beside a null handler and a bare client, in one run.
//!
//! Figures of a shared machine mean little alone, so every one has its reference measured in turn
//! with it: rounds go null, daemon, null, daemon. The processes are real: the optimised binary, a
//! null handler and a stand-in for Serval in processes of their own, sockets between them, the
//! database on the disk that `target/` lies on.
//!
//! `cargo bench -- --help` lists the scenarios; without one it is `smoke`, which is what CI runs.

#![expect(
    clippy::disallowed_methods,
    reason = "no part of the daemon: it has tasks and clocks of its own"
)]
#![expect(clippy::print_stdout, reason = "its figures are what it is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "figures are rounded to three digits anyway"
)]

mod args;
mod bare;
mod child;
mod daemon;
mod distance;
mod generator;
mod handler;
mod histogram;
mod least;
mod peer;
mod postgres;
mod prefill;
mod procfs;
mod report;
mod scenarios;
#[path = "../../tests/it/support/script.rs"]
mod script;
mod trace;
mod webhooks;

use std::process::ExitCode;

use args::{Args, Command};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::read();
    match args.command {
        Some(Command::Handler(ref handler)) => handler::run(handler)?,
        Some(Command::Bare(ref bare)) => bare::run(bare)?,
        _ => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            return runtime.block_on(scenarios::run(&args));
        }
    }
    Ok(ExitCode::SUCCESS)
}
