//! `backup`: copies the database into a file, while the daemon runs or not.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::ExposeSecret as _;

use super::file::existing;
use crate::process::{database, lifecycle};
use crate::store::{Backup, BackupError, OpenError, back_up};
use crate::terminal::{Failure, Global, Outcome, output};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to make; an existing one is not overwritten
    file: PathBuf,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let database = database(&global.load()?.config);
    if database.is_on_server() {
        return Err(Failure::Usage(format!(
            "{} is on a Postgres server, which makes backups itself: use pg_dump, or base backups and an archive of \
             the write-ahead log, from which any moment can be restored",
            database.shown()
        )));
    }
    existing(&database)?;
    let interrupted = lifecycle::interrupted();
    let backup = tokio::select! {
        backup = back_up(database.url.expose_secret(), &args.file) => backup.map_err(refused)?,
        // What was written so far is removed as its future is dropped.
        () = interrupted => return Err(Failure::failed("a signal ended it; no backup was made")),
    };
    note(&existing(&database)?);
    output::line(format_args!(
        "{}: {}",
        args.file.display(),
        described(&backup)
    ));
    Ok(())
}

/// The file whose time is that of the last backup.
fn mark(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".last-backup");
    name.into()
}

/// Notes the time of a backup beside the database, for `check`. A user who may not write there makes backups all the
/// same.
fn note(database: &Path) {
    drop(File::create(mark(database)));
}

/// Time of the last backup that this program made of the database.
pub(super) fn last_backup(database: &Path) -> Option<SystemTime> {
    mark(database).metadata().ok()?.modified().ok()
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
