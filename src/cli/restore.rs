//! `restore`: makes a new database from a backup, after the old one was lost.

use std::path::PathBuf;

use super::backup::{described, refused};
use crate::store::restore;
use crate::terminal::{Global, Outcome, output};

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
    output::note(
        "start the daemon; it continues from the time of the backup, and asks Serval before it makes a \
         call that may have been made since",
    );
    Ok(())
}
