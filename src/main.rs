//! The `serval-connect` binary: reads the command line, runs the command, says how it went.

use std::process::ExitCode;

use clap::Parser as _;
use serval_connect::cli::Cli;

fn main() -> ExitCode {
    serval_connect::outbound::install_tls_provider();
    Cli::parse().run()
}
