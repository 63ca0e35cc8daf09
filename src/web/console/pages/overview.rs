//! The overview: one sentence about the state, then counts, calls, charts and recent failures.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;

use super::chart::Chart;
use super::replicas::Replicas;
use super::verdict::{Facts, Verdict, tone, verdict};
use crate::delivery::gate::breaker::Mode;
use crate::domain::event::EventState;
use crate::domain::feed::Feed;
use crate::domain::ids::SourceName;
use crate::operators::{By, Calls};
use crate::store::{Activity, AttemptOutcome, Failure, Levels, Range};
use crate::web::console::frame::{
    Fault, Numbers, Page, Tab, View, When, grouped, href, render, sentence, words,
};

/// Number of recent failures that are shown.
const FAILURES: u32 = 6;

#[derive(Template)]
#[template(path = "overview.html", config = "src/web/console/askama.toml")]
struct Overview {
    page: Page,
    verdict: Verdict,
    states: Vec<StateTile>,
    feeds: BTreeMap<SourceName, Feed>,
    calls: Calls,
    mode: &'static str,
    detail: String,
    rate: String,
    per_minute: String,
    levels: Levels,
    charts: Vec<SourceCharts>,
    /// Set if there is more than one.
    replicas: Option<Replicas>,
    failures: Vec<Failure>,
    numbers: Numbers,
}

struct StateTile {
    state: &'static str,
    n: String,
    href: String,
    hint: String,
}

struct SourceCharts {
    source: String,
    charts: [Chart; 2],
}

/// The page.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let page = view.page("Overview", Tab::Overview).await?;
    let operators = view.operators();
    let (store, now) = (operators.store(), operators.now());
    let levels = store.levels(now).await;
    let problems = operators.problems(&levels, now).await;
    let levels = levels?;
    let connects_last_minute = store.connects_last_minute(now).await?;
    let calls = operators.calls();
    let has_conflicts = !store.conflicts(false, None, 1).await?.is_empty();
    let feeds = operators.feeds(now).await?;
    // The sentence is decided by a pure function of these facts.
    let facts = Facts {
        problems,
        mode: &calls.mode,
        is_paused: calls.is_paused,
        levels: &levels,
        has_conflicts,
        feeds: &feeds,
        clock_step: operators.clock_step(now),
        config_difference: operators.config_difference(),
        now,
    };
    let failures = store.failures(FAILURES).await?;
    let named = failures.iter();
    let named = named.map(|failure| (failure.source.as_str(), failure.external_id.as_deref()));
    let numbers = view.numbers(named).await?;
    let (mode, detail) = in_words(&calls, now);
    let overview = Overview {
        verdict: verdict(&facts),
        states: EventState::ALL
            .into_iter()
            .map(|state| tile(state, &levels))
            .collect(),
        mode,
        detail,
        rate: calls
            .rate
            .map_or_else(|| "no limit".to_owned(), |rate| format!("{rate:.1} / s")),
        per_minute: grouped(connects_last_minute),
        charts: charts(
            operators.source_names().iter().map(ToString::to_string),
            &store.activity(now, Range::Hour).await?,
            &store.activity(now, Range::Day).await?,
        ),
        replicas: Replicas::read(operators).await?,
        feeds,
        calls,
        levels,
        failures,
        numbers,
        page,
    };
    Ok(render(&overview))
}

fn tile(state: EventState, levels: &Levels) -> StateTile {
    let of_state = levels.counts.iter().filter(|(_, s, _)| *s == state);
    let by_source: Vec<String> = of_state
        .map(|(source, _, n)| format!("{source} {}", grouped(*n)))
        .collect();
    StateTile {
        state: state.as_str(),
        n: grouped(levels.total(state)),
        href: match state {
            EventState::Parked => "/parked".to_owned(),
            EventState::Dead => "/dead".to_owned(),
            EventState::Queued
            | EventState::Connected
            | EventState::Expired
            | EventState::Skipped
            | EventState::Ignored => href::list("/events", &[("state", Some(state.as_str()))]),
        },
        hint: by_source.join(", "),
    }
}

/// The state of the calls in a few words, and in sentences with the replica that makes them.
fn in_words(calls: &Calls, now: Timestamp) -> (&'static str, String) {
    let (words, detail) = state_in_words(calls, now);
    match &calls.by {
        By::Me => (words, detail),
        By::Replica(id) => (words, format!("{detail} Replica {id} makes the calls.")),
        By::Unknown => (
            "Not known",
            "This replica makes no calls, and does not know yet which one does.".to_owned(),
        ),
    }
}

fn state_in_words(calls: &Calls, now: Timestamp) -> (&'static str, String) {
    let next = |at: Timestamp| When::at(at, now).relative;
    let asked = calls.asked_to_wait.as_ref();
    let wish = asked.map(|asked| {
        let (answer, until) = (sentence(&asked.reason), next(asked.until));
        format!("Serval asked to wait. {answer} The wait ends {until}.")
    });
    match &calls.mode {
        // A pause stops the calls whatever Serval does, so it is what the operator has to know.
        _ if calls.is_paused => {
            let detail = "An operator paused the calls. Webhooks are still stored.";
            ("Paused", detail.to_owned())
        }
        Mode::Closed if wish.is_some() => ("Calls wait", wish.unwrap_or_default()),
        Mode::Closed => (
            "Calls are made",
            "Each event is sent when it is due.".to_owned(),
        ),
        Mode::Suspect(probing) => {
            let next = next(probing.next_at);
            let detail = format!("Waiting events are probed; next probe {next}.");
            ("Some calls fail", with(detail, wish))
        }
        Mode::Open(probing) => {
            let next = next(probing.next_at);
            let detail = format!("The circuit breaker is open: one probe at a time; next {next}.");
            ("Serval is down", with(detail, wish))
        }
        Mode::Held(hold) => {
            let (reason, next) = (sentence(&hold.reason), next(hold.check_at));
            let detail = format!("{reason} Next try of the credentials: {next}.");
            ("Credentials refused", detail)
        }
    }
}

fn with(detail: String, wish: Option<String>) -> String {
    match wish {
        Some(wish) => format!("{detail} {wish}"),
        None => detail,
    }
}

/// A row for each configured source, and for each other that had anything to do.
fn charts(
    configured: impl Iterator<Item = String>,
    hour: &Activity,
    day: &Activity,
) -> Vec<SourceCharts> {
    // A source that is not configured any more may still have events of the last day.
    let mut names: Vec<String> = configured.chain(day.keys().cloned()).collect();
    names.sort();
    names.dedup();
    let chart = |name: &str, activity: &Activity, range| {
        let buckets = activity.get(name).map_or(&[][..], Vec::as_slice);
        Chart::new(name, buckets, range)
    };
    names
        .into_iter()
        .map(|source| SourceCharts {
            charts: [
                chart(&source, hour, Range::Hour),
                chart(&source, day, Range::Day),
            ],
            source,
        })
        .collect()
}

/// The state whose colour the trouble of a feed has.
fn coloured(feed: &Feed) -> &'static str {
    match feed.trouble.map(|(trouble, _)| tone(trouble)) {
        Some("look") => "parked",
        Some(_) | None => "dead",
    }
}

/// Serval's answer to a failed call.
fn answer(failure: &Failure) -> String {
    let attempt = &failure.attempt;
    let parts = [
        attempt.status.map(|status| status.to_string()),
        attempt.code.clone(),
        attempt.answer.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        words::outcome(attempt.outcome.as_str()).to_owned()
    } else {
        parts.join(" · ")
    }
}

/// Result of a failed call for its event.
fn result(failure: &Failure) -> &'static str {
    match failure.attempt.outcome {
        AttemptOutcome::Dead => "given up",
        AttemptOutcome::Held => "held",
        AttemptOutcome::Connected | AttemptOutcome::AlreadyLinked | AttemptOutcome::Retry => {
            "will be retried"
        }
    }
}
