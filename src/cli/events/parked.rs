//! `events parked`: what waits for a mapping, for the person who has to write it.

use http::Method;
use serde_json::Value;

use crate::cli::backend::{Backend, Call, Extent, Missing};
use crate::cli::{Outcome, map, output};
use crate::config::Config;

/// Characters of a title or a remark that a table shows.
const TEXT_WIDTH: usize = 60;

/// Which of them to list.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of one source only
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    extent: Extent,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(config: &Config, args: &Args) -> Outcome {
    if let Some(name) = &args.source {
        map::source(config, name)?;
    }
    let call = || Call::new(Method::GET, &["parked"]).with("source", args.source.as_deref());
    let list = Backend::with(config, Missing::Refuse, async |backend: &Backend| {
        backend.list(call, args.extent).await
    })
    .await?;
    if args.json {
        output::json(&list);
        return Ok(());
    }
    let parked = list["data"].as_array().map_or(&[][..], Vec::as_slice);
    if parked.is_empty() {
        output::note("nothing waits for a mapping");
        return Ok(());
    }
    let head = [
        "SOURCE",
        "EXTERNAL ID",
        "NUMBER",
        "TITLE",
        "EVENT",
        "PARKED",
        "EXPIRES",
        "REMARK",
    ];
    let row = |ticket: &Value| {
        [
            output::cell(ticket, "source"),
            output::cell(ticket, "external_id"),
            output::cell(ticket, "number"),
            output::shortened(&output::cell(ticket, "title"), TEXT_WIDTH),
            output::cell(ticket, "event"),
            output::time(ticket, "parked_at").unwrap_or_default(),
            output::time(ticket, "expires_at").unwrap_or_default(),
            output::shortened(&output::cell(ticket, "last_error"), TEXT_WIDTH),
        ]
    };
    output::table(head, parked.iter().map(row));
    if !list["next_cursor"].is_null() {
        output::note(format_args!(
            "the oldest {}; more with --limit N or --all",
            parked.len()
        ));
    }
    output::note("map one with: map set SOURCE EXTERNAL_ID TICKET_ID");
    Ok(())
}
