//! `discover`

use super::{Global, Outcome};

/// Arguments of `discover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_global: &Global, _args: Args) -> Outcome {
    Ok(())
}

pub(super) async fn check_online(_config: &crate::config::Config) -> Outcome {
    Ok(())
}
