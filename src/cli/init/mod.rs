//! `init`: writes a first configuration file, which `check` then goes through.
//!
//! Invariant: nothing is overwritten unless asked for, and the file is its owner's alone from the first byte on.

mod questions;
mod systems;
mod text;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::systems::Systems;
use crate::terminal::{Failure, Outcome, output};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write
    #[arg(default_value = "serval-connect.toml")]
    file: PathBuf,
    /// Replaces the file if it exists
    #[arg(long)]
    force: bool,
    /// The client id of the API key at Serval
    #[arg(long, value_name = "ID")]
    serval_client_id: Option<String>,
    #[command(flatten)]
    systems: Systems,
}

pub(super) fn run(args: Args) -> Outcome {
    let Args {
        file,
        force,
        serval_client_id,
        systems,
    } = args;
    if !force && file.symlink_metadata().is_ok() {
        return Err(exists(&file));
    }
    let answers = questions::ask(serval_client_id, systems.0)?;
    let written = text::of(&answers)?;
    write(&file, written.as_bytes(), force)?;
    output::line(format_args!(
        "{}: written, for you alone; it holds fresh secrets",
        file.display()
    ));
    output::note(format_args!(
        "next: serval-connect check --config {0}, which names what is left to fill in; then serval-connect serve \
         --config {0}",
        file.display()
    ));
    Ok(())
}

fn exists(file: &Path) -> Failure {
    Failure::failed(format_args!(
        "{} exists already, and is not overwritten: give another name, or --force",
        file.display()
    ))
}

fn write(file: &Path, bytes: &[u8], force: bool) -> Outcome {
    let context = || format!("cannot write {}", file.display());
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(0o600);
    // A file that is replaced keeps its content until the new one is whole.
    let place = if force {
        file.with_added_extension(format!("{}.new", std::process::id()))
    } else {
        file.to_owned()
    };
    let mut opened = new.open(&place).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return exists(&place);
        }
        Failure::Failed(anyhow::Error::new(error).context(context()))
    })?;
    let mut result = opened
        .write_all(bytes)
        .and_then(|()| opened.sync_all())
        .with_context(context);
    if result.is_ok() && force {
        result = fs::rename(&place, file).with_context(context);
    }
    if result.is_err() {
        drop(fs::remove_file(&place));
    }
    Ok(result?)
}
