//! `map`: which Serval ticket belongs to an external ticket.

mod export;
mod format;
mod import;
#[cfg(test)]
mod tests;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::backend::{Backend, Call, Extent, Missing};
use super::{Failure, Global, Outcome, output};
use crate::config::Config;
use crate::domain::ids::{ExternalTicket, ServalTicketId, SourceName};

/// Arguments of `map`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Maps an external ticket to a Serval ticket, and releases what is parked for it
    Set {
        #[command(flatten)]
        ticket: Ticket,
        /// The Serval ticket's id
        ticket_id: ServalTicketId,
        /// A Serval message that the external ticket has already; may be repeated
        #[arg(long, value_name = "MESSAGE_ID")]
        accounted_for: Vec<String>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one mapping; exit code 1 when there is none
    Get {
        #[command(flatten)]
        ticket: Ticket,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists mappings in the order of their names
    List {
        /// Of one source only
        #[arg(long)]
        source: Option<String>,
        /// Of one Serval ticket only
        #[arg(long)]
        ticket_id: Option<String>,
        #[command(flatten)]
        extent: Extent,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Removes a mapping; exit code 1 when there is none
    Remove {
        #[command(flatten)]
        ticket: Ticket,
        /// Has the daemon take the pair apart at Serval, too; without it nothing changes there
        #[arg(long)]
        disconnect: bool,
    },
    /// Writes all mappings of a file, or none: then it says which lines are faulty, exit code 2
    Import(import::Args),
    /// Writes mappings as a file that can be imported again
    Export(export::Args),
}

/// An external ticket as a person names it.
#[derive(Debug, clap::Args)]
struct Ticket {
    /// The source's name in the configuration
    source: String,
    /// ServiceNow: the `sys_id`. Slack: channel and thread, such as C9DDYQ1B4:1779146751.061339
    external_id: String,
}

impl Ticket {
    /// Reads it as an id of its source.
    fn read(&self, config: &Config) -> Result<ExternalTicket, Failure> {
        let source = source(config, &self.source)?;
        let kind = config.sources[&source].kind();
        let external_id = kind
            .parse_external_id(&self.external_id)
            .map_err(|error| Failure::Usage(format!("{:?}: {error}", self.external_id)))?;
        Ok(ExternalTicket {
            source,
            external_id,
        })
    }
}

/// A configured source by its name.
pub(super) fn source(config: &Config, name: &str) -> Result<SourceName, Failure> {
    let known = config.sources.keys().find(|known| known.as_str() == name);
    known.cloned().ok_or_else(|| {
        let names: Vec<_> = config.sources.keys().map(SourceName::as_str).collect();
        Failure::Usage(if names.is_empty() {
            format!(
                "no source is named {name:?}, and none is configured: give the daemon's \
                 configuration with --config"
            )
        } else {
            format!(
                "no source is named {name:?}; configured: {}",
                names.join(", ")
            )
        })
    })
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    match args.command {
        Command::Set {
            ticket,
            ticket_id,
            accounted_for,
            json,
        } => {
            let ticket = ticket.read(&config)?;
            let body = json!({
                "ticket_id": ticket_id,
                "accounted_for_message_ids": accounted_for,
            });
            let call = to(Method::PUT, &ticket)
                .with("origin", Some("cli"))
                .body(body);
            Backend::with(&config, Missing::Create, async |backend: &Backend| {
                let (status, mapping) = backend.call(&call).await?;
                if json {
                    output::json(&mapping);
                } else {
                    output::line(written(status, &ticket, &mapping, backend.once_it_runs()));
                }
                Ok(())
            })
            .await
        }
        Command::Get { ticket, json } => {
            let ticket = ticket.read(&config)?;
            let call = to(Method::GET, &ticket);
            let mapping = ask(&config, &call, &ticket).await?;
            if json {
                output::json(&mapping);
            } else {
                show(&ticket, &mapping);
            }
            Ok(())
        }
        Command::List {
            source: name,
            ticket_id,
            extent,
            json,
        } => {
            let name = name.map(|name| source(&config, &name)).transpose()?;
            let call = || {
                Call::new(Method::GET, &["mappings"])
                    .with("source", name.as_ref().map(SourceName::as_str))
                    .with("ticket_id", ticket_id.as_deref())
            };
            let list = Backend::with(&config, Missing::Refuse, async |backend: &Backend| {
                backend.list(call, extent).await
            })
            .await?;
            if json {
                output::json(&list);
            } else {
                show_list(&list);
            }
            Ok(())
        }
        Command::Remove { ticket, disconnect } => {
            let ticket = ticket.read(&config)?;
            let call = to(Method::DELETE, &ticket).with("disconnect", disconnect.then_some("true"));
            ask(&config, &call, &ticket).await?;
            output::line(format_args!("removed the mapping of {ticket}"));
            Ok(())
        }
        Command::Import(args) => import::run(&config, args).await,
        Command::Export(args) => export::run(&config, args).await,
    }
}

fn to(method: Method, ticket: &ExternalTicket) -> Call {
    let (source, external_id) = (ticket.source.as_str(), ticket.external_id.as_str());
    Call::new(method, &["mappings", source, external_id])
}

/// Makes a call about one mapping; a failure names it.
async fn ask(config: &Config, call: &Call, ticket: &ExternalTicket) -> Result<Value, Failure> {
    Backend::with(config, Missing::Refuse, async |backend: &Backend| {
        backend.call(call).await
    })
    .await
    .map(|(_, body)| body)
    .map_err(|failure| match failure {
        Failure::Failed(error) => Failure::Failed(error.context(ticket.to_string())),
        usage @ Failure::Usage(_) => usage,
    })
}

fn written(
    status: StatusCode,
    ticket: &ExternalTicket,
    mapping: &Value,
    once_it_runs: &str,
) -> String {
    let verb = if status == StatusCode::CREATED {
        "mapped"
    } else {
        "was mapped before, now"
    };
    let ticket_id = output::cell(mapping, "ticket_id");
    let pair = match output::time(mapping, "connected_at") {
        Some(at) => format!("connected since {at}"),
        None => format!("not yet connected, what waits for it is queued{once_it_runs}"),
    };
    format!("{ticket} {verb} to {ticket_id}; {pair}")
}

fn show(ticket: &ExternalTicket, mapping: &Value) {
    let connected = output::time(mapping, "connected_at");
    output::line(ticket);
    output::facts([
        ("ticket", output::member(mapping, "ticket_id")),
        (
            "connected",
            Some(connected.unwrap_or_else(|| "not yet".to_owned())),
        ),
        (
            "accounted for",
            output::member(mapping, "accounted_for_message_ids"),
        ),
        ("origin", output::member(mapping, "origin")),
        ("taught by", output::member(mapping, "taught_by")),
        ("created", output::time(mapping, "created_at")),
        ("updated", output::time(mapping, "updated_at")),
    ]);
}

fn show_list(list: &Value) {
    let mappings = list["data"].as_array().map_or(&[][..], Vec::as_slice);
    if mappings.is_empty() {
        output::note("no mapping matches");
        return;
    }
    let time = |mapping, name| output::time(mapping, name).unwrap_or_else(|| "-".to_owned());
    let rows = mappings.iter().map(|mapping| {
        [
            output::cell(mapping, "source"),
            output::cell(mapping, "external_id"),
            output::cell(mapping, "ticket_id"),
            output::cell(mapping, "origin"),
            time(mapping, "updated_at"),
            time(mapping, "connected_at"),
        ]
    });
    let head = [
        "SOURCE",
        "EXTERNAL ID",
        "TICKET",
        "ORIGIN",
        "UPDATED",
        "CONNECTED",
    ];
    output::table(head, rows);
    if !list["next_cursor"].is_null() {
        output::note(format_args!(
            "the first {}; more with --limit N or --all",
            mappings.len()
        ));
    }
}
