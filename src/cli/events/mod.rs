//! `events`: the inbox, and what was given up.

mod parked;
mod show;

use clap::builder::PossibleValuesParser;
use http::Method;
use serde_json::{Value, json};

use super::backend::{Backend, Call, Extent, Missing};
use super::{Failure, Global, Outcome, map, output};
use crate::config::Config;
use crate::domain::event::EventState;
use crate::domain::ids::EventId;

/// Characters of an error that a list shows.
const ERROR_WIDTH: usize = 60;

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
    /// Lists what waits for a mapping, the oldest first, with the number and title that people know
    Parked(parked::Args),
    /// Shows one event: what it is about, what happened to it, what Serval said
    Show {
        /// Such as `evt_42`
        #[arg(value_parser = event_id)]
        id: EventId,
        /// Prints the raw body, too
        #[arg(long)]
        body: bool,
        /// Prints JSON, always with the raw body
        #[arg(long, conflicts_with = "body")]
        json: bool,
    },
    /// Sends dead or expired events to the queue again, one or many
    Replay(ReplayArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// In one state only
    #[arg(long, value_parser = states(&EventState::ALL))]
    state: Option<String>,
    /// Of one source only
    #[arg(long)]
    source: Option<String>,
    /// About one external ticket only
    #[arg(long)]
    external_id: Option<String>,
    /// With one reason only, such as `not_found`
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    extent: Extent,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["id", "state"]))]
struct ReplayArgs {
    /// One event, such as `evt_42`
    #[arg(value_parser = event_id)]
    id: Option<EventId>,
    /// All events in this state that match
    #[arg(long, value_parser = states(&[EventState::Dead, EventState::Expired]))]
    state: Option<String>,
    /// Of one source only
    #[arg(long, conflicts_with = "id")]
    source: Option<String>,
    /// About one external ticket only
    #[arg(long, conflicts_with = "id")]
    external_id: Option<String>,
    /// Given up for this reason only, such as `gave_up`
    #[arg(long, value_name = "REASON", conflicts_with = "id")]
    event_reason: Option<String>,
    /// The oldest N at most
    #[arg(long, value_name = "N", conflicts_with = "id", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only says how many match
    #[arg(long, conflicts_with = "id")]
    dry_run: bool,
    /// Why, for the event's history
    #[arg(long)]
    reason: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn states(states: &[EventState]) -> PossibleValuesParser {
    PossibleValuesParser::new(states.iter().map(|state| state.as_str()))
}

/// An event id, also without its `evt_`.
fn event_id(text: &str) -> Result<EventId, String> {
    text.parse()
        .or_else(|error| format!("evt_{text}").parse().map_err(|_| error))
        .map_err(|error: crate::domain::ids::InvalidId| error.to_string())
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let config = global.load()?.config;
    match args.command {
        Command::List(args) => list(&config, &args).await,
        Command::Parked(args) => parked::list(&config, &args).await,
        Command::Show { id, body, json } => {
            let call = Call::new(Method::GET, &["events", &id.to_string()]);
            let (event, _) = ask(&config, &call, &id.to_string()).await?;
            if json {
                output::json(&event);
            } else {
                show::account(&event);
                if body {
                    show::body(&event);
                }
            }
            Ok(())
        }
        Command::Replay(args) => match args.id {
            Some(id) => replay_one(&config, id, &args).await,
            None => replay_many(&config, &args).await,
        },
    }
}

/// Makes one call; a failure says what it was about. The text is [`Backend::once_it_runs`].
async fn ask(config: &Config, call: &Call, about: &str) -> Result<(Value, &'static str), Failure> {
    Backend::with(config, Missing::Refuse, async |backend: &Backend| {
        let (_, body) = backend.call(call).await?;
        Ok((body, backend.once_it_runs()))
    })
    .await
    .map_err(|failure| match failure {
        Failure::Failed(error) => Failure::Failed(error.context(about.to_owned())),
        usage @ Failure::Usage(_) => usage,
    })
}

async fn list(config: &Config, args: &ListArgs) -> Outcome {
    if let Some(name) = &args.source {
        map::source(config, name)?;
    }
    let call = || {
        Call::new(Method::GET, &["events"])
            .with("state", args.state.as_deref())
            .with("source", args.source.as_deref())
            .with("external_id", args.external_id.as_deref())
            .with("reason", args.reason.as_deref())
    };
    let list = Backend::with(config, Missing::Refuse, async |backend: &Backend| {
        backend.list(call, args.extent).await
    })
    .await?;
    if args.json {
        output::json(&list);
        return Ok(());
    }
    let events = list["data"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        output::note("no event matches");
        return Ok(());
    }
    let head = [
        "ID",
        "RECEIVED",
        "SOURCE",
        "EXTERNAL ID",
        "TYPE",
        "STATE",
        "REASON",
        "TICKET",
        "ATTEMPTS",
        "LAST ERROR",
    ];
    output::table(head, events.iter().map(row));
    if !list["next_cursor"].is_null() {
        output::note(format_args!(
            "the newest {}; more with --limit N or --all",
            events.len()
        ));
    }
    Ok(())
}

fn row(event: &Value) -> [String; 10] {
    [
        output::cell(event, "id"),
        output::time(event, "received_at").unwrap_or_default(),
        output::cell(event, "source"),
        output::cell(event, "external_id"),
        output::cell(event, "event_type"),
        output::cell(event, "state"),
        output::cell(event, "reason"),
        output::cell(event, "ticket_id"),
        output::cell(event, "attempts"),
        output::shortened(&output::cell(event, "last_error"), ERROR_WIDTH),
    ]
}

async fn replay_one(config: &Config, id: EventId, args: &ReplayArgs) -> Outcome {
    let id = id.to_string();
    let call =
        Call::new(Method::POST, &["events", &id, "replay"]).body(json!({ "reason": args.reason }));
    let (event, once_it_runs) = ask(config, &call, &id).await?;
    if args.json {
        output::json(&event);
    } else {
        output::line(format_args!(
            "{id} is in the queue again{once_it_runs}; watch it with: events show {id}"
        ));
    }
    Ok(())
}

async fn replay_many(config: &Config, args: &ReplayArgs) -> Outcome {
    if let Some(name) = &args.source {
        map::source(config, name)?;
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
    let (outcome, once_it_runs) = ask(config, &call, "replay").await?;
    if args.json {
        output::json(&outcome);
        return Ok(());
    }
    let (matched, replayed) = (
        output::cell(&outcome, "matched"),
        output::cell(&outcome, "replayed"),
    );
    output::line(if args.dry_run {
        format!("matched {matched}, replayed none: --dry-run")
    } else {
        format!("matched {matched}, replayed {replayed}{once_it_runs}")
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

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
        let row = row(&event);
        assert_eq!(row[..4], ["evt_7", "2026-03-01T02:03:04Z", "slack", "-"]);
        assert_eq!(row[8], "3");
        assert_eq!(row[9].chars().count(), ERROR_WIDTH);
    }
}
