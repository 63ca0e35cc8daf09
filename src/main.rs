//! The `serval-connect` binary: reads the command line and runs the command.

use std::process::ExitCode;

use serval_connect::cli::Cli;

fn main() -> ExitCode {
    serval_connect::edge::outbound::install_tls_provider();
    match Cli::read() {
        Ok(cli) => cli.run(),
        Err(code) => code,
    }
}
