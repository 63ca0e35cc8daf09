//! `openapi`

use super::{Outcome, output};
use crate::http;

/// Arguments of `openapi`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[expect(clippy::unnecessary_wraps, reason = "commands end alike")]
pub(super) fn run(_args: &Args) -> Outcome {
    output::line(http::document().trim_end());
    Ok(())
}
