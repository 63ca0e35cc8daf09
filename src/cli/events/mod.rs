//! `events`: the inbox, and the events that were given up.

mod show;

use clap::builder::PossibleValuesParser;
use http::Method;
use serde_json::json;

use super::backend::{Backend, Call};
use super::list::{Cell, Column, List, Options};
use super::source::source;
use crate::config::Config;
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, InvalidId};
use crate::terminal::{Form, Global, Outcome, output};

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
    Replay(ReplayArgs),
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
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["id", "state"]))]
struct ReplayArgs {
    /// One event, such as `evt_42`
    #[arg(value_parser = event_id)]
    id: Option<EventId>,
    /// All events in this state that match the other options
    #[arg(long, value_parser = states(&[EventState::Dead, EventState::Expired, EventState::Ignored]))]
    state: Option<String>,
    /// Only of this source
    #[arg(long, conflicts_with = "id")]
    source: Option<String>,
    /// Only about this external ticket
    #[arg(long, conflicts_with = "id")]
    external_id: Option<String>,
    /// Only events given up for this reason, such as `gave_up`
    #[arg(long, value_name = "REASON", conflicts_with = "id")]
    event_reason: Option<String>,
    /// Only the oldest N
    #[arg(long, value_name = "N", conflicts_with = "id", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only counts the events that match
    #[arg(long, conflicts_with = "id")]
    dry_run: bool,
    /// Why, for the history of the event
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    form: Form,
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

fn states(states: &[EventState]) -> PossibleValuesParser {
    PossibleValuesParser::new(states.iter().map(|state| state.as_str()))
}

/// Reads an event id, also without its `evt_`.
fn event_id(text: &str) -> Result<EventId, String> {
    text.parse()
        .or_else(|error| format!("evt_{text}").parse().map_err(|_| error))
        .map_err(|error: InvalidId| error.to_string())
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    match args.command {
        Command::List(args) => {
            let filters = [
                ("state", args.state.as_deref()),
                ("external_id", args.external_id.as_deref()),
                ("reason", args.reason.as_deref()),
            ];
            EVENTS.print(&config, &args.options, &filters).await
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
        Command::Replay(args) => match args.id {
            Some(id) => replay_one(&config, id, &args).await,
            None => replay_many(&config, &args).await,
        },
    }
}

async fn replay_one(config: &Config, id: EventId, args: &ReplayArgs) -> Outcome {
    let call = Call::new(Method::POST, &["events", &id.to_string(), "replay"])
        .body(json!({ "reason": args.reason }));
    let answer = Backend::ask(config, &call).await;
    let answer = answer.map_err(|failure| failure.about(id))?;
    args.form.show(&answer.body, |_| {
        let once_it_runs = answer.once_it_runs();
        output::line(format_args!(
            "{id} is in the queue again{once_it_runs}; watch it with: events show {id}"
        ));
    });
    Ok(())
}

async fn replay_many(config: &Config, args: &ReplayArgs) -> Outcome {
    if let Some(name) = &args.source {
        // A misspelled source would match no event, and "replayed 0" would look like a success.
        source(config, name)?;
    }
    let call = Call::new(Method::POST, &["events", "replay"]).body(json!({
        "state": args.state,
        "source": args.source,
        "external_id": args.external_id,
        "event_reason": args.event_reason,
        "limit": args.limit,
        "dry_run": args.dry_run,
        "reason": args.reason,
    }));
    let answer = Backend::ask(config, &call).await;
    let answer = answer.map_err(|failure| failure.about("replay"))?;
    args.form.show(&answer.body, |outcome| {
        let matched = output::cell(outcome, "matched");
        output::line(if args.dry_run {
            format!("matched {matched}, replayed none: --dry-run")
        } else {
            let replayed = output::cell(outcome, "replayed");
            format!(
                "matched {matched}, replayed {replayed}{}",
                answer.once_it_runs()
            )
        });
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

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
