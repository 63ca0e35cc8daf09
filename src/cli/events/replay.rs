//! `events replay`: one event, or all that match.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::args::{event_id, states};
use crate::cli::backend::{Answer, Backend, Call};
use crate::cli::source::source;
use crate::config::Config;
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::edge::units::shown_duration;
use crate::terminal::progress::Progress;
use crate::terminal::{Failure, Form, Outcome, output};

/// Pause between two looks at how many events are left to replay.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `events replay`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["id", "state"]))]
pub(super) struct Args {
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
    /// Only events that arrived from this time on: back from now, such as 24h or 7d, or a time such as
    /// 2026-03-01T12:00:00Z
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "id",
        allow_hyphen_values = true
    )]
    since: Option<String>,
    /// Only events that arrived before this time, likewise
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "id",
        allow_hyphen_values = true
    )]
    until: Option<String>,
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

pub(super) async fn run(config: &Config, args: &Args) -> Outcome {
    match args.id {
        Some(id) => replay_one(config, id, args).await,
        None => replay_many(config, args).await,
    }
}

async fn replay_one(config: &Config, id: EventId, args: &Args) -> Outcome {
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

async fn replay_many(config: &Config, args: &Args) -> Outcome {
    if let Some(name) = &args.source {
        // A misspelled source would match no event, and "replayed 0" would look like a success.
        source(config, name)?;
    }
    let answer = Backend::with(config, async |backend: &Backend| {
        let counted = backend.call(&to(args, true)).await?;
        let matched = counted.body["matched"].as_u64().unwrap_or_default();
        if matched > 0 && !args.form.json {
            output::note(forecast(matched, pace(config, backend).await));
        }
        if args.dry_run || matched == 0 {
            return Ok(counted);
        }
        watched(backend, args, matched).await
    })
    .await;
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

/// The call that replays what matches, or only counts it.
fn to(args: &Args, is_dry: bool) -> Call {
    let call = Call::new(Method::POST, &["events", "replay"]).body(json!({
        "state": args.state,
        "source": args.source,
        "external_id": args.external_id,
        "event_reason": args.event_reason,
        "since": args.since,
        "until": args.until,
        "limit": args.limit,
        "dry_run": is_dry,
        "reason": args.reason,
    }));
    // Very many events take longer than other calls may.
    call.transfer(None)
}

/// Replays, and shows meanwhile how many events are done.
async fn watched(backend: &Backend, args: &Args, matched: u64) -> Result<Answer, Failure> {
    let progress = Progress::of_rows(matched, "events are in the queue again");
    let replay = to(args, false);
    let replayed = backend.call(&replay);
    let count = to(args, true);
    let look = async {
        while !progress.is_hidden() {
            tokio::time::sleep(LOOK_EVERY).await;
            // The bar is an extra: it stays where it is if the count fails.
            let left = backend.call(&count).await.ok();
            let left = left.and_then(|answer| answer.body["matched"].as_u64());
            progress.is_at(matched.saturating_sub(left.unwrap_or(matched)));
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = replayed => answer,
        never = look => never,
    };
    progress.end();
    answer
}

/// Calls per second that are allowed at present; `None`: no limit.
async fn pace(config: &Config, backend: &Backend) -> Option<f64> {
    let stats = Call::new(Method::GET, &["stats"]);
    let stats = backend.call(&stats).await.ok();
    let allowed = stats.and_then(|answer| answer.body["calls_per_second_allowed"].as_f64());
    let configured = f64::from(config.delivery.rate);
    allowed.or((configured > 0.0).then_some(configured))
}

/// Tells the number of events, and how long the calls for them take.
fn forecast(matched: u64, pace: Option<f64>) -> String {
    let events = if matched == 1 { "event" } else { "events" };
    let Some(pace) = pace.filter(|pace| *pace > 0.0) else {
        return format!(
            "{matched} {events}; no pace is set (delivery.rate), Serval's answers set it"
        );
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = (matched as f64 / pace).ceil();
    let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    format!(
        "{matched} {events}: {} at the present pace of {pace} calls a second",
        about(time)
    )
}

/// A duration to the minute, or to the second if it is short.
fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    let (unit, shown) = match seconds {
        0..=1 => return "about a second".to_owned(),
        2..120 => (1, seconds),
        120..7200 => (60, seconds.div_ceil(60)),
        _ => (3600, seconds.div_ceil(3600)),
    };
    let shown = Duration::from_secs(shown.saturating_mul(unit));
    format!("about {}", shown_duration(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecast_is_a_number_and_a_time() {
        for (matched, pace, expected) in [
            (
                1,
                Some(10.0),
                "1 event: about a second at the present pace of 10 calls a second",
            ),
            (
                300,
                Some(10.0),
                "300 events: about 30s at the present pace of 10 calls a second",
            ),
            (
                12_000,
                Some(10.0),
                "12000 events: about 20m at the present pace of 10 calls a second",
            ),
            (
                90_000,
                Some(2.5),
                "90000 events: about 10h at the present pace of 2.5 calls a second",
            ),
            (
                7,
                None,
                "7 events; no pace is set (delivery.rate), Serval's answers set it",
            ),
            (
                7,
                Some(0.0),
                "7 events; no pace is set (delivery.rate), Serval's answers set it",
            ),
        ] {
            assert_eq!(forecast(matched, pace), expected);
        }
    }
}
