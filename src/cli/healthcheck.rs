//! `healthcheck`

use super::{Global, Outcome};

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_global: &Global, _args: Args) -> Outcome {
    Ok(())
}
