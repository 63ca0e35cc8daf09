//! `connects`: the switch of all calls to Serval.

use http::Method;

use super::backend::{Backend, Call, Missing};
use super::{Global, Outcome, output};

/// Arguments of `connects`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Stops the calls to Serval, also over restarts; what is under way ends
    Pause {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Lets the calls to Serval go on
    Resume {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    let (action, done, json) = match args.command {
        Command::Pause { json } => (
            "pause",
            "calls to Serval are paused, webhooks are stored all the same; `connects resume` ends it",
            json,
        ),
        Command::Resume { json } => ("resume", "calls to Serval go on", json),
    };
    let call = Call::new(Method::POST, &["connects", action]);
    let work = async |backend: &Backend| {
        let (_, body) = backend.call(&call).await?;
        let remark = match backend {
            Backend::Direct(_) => " (the daemon is not running: from its next start on)",
            Backend::Remote(_) => "",
        };
        Ok((body, remark))
    };
    let (body, remark) = Backend::with(&config, Missing::Refuse, work).await?;
    if json {
        output::json(&body);
    } else {
        output::line(format_args!("{done}{remark}"));
    }
    Ok(())
}
