//! `audit`: who did what with a token of `admin.tokens`, in the console or on the command line.

use http::Method;

use super::backend::Call;
use super::files::download::Target;
use super::list::Times;
use crate::terminal::{Global, Outcome};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Exports the actions of operators as a file, newest first
    Export {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        window: Times,
    },
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    let Command::Export { target, window } = args.command;
    let call = Call::new(Method::GET, &["audit", "export"])
        .with("since", window.since.as_deref())
        .with("until", window.until.as_deref());
    target.save(&config, call, ["action", "actions"]).await
}
