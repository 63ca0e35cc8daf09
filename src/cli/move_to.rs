//! `move`: moves the database from its file to a Postgres server.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::file::existing;
use crate::edge::clock::{Clock as _, SystemClock};
use crate::process::database;
use crate::store::{Database, MoveError, Moved, OpenError, move_to_server};
use crate::terminal::{Failure, Global, Outcome, output};

/// Arguments of `move`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The URL of the empty database to fill
    #[arg(long, value_name = "URL")]
    to: String,
    /// A file with the password for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let from = database(&global.load()?.config);
    if from.is_on_server() {
        return Err(Failure::Usage(format!(
            "database.url is {} already: give the configuration of the database file with --config",
            from.shown()
        )));
    }
    let to = Database {
        url: SecretString::from(args.to),
        password_file: args.password_file,
        ..Database::at("")
    };
    if !to.is_on_server() {
        let what =
            "--to: expected a database on a server, such as postgres://user@host:5432/database";
        return Err(Failure::Usage(what.to_owned()));
    }
    existing(&from)?;
    let moved = move_to_server(from.url.expose_secret(), &to, SystemClock.now()).await;
    show(&moved.map_err(refused)?, &to);
    Ok(())
}

fn show(moved: &Moved, to: &Database) {
    for (table, rows) in &moved.rows {
        output::line(format_args!("{table}: {rows} rows"));
    }
    output::line(format_args!(
        "all is in {}, compared and committed; the next event is evt_{}",
        to.shown(),
        moved.next_event
    ));
    output::line(format_args!(
        "the file is {} now: keep it until you trust the server, then delete it",
        moved.file.display()
    ));
    output::note("set database.url to the new URL, and start the daemons");
}

fn refused(error: MoveError) -> Failure {
    match error {
        MoveError::Open(OpenError::Url { .. }) => Failure::Usage(error.to_string()),
        MoveError::Open(OpenError::Locked { ref path, .. }) => Failure::failed(format_args!(
            "{path} is in use by another serval-connect process: stop the daemon first; senders repeat meanwhile"
        )),
        MoveError::Open(_)
        | MoveError::NotEmpty { .. }
        | MoveError::NoPlace { .. }
        | MoveError::Differs { .. }
        | MoveError::Store(_)
        | MoveError::Unconfirmed(_)
        | MoveError::Exists { .. }
        | MoveError::Rename { .. } => Failure::Failed(error.into()),
    }
}
