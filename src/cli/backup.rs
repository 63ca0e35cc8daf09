//! `backup`: copies the database into a file, while the daemon runs or not.

use std::path::PathBuf;

use crate::process::lifecycle;
use crate::store::{Backup, BackupError, OpenError, back_up};
use crate::terminal::{Failure, Global, Outcome, output};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to make; an existing one is not overwritten
    file: PathBuf,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    let interrupted = lifecycle::interrupted();
    let backup = tokio::select! {
        backup = back_up(&config.database.url, &args.file) => backup.map_err(refused)?,
        // What was written so far is removed as its future is dropped.
        () = interrupted => return Err(Failure::failed("a signal ended it; no backup was made")),
    };
    output::line(format_args!(
        "{}: {}",
        args.file.display(),
        described(&backup)
    ));
    Ok(())
}

/// Describes a backup.
pub(super) fn described(backup: &Backup) -> String {
    let Backup {
        bytes,
        events,
        schema,
    } = backup;
    let size = bytesize::ByteSize(*bytes);
    format!("{events} events, {size}, schema version {schema}, checked and on the disk")
}

/// A wrong database URL is a fault of the configuration.
pub(super) fn refused(error: BackupError) -> Failure {
    if let BackupError::Open(OpenError::Url { .. }) = error {
        return Failure::Usage(error.to_string());
    }
    Failure::Failed(error.into())
}
