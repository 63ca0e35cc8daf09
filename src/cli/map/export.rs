//! `map export`: writes mappings as a file that can be imported again.

use http::Method;

use crate::cli::backend::Call;
use crate::cli::files::download::Target;
use crate::cli::source::source;
use crate::config::Config;
use crate::domain::ids::SourceName;
use crate::terminal::Outcome;

/// Arguments of `map export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only of this Serval ticket
    #[arg(long)]
    ticket_id: Option<String>,
}

pub(super) async fn run(config: &Config, args: Args) -> Outcome {
    let name = args.source.map(|name| source(config, &name)).transpose()?;
    let ticket_id = args.ticket_id.as_deref();
    let call = Call::new(Method::GET, &["mappings", "export"])
        .with("source", name.as_ref().map(SourceName::as_str))
        .with("ticket_id", ticket_id);
    args.target
        .save(config, call, ["mapping", "mappings"])
        .await
}
