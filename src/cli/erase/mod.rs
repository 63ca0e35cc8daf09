//! `erase`: removes everything that is stored about one external ticket, or about all that mention a person.

mod mentions;
mod ticket;

use crate::terminal::{Form, Global, Outcome};

/// Arguments of `erase`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["external_id", "mentions"]))]
pub(super) struct Args {
    /// ServiceNow: the `sys_id`, or a number such as INC0010421. Slack: the link of a message, or channel
    /// and thread, such as C9DDYQ1B4:1779146751.061339
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// All external tickets whose stored bodies mention this: an e-mail address, the id of a user. Lists
    /// them, and asks before it erases them
    #[arg(long, value_name = "VALUE")]
    mentions: Option<String>,
    /// The source; by default every configured source for which the id is valid, or every source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Erases what mentions the value without a question
    #[arg(long, conflicts_with = "external_id")]
    yes: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    let source = args.source.as_deref();
    match (args.external_id, args.mentions) {
        (_, Some(value)) => mentions::run(&config, &value, source, args.yes, args.form).await,
        (external_id, None) => {
            let external_id = external_id.expect("the group of arguments requires one of the two");
            ticket::run(&config, &external_id, source, args.form).await
        }
    }
}
