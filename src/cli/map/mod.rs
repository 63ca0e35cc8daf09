//! `map`: the mappings from external tickets to Serval tickets.

mod export;
mod import;
mod said;
#[cfg(test)]
mod tests;

use http::Method;
use serde_json::{Value, json};

use super::backend::Backend;
use super::list::{Cell, Column, List, Options};
use super::source::{Named, Ticket};
use crate::operators::read_serval_ticket;
use crate::terminal::{Failure, Form, Global, Outcome, output};
use said::to;

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
        /// The Serval ticket: its id, its identifier such as ACM-10, or its address
        ticket_id: String,
        /// A Serval message that the external ticket already has; may be repeated
        #[arg(long, value_name = "MESSAGE_ID")]
        accounted_for: Vec<String>,
        /// Also unlinks it from all other Serval tickets, before it is connected to this one
        #[arg(long)]
        disconnect_others: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Shows one mapping; exit code 1 when there is none
    Get {
        #[command(flatten)]
        ticket: Ticket,
        #[command(flatten)]
        form: Form,
    },
    /// Lists mappings, sorted by source and external id
    List {
        /// Only of this Serval ticket
        #[arg(long)]
        ticket_id: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Removes a mapping; exit code 1 when there is none
    Remove {
        #[command(flatten)]
        ticket: Ticket,
        /// Also has the daemon remove the link at Serval; otherwise the link stays
        #[arg(long)]
        disconnect: bool,
    },
    /// Imports all mappings of a file, or none: if a line is faulty, lists the faulty lines, exit code 2
    Import(import::Args),
    /// Exports mappings as a file that can be imported again
    Export(export::Args),
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    match args.command {
        Command::Set {
            ticket,
            ticket_id,
            accounted_for,
            disconnect_others,
            form,
        } => {
            let ticket = ticket.read(&config)?;
            // Nothing is opened for a text that names no ticket.
            read_serval_ticket(config.sources.get(&ticket.source).into_iter(), &ticket_id)
                .map_err(Failure::Usage)?;
            let call = to(Method::PUT, &ticket)
                .with("origin", Some("cli"))
                .with("disconnect_others", disconnect_others.then_some("true"))
                .body(json!({
                    "ticket_id": ticket_id,
                    "accounted_for_message_ids": accounted_for,
                }));
            Backend::with(&config, async |backend: &Backend| {
                let answer = backend.call(&call).await?;
                form.show(&answer.body, |_| {
                    said::written(&ticket, &answer)
                        .iter()
                        .for_each(output::line);
                });
                Ok(())
            })
            .await
        }
        Command::Get { ticket, form } => {
            let ticket = ticket.read_known(&config)?;
            let answer = Backend::ask(&config, &to(Method::GET, &ticket)).await;
            let answer = answer.map_err(|failure| failure.about(&ticket))?;
            form.show(&answer.body, |mapping| show(&ticket, mapping));
            Ok(())
        }
        Command::List { ticket_id, options } => {
            let filters = [("ticket_id", ticket_id.as_deref())];
            MAPPINGS.print(&config, &options, &filters).await
        }
        Command::Remove { ticket, disconnect } => {
            let ticket = ticket.read_known(&config)?;
            Backend::with(&config, async |backend: &Backend| {
                said::removed(backend, &ticket, disconnect).await
            })
            .await
        }
        Command::Import(args) => import::run(&config, args).await,
        Command::Export(args) => export::run(&config, args).await,
    }
}

const MAPPINGS: List = List {
    path: "mappings",
    columns: &[
        Column("SOURCE", "source", Cell::Text),
        Column("EXTERNAL ID", "external_id", Cell::Text),
        Column("TICKET", "ticket_id", Cell::Text),
        Column("ORIGIN", "origin", Cell::Text),
        Column("UPDATED", "updated_at", Cell::Time),
        Column("CONNECTED", "connected_at", Cell::Time),
    ],
    empty: "no mapping matches",
    kept: "first",
    advice: None,
};

fn show(ticket: &Named, mapping: &Value) {
    let connected = output::time(mapping, "connected_at");
    output::line(ticket.in_answer(mapping));
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
