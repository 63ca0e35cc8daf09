//! `restore`: makes a new database from a backup, after the old one was lost.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;

use super::backup::{described, refused};
use crate::process::database;
use crate::store::restore;
use crate::terminal::{Failure, Global, Outcome, output};

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file that `backup` made
    file: PathBuf,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let database = database(&global.load()?.config);
    let shown = database.shown();
    if database.is_on_server() {
        return Err(Failure::Usage(format!(
            "{shown} is on a Postgres server, which restores backups itself, by pg_restore or to a moment. Stop all \
             replicas before. Afterwards, and before the first start, run in the database: INSERT INTO settings \
             (key, value) VALUES ('copied', 'true'); then Serval is asked before each call that may have been made since"
        )));
    }
    let restored = restore(database.url.expose_secret(), &args.file).await;
    let backup = restored.map_err(refused)?;
    output::line(format_args!("{shown}: restored, {}", described(&backup)));
    output::note(
        "start the daemon; it continues from the time of the backup, and asks Serval before it makes a \
         call that may have been made since",
    );
    Ok(())
}
