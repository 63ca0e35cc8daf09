//! `connects`: pauses and resumes all calls to Serval.

use http::Method;

use super::backend::{Backend, Call};
use crate::terminal::{Form, Global, Outcome, output};

/// Arguments of `connects`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Stops the calls to Serval, also after a restart; calls that are under way end normally
    Pause(Form),
    /// Lets the calls to Serval go on
    Resume(Form),
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    let (action, done, form) = match args.command {
        Command::Pause(form) => (
            "pause",
            "calls to Serval are paused, webhooks are stored all the same; `connects resume` ends it",
            form,
        ),
        Command::Resume(form) => ("resume", "calls to Serval go on", form),
    };
    let call = Call::new(Method::POST, &["connects", action]);
    let answer = Backend::ask(&config, &call).await?;
    let remark = if answer.is_direct {
        " (the daemon is not running: from its next start on)"
    } else {
        ""
    };
    let text = format!("{done}{remark}");
    form.show(&answer.body, |_| output::line(text));
    Ok(())
}
