//! The command line. Each command is a file of its own: its arguments, and a function that runs it.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Results go to the standard output,
//! everything else to the standard error.

mod audit;
mod backend;
mod backup;
mod check;
mod connects;
mod discover;
mod erase;
mod events;
mod file;
mod files;
mod healthcheck;
mod init;
mod links;
mod list;
mod map;
mod mentions;
mod migrate;
mod move_to;
mod openapi;
mod restore;
mod running;
mod serve;
mod source;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::edge::memory;
use crate::rehearsal::mock_serval::command as mock_serval;
use crate::rehearsal::{demo, send};
use crate::terminal::{Failure, Global, Outcome, output};

/// Turns ServiceNow and Slack webhooks into Serval connect calls, and loses none of them.
#[derive(Debug, Parser)]
#[command(name = "serval-connect", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon
    Serve,
    /// Writes a first configuration file
    Init(init::Args),
    /// Shows everything at work on this machine, with nothing to set up
    Demo(demo::Args),
    /// Checks the configuration and the database, and online the account at Serval
    Check(check::Args),
    /// Reads and writes the mapping table
    Map(map::Args),
    /// Shows which Serval tickets have an external ticket, and unlinks them
    Links(links::Args),
    /// Reads the inbox, and replays events that were given up
    Events(events::Args),
    /// Exports the list of what operators did
    Audit(audit::Args),
    /// Pauses and resumes the calls to Serval; webhooks are stored all the same
    Connects(connects::Args),
    /// Signs a JSON file as the real sender would, posts it, and prints the answer
    Send(send::Args),
    /// Runs a stand-in for Serval, with faults to switch on
    MockServal(mock_serval::Args),
    /// Lists teams, app instances and integration ids of Serval, to fill in `channel_target`
    Discover(discover::Args),
    /// Asks the running daemon whether it is alive; exit code 0 or 1
    Healthcheck(healthcheck::Args),
    /// Brings the database's schema up to date
    Migrate,
    /// Moves the database from its file to an empty one on a Postgres server; stop the daemon first
    Move(move_to::Args),
    /// Copies the database into a file, while the daemon runs or not
    Backup(backup::Args),
    /// Makes a new database from a backup, after the old one was lost
    Restore(restore::Args),
    /// Removes everything that is stored about one external ticket, or about all that mention a person
    Erase(erase::Args),
    /// Prints the OpenAPI document of the API
    Openapi,
}

impl Cli {
    /// Reads the command line. If it is wrong, or asks for help, that is printed.
    ///
    /// # Errors
    ///
    /// The exit code: 0 for help, 2 for a wrong command line.
    pub fn read() -> Result<Self, ExitCode> {
        usage::parse()
    }

    /// Runs the command.
    pub fn run(self) -> ExitCode {
        if let Err(error) = memory::keep_private() {
            output::warn(format_args!(
                "other programs of this user can read the memory of this one: {error}"
            ));
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return fail(&Failure::Failed(error.into())),
        };
        match runtime.block_on(self.dispatch()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&failure),
        }
    }

    async fn dispatch(self) -> Outcome {
        let Self { global, command } = self;
        match command {
            Command::Serve => serve::run(&global).await,
            Command::Init(args) => init::run(args),
            Command::Demo(args) => demo::run(&global, args).await,
            Command::Check(args) => check::run(&global, args).await,
            Command::Map(args) => map::run(&global, args).await,
            Command::Links(args) => links::run(&global, args).await,
            Command::Events(args) => events::run(&global, args).await,
            Command::Audit(args) => audit::run(&global, args).await,
            Command::Connects(args) => connects::run(&global, args).await,
            Command::Send(args) => send::run(&global, args).await,
            Command::MockServal(args) => mock_serval::run(&global, args).await,
            Command::Discover(args) => discover::run(&global, args).await,
            Command::Healthcheck(args) => healthcheck::run(&global, args).await,
            Command::Migrate => migrate::run(&global).await,
            Command::Move(args) => move_to::run(&global, args).await,
            Command::Backup(args) => backup::run(&global, args).await,
            Command::Restore(args) => restore::run(&global, args).await,
            Command::Erase(args) => erase::run(&global, args).await,
            Command::Openapi => openapi::run(),
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    output::complain(failure);
    match failure {
        Failure::Usage(_) => ExitCode::from(2),
        Failure::Failed(_) => ExitCode::FAILURE,
    }
}
