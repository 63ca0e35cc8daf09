//! `events`: the inbox, and the events that were given up.

mod absent;
mod args;
mod replay;
mod show;

use http::Method;

use super::backend::{self, Backend, Call};
use super::list::{Cell, Column, List, Options, Times};
use crate::config::Config;
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::terminal::{Form, Global, Outcome};
use args::{event_id, states};

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists events, newest first
    List(ListArgs),
    /// Lists what waits for a mapping, oldest first, with the number and title that people know
    Parked(Options),
    /// Shows one event: its external ticket, its history, and Serval's answers
    Show {
        /// The id of the event, such as `evt_42`
        #[arg(value_parser = event_id)]
        id: EventId,
        /// Also prints the raw body
        #[arg(long)]
        body: bool,
        /// Prints JSON, always with the raw body
        #[arg(long, conflicts_with = "body")]
        json: bool,
    },
    /// Sends dead or expired events to the queue again, one or many; also ignored ones that the present
    /// configuration would connect
    Replay(replay::Args),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only in this state
    #[arg(long, value_parser = states(&EventState::ALL))]
    state: Option<String>,
    /// Only about this external ticket
    #[arg(long)]
    external_id: Option<String>,
    /// Only with this reason, such as `not_found`
    #[arg(long)]
    reason: Option<String>,
    /// Only events whose stored bodies mention this: an e-mail address, the id of a user
    #[arg(long, value_name = "VALUE")]
    mentions: Option<String>,
    #[command(flatten)]
    window: Times,
    #[command(flatten)]
    options: Options,
}

const EVENTS: List = List {
    path: "events",
    columns: &[
        Column("ID", "id", Cell::Text),
        Column("RECEIVED", "received_at", Cell::Time),
        Column("SOURCE", "source", Cell::Text),
        Column("EXTERNAL ID", "external_id", Cell::Text),
        Column("TYPE", "event_type", Cell::Text),
        Column("STATE", "state", Cell::Text),
        Column("REASON", "reason", Cell::Text),
        Column("TICKET", "ticket_id", Cell::Text),
        Column("ATTEMPTS", "attempts", Cell::Text),
        Column("LAST ERROR", "last_error", Cell::Short),
    ],
    empty: "no event matches",
    kept: "newest",
    advice: None,
};

const PARKED: List = List {
    path: "parked",
    columns: &[
        Column("SOURCE", "source", Cell::Text),
        Column("EXTERNAL ID", "external_id", Cell::Text),
        Column("NUMBER", "number", Cell::Text),
        Column("TITLE", "title", Cell::Short),
        Column("EVENT", "event", Cell::Text),
        Column("PARKED", "parked_at", Cell::Time),
        Column("EXPIRES", "expires_at", Cell::Time),
        Column("REMARK", "last_error", Cell::Short),
    ],
    empty: "nothing waits for a mapping",
    kept: "oldest",
    advice: Some("map one with: map set SOURCE EXTERNAL_ID TICKET_ID"),
};

/// Says what a running daemon has heard of each source, a line for each; empty where none runs.
pub(super) async fn heard(config: &Config) -> Vec<String> {
    if !backend::answers(config).await {
        return Vec::new();
    }
    let heard = Backend::with(config, async |backend: &Backend| {
        Ok(absent::heard(backend, None).await)
    });
    heard.await.unwrap_or_default()
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    match args.command {
        Command::List(args) => {
            let filters = [
                ("state", args.state.as_deref()),
                ("external_id", args.external_id.as_deref()),
                ("reason", args.reason.as_deref()),
                ("since", args.window.since.as_deref()),
                ("until", args.window.until.as_deref()),
            ];
            let absent = async |backend: &Backend, source: Option<&str>| {
                absent::lines(backend, source, args.external_id.as_deref()).await
            };
            match &args.mentions {
                None => {
                    EVENTS
                        .print_or_say(&config, &args.options, &filters, absent)
                        .await
                }
                Some(value) => {
                    EVENTS
                        .print_mentions(&config, &args.options, value, &filters)
                        .await
                }
            }
        }
        Command::Parked(options) => PARKED.print(&config, &options, &[]).await,
        Command::Show { id, body, json } => {
            let call = Call::new(Method::GET, &["events", &id.to_string()]);
            let answer = Backend::ask(&config, &call).await;
            let event = answer.map_err(|failure| failure.about(id))?.body;
            Form { json }.show(&event, |event| {
                show::account(event);
                if body {
                    show::body(event);
                }
            });
            Ok(())
        }
        Command::Replay(args) => replay::run(&config, &args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::list::TEXT_WIDTH;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_replay_is_of_one_event_or_of_a_state() {
        for (line, is_good) in [
            ("replay evt_1", true),
            ("replay 1 --reason again", true),
            ("replay --state dead", true),
            (
                "replay --state expired --source s --dry-run --limit 5",
                true,
            ),
            ("replay", false),
            ("replay --source s", false),
            ("replay --state ignored", true),
            ("replay --state connected", false),
            ("replay evt_1 --state dead", false),
            ("replay evt_1 --dry-run", false),
            ("replay evt_x", false),
            ("replay --state dead --limit 0", false),
            ("replay --state dead --since 24h --until 1h", true),
            ("replay evt_1 --since 24h", false),
        ] {
            let words = std::iter::once("events").chain(line.split(' '));
            assert_eq!(Line::try_parse_from(words).is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn a_row_shows_what_there_is_and_shortens_the_error() {
        let event = json!({
            "id": "evt_7", "source": "slack", "external_id": null, "event_type": "message",
            "state": "dead", "reason": "gave_up", "ticket_id": "T1", "attempts": 3,
            "received_at": "2026-03-01T02:03:04.987Z", "last_error": "x".repeat(100),
        });
        let row = EVENTS.row(&event);
        assert_eq!(row[..4], ["evt_7", "2026-03-01T02:03:04Z", "slack", "-"]);
        assert_eq!(row[8], "3");
        assert_eq!(row[9].chars().count(), TEXT_WIDTH);
    }
}
