//! `restore`: puts a backup in the place of a database that is lost.

use std::path::PathBuf;

use super::backup::{described, refused};
use super::{Global, Outcome, output};
use crate::store::restore;

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file that `backup` made
    file: PathBuf,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    let url = &config.database.url;
    let backup = restore(url, &args.file).await.map_err(refused)?;
    output::line(format_args!("{url}: restored, {}", described(&backup)));
    output::note("start the daemon; it goes on from where the backup was made");
    Ok(())
}
