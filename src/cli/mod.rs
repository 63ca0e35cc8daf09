//! The command line. Each command is a file of its own: its arguments, and a function that runs it.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. What people asked for goes to the
//! standard output, everything else to the standard error.

mod backend;
mod backup;
mod check;
mod connects;
mod demo;
mod direct;
mod discover;
mod erase;
mod events;
mod feed;
mod healthcheck;
mod map;
mod migrate;
mod mock_serval;
mod openapi;
mod output;
mod progress;
mod remote;
mod restore;
mod send;
mod sender;
mod serve;
mod sink;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Environment, Loaded};

/// Turns ServiceNow and Slack webhooks into Serval connect calls, and loses none of them.
#[derive(Debug, Parser)]
#[command(name = "serval-connect", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// A configuration file (TOML); may be repeated, later files win
    #[arg(long = "config", value_name = "FILE", global = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon
    Serve(serve::Args),
    /// Shows the whole thing on this machine, with nothing to set up
    Demo(demo::Args),
    /// Checks the configuration and the database, and online the account at Serval
    Check(check::Args),
    /// Reads and writes the mapping table
    Map(map::Args),
    /// Reads the inbox, and replays what was given up
    Events(events::Args),
    /// Pauses and resumes the calls to Serval; webhooks are stored all the same
    Connects(connects::Args),
    /// Signs a JSON file as the real sender would, posts it, prints the answer
    Send(send::Args),
    /// Runs a stand-in for Serval, with faults to switch on
    MockServal(mock_serval::Args),
    /// Lists teams, app instances and integration ids of Serval, to fill in `channel_target`
    Discover(discover::Args),
    /// Asks the running daemon whether it is alive; exit code 0 or 1
    Healthcheck(healthcheck::Args),
    /// Brings the database's schema up to date
    Migrate(migrate::Args),
    /// Copies the database into a file, while the daemon runs or not
    Backup(backup::Args),
    /// Puts a backup in the place of a database that is lost
    Restore(restore::Args),
    /// Removes everything that is stored about one external ticket, and proves it
    Erase(erase::Args),
    /// Prints the OpenAPI document of the API
    Openapi(openapi::Args),
}

/// How a command can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It did not work: exit code 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// What a command ends with.
pub(crate) type Outcome = Result<(), Failure>;

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
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
            Command::Serve(args) => serve::run(&global, args).await,
            Command::Demo(args) => demo::run(&global, args).await,
            Command::Check(args) => check::run(&global, args).await,
            Command::Map(args) => map::run(&global, args).await,
            Command::Events(args) => events::run(&global, args).await,
            Command::Connects(args) => connects::run(&global, args).await,
            Command::Send(args) => send::run(&global, args).await,
            Command::MockServal(args) => mock_serval::run(&global, args).await,
            Command::Discover(args) => discover::run(&global, args).await,
            Command::Healthcheck(args) => healthcheck::run(&global, args).await,
            Command::Migrate(args) => migrate::run(&global, args).await,
            Command::Backup(args) => backup::run(&global, args).await,
            Command::Restore(args) => restore::run(&global, args).await,
            Command::Erase(args) => erase::run(&global, args).await,
            Command::Openapi(args) => openapi::run(&args),
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

impl Global {
    /// Reads the configuration, and says on the standard error what should be looked at.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        let loaded = Config::load(&self.files, &Environment::from_process())?;
        for warning in &loaded.warnings {
            output::warn(warning);
        }
        Ok(loaded)
    }
}
