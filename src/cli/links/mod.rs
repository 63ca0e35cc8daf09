//! `links`: the Serval tickets that have an external ticket, and unlinking them.

use std::io::{IsTerminal as _, stdin, stdout};

use http::Method;
use serde_json::Value;

use super::backend::{Backend, Call};
use super::source::{Named, Ticket};
use crate::terminal::{Failure, Form, Global, Outcome, output};

/// Arguments of `links`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists the Serval tickets that have an external ticket, mapped to it or not
    List {
        #[command(flatten)]
        ticket: Ticket,
        #[command(flatten)]
        form: Form,
    },
    /// Has Serval unlink pairs; the mapping stays as it is
    Remove {
        #[command(flatten)]
        ticket: Ticket,
        /// The Serval ticket; left out: all but the one that the mapping names
        serval_ticket: Option<String>,
        /// Also if the Serval ticket has other external tickets of the source: they are connected again afterwards
        #[arg(long)]
        force: bool,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    Backend::with(&config, async |backend: &Backend| match args.command {
        Command::List { ticket, form } => {
            let ticket = ticket.read_known(&config)?;
            let links = links(backend, &ticket).await?;
            form.show(&links, show);
            Ok(())
        }
        Command::Remove {
            ticket,
            serval_ticket,
            force,
            yes,
        } => {
            let ticket = ticket.read_known(&config)?;
            match serval_ticket {
                Some(one) => remove(backend, &ticket, &one, force).await,
                None => remove_others(backend, &ticket, force, yes).await,
            }
        }
    })
    .await
}

async fn links(backend: &Backend, ticket: &Named) -> Result<Value, Failure> {
    let call = Call::new(
        Method::GET,
        &["links", ticket.source.as_str(), &ticket.typed],
    );
    let answer = backend.call(&call).await;
    Ok(answer.map_err(|failure| failure.about(ticket))?.body)
}

fn rows(links: &Value) -> &[Value] {
    links["data"].as_array().map_or(&[], Vec::as_slice)
}

fn show(links: &Value) {
    let links = rows(links);
    if links.is_empty() {
        return output::note("no Serval ticket has it, as far as is known");
    }
    let row = |link: &Value| {
        let state = match (link["disconnecting"] == true, link["current"] == true) {
            (true, _) => "being taken apart",
            (false, true) => "mapped",
            (false, false) => "not mapped",
        };
        let connected = output::time(link, "connected_at");
        vec![
            output::cell(link, "ticket_id"),
            connected.unwrap_or_else(|| output::NOTHING.to_owned()),
            state.to_owned(),
        ]
    };
    output::table(["TICKET", "CONNECTED", "STATE"], links.iter().map(row));
}

async fn remove(backend: &Backend, ticket: &Named, serval: &str, force: bool) -> Outcome {
    let path = ["links", ticket.source.as_str(), &ticket.typed, serval];
    let call = Call::new(Method::DELETE, &path).with("force", force.then_some("true"));
    let answer = backend.call(&call).await;
    let answer = answer.map_err(|failure| failure.about(ticket))?;
    output::line(format_args!(
        "Serval is asked to take {ticket} and {} apart{}",
        output::cell(&answer.body, "ticket_id"),
        answer.once_it_runs()
    ));
    Ok(())
}

/// Removes all links but that of the mapping.
async fn remove_others(backend: &Backend, ticket: &Named, force: bool, yes: bool) -> Outcome {
    let links = links(backend, ticket).await?;
    let is_other = |link: &&Value| link["current"] != true && link["disconnecting"] != true;
    let others: Vec<&str> = (rows(&links).iter().filter(is_other))
        .filter_map(|link| link["ticket_id"].as_str())
        .collect();
    if others.is_empty() {
        output::note(format_args!(
            "no other Serval ticket has {ticket}, as far as is known"
        ));
        return Ok(());
    }
    for other in &others {
        output::line(format_args!("{} has {ticket}", output::printable(other)));
    }
    if !yes && !agrees("take them apart at Serval?")? {
        output::note("nothing was changed");
        return Ok(());
    }
    for other in others {
        remove(backend, ticket, other, force).await?;
    }
    Ok(())
}

/// Asks on the terminal.
fn agrees(question: &str) -> Result<bool, Failure> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let text = "nobody can be asked here: add --yes to take them apart";
        return Err(Failure::Usage(text.to_owned()));
    }
    output::line(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    read.map_err(|error| Failure::Failed(error.into()))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
