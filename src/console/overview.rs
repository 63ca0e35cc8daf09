//! Is everything well? One sentence, then what moves, what waits and what failed.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::chart::Chart;
use super::fault::{Fault, render};
use super::page::{Numbers, Page, Tab, View, count, grouped};
use super::time::{When, span};
use super::{href, words};
use crate::delivery::line::Mode;
use crate::domain::event::EventState;
use crate::operator::problems;
use crate::store::{Activity, Failure, Levels, Range};

/// Failures that are shown.
const FAILURES: u32 = 6;
/// What is due for longer deserves a word.
const LATE_SECONDS: i64 = 120;

#[derive(Template)]
#[template(path = "overview.html", config = "src/console/askama.toml")]
struct Overview {
    page: Page,
    verdict: Verdict,
    states: Vec<StateTile>,
    line: Line,
    charts: Vec<SourceCharts>,
    failures: Vec<FailureRow>,
}

/// How things are, in words.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    /// `good`, `look` or `bad`.
    tone: &'static str,
    sentence: String,
    /// What else there is to say, each with where to go.
    reasons: Vec<Reason>,
}

#[derive(Debug, PartialEq, Eq)]
struct Reason {
    text: String,
    href: Option<&'static str>,
}

struct StateTile {
    state: &'static str,
    n: String,
    href: String,
    hint: String,
}

/// The calls to Serval.
struct Line {
    paused: bool,
    mode: String,
    detail: String,
    in_flight: String,
    rate: String,
    per_minute: String,
    oldest_due: Option<When>,
    oldest_parked: Option<When>,
}

struct SourceCharts {
    source: String,
    charts: [Chart; 2],
}

struct FailureRow {
    at: When,
    source: String,
    title: String,
    ticket: Option<String>,
    event: String,
    event_href: String,
    outcome: &'static str,
    what: String,
}

/// The page.
pub(super) async fn show(view: View) -> Result<Response, Fault> {
    let page = view.page("Overview", Tab::Overview).await?;
    let desk = view.desk();
    let (store, monitor, now) = (desk.store(), desk.monitor(), desk.now());
    let levels = store.levels(now).await;
    let problems = problems(store, monitor, &levels, now).await;
    let levels = levels?;
    let stats = store.stats(now).await?;
    let mode = monitor.mode();
    let is_paused = monitor.is_paused();
    let has_conflicts = !store.conflicts(false, None, 1).await?.is_empty();
    let facts = Facts {
        problems,
        mode: &mode,
        is_paused,
        levels: &levels,
        has_conflicts,
        now,
    };
    let failures = store.failures(FAILURES).await?;
    let named = failures.iter();
    let named = named.map(|failure| (failure.source.as_str(), failure.external_id.as_deref()));
    let numbers = view.numbers(named).await?;
    let when = |at: Option<Timestamp>| at.map(|at| When::at(at, now));
    let overview = Overview {
        verdict: verdict(&facts),
        states: EventState::ALL
            .into_iter()
            .map(|state| tile(state, &levels))
            .collect(),
        line: Line {
            paused: is_paused,
            mode: mode_word(&mode, is_paused).to_owned(),
            detail: mode_detail(&mode, is_paused, now),
            in_flight: monitor.in_flight().to_string(),
            rate: monitor
                .rate()
                .map_or_else(|| "no limit".to_owned(), |rate| format!("{rate:.1} / s")),
            per_minute: grouped(stats.connects_last_minute),
            oldest_due: when(levels.oldest_due),
            oldest_parked: when(levels.oldest_parked),
        },
        charts: charts(
            desk.source_names().iter().map(ToString::to_string),
            &store.activity(now, Range::Hour).await?,
            &store.activity(now, Range::Day).await?,
        ),
        failures: failures
            .into_iter()
            .map(|failure| failure_row(failure, &numbers, now))
            .collect(),
        page,
    };
    Ok(render(StatusCode::OK, &overview))
}

/// What the verdict is made of.
struct Facts<'a> {
    problems: Vec<String>,
    mode: &'a Mode,
    is_paused: bool,
    levels: &'a Levels,
    has_conflicts: bool,
    now: Timestamp,
}

impl Facts<'_> {
    fn sum(&self, state: EventState) -> i64 {
        let counts = self.levels.counts.iter().filter(|(_, s, _)| *s == state);
        counts.map(|(.., n)| n).sum()
    }
}

/// The worst that is true makes the sentence; the rest follows it.
fn verdict(facts: &Facts<'_>) -> Verdict {
    let mut said: Vec<(&'static str, Reason)> = Vec::new();
    let mut say = |tone, text: String, href| said.push((tone, Reason { text, href }));
    for problem in &facts.problems {
        say("bad", super::fault::sentence(problem), None);
    }
    match facts.mode {
        Mode::Open(probing) => {
            let since = ago(probing.since, facts.now);
            let text =
                format!("Serval has not answered for {since}. It is probed; nothing is lost.");
            say("bad", text, None);
        }
        Mode::Suspect(probing) => {
            let since = ago(probing.since, facts.now);
            say(
                "look",
                format!("Some calls to Serval have failed for {since}."),
                None,
            );
        }
        Mode::Flowing | Mode::Held(_) => {}
    }
    let queued = facts.sum(EventState::Queued);
    if facts.is_paused {
        let waiting = count(queued, "event waits", "events wait");
        let text = format!("Calls to Serval are paused; {waiting} for them to resume.");
        say("look", text, Some("/events?state=queued"));
    } else if let Some(due) = facts.levels.oldest_due
        && facts.now.duration_since(due).as_secs() > LATE_SECONDS
        && matches!(facts.mode, Mode::Flowing)
    {
        let text = format!(
            "The oldest event in the queue is late by {}.",
            ago(due, facts.now)
        );
        say("look", text, Some("/events?state=queued"));
    }
    let dead = facts.sum(EventState::Dead);
    if dead > 0 {
        let text = count(
            dead,
            "event was given up and needs",
            "events were given up and need",
        );
        say("look", format!("{text} somebody to look."), Some("/dead"));
    }
    if facts.has_conflicts {
        let text = "A payload contradicts a mapping and waits for a decision.".to_owned();
        say("look", text, Some("/conflicts"));
    }
    let parked = facts.sum(EventState::Parked);
    if parked > 0 {
        let text = count(parked, "external ticket waits", "external tickets wait");
        say("good", format!("{text} for a mapping."), Some("/parked"));
    }
    let worst = ["bad", "look"]
        .into_iter()
        .find(|tone| said.iter().any(|(of, _)| of == tone));
    let Some(tone) = worst else {
        let reasons = said.into_iter().map(|(_, reason)| reason).collect();
        return Verdict {
            tone: "good",
            sentence: "All is well.".to_owned(),
            reasons,
        };
    };
    let at = said.iter().position(|(of, _)| *of == tone).unwrap_or(0);
    let (_, first) = said.remove(at);
    let sentence = first.text.clone();
    let link = first.href.map(|href| Reason {
        text: match href {
            "/dead" => "Look at what was given up".to_owned(),
            "/conflicts" => "Decide".to_owned(),
            _ => "Look at the queue".to_owned(),
        },
        href: Some(href),
    });
    let rest = said.into_iter().map(|(_, reason)| reason);
    Verdict {
        tone,
        sentence,
        reasons: link.into_iter().chain(rest).collect(),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    span(std::time::Duration::from_secs(seconds.unsigned_abs()))
}

fn tile(state: EventState, levels: &Levels) -> StateTile {
    let of_state = || levels.counts.iter().filter(move |(_, s, _)| *s == state);
    let total: i64 = of_state().map(|(.., n)| n).sum();
    let by_source: Vec<String> = of_state()
        .map(|(source, _, n)| format!("{source} {}", grouped(*n)))
        .collect();
    StateTile {
        state: state.as_str(),
        n: grouped(total),
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

fn mode_word(mode: &Mode, is_paused: bool) -> &'static str {
    match mode {
        _ if is_paused => "Paused",
        Mode::Flowing => "Calls are made",
        Mode::Suspect(_) => "Some calls fail",
        Mode::Open(_) => "Serval is down",
        Mode::Held(_) => "Credentials refused",
    }
}

fn mode_detail(mode: &Mode, is_paused: bool, now: Timestamp) -> String {
    let next = |at: Timestamp| When::at(at, now).relative;
    match mode {
        _ if is_paused => {
            "An operator stopped the calls. Webhooks are stored all the same.".to_owned()
        }
        Mode::Flowing => "Each event is sent when it is due.".to_owned(),
        Mode::Suspect(probing) => {
            format!("What waits is probed, next {}.", next(probing.next_at))
        }
        Mode::Open(probing) => format!(
            "The breaker is open: one probe at a time, next {}.",
            next(probing.next_at)
        ),
        Mode::Held(hold) => format!(
            "{} The credentials are tried again {}.",
            super::fault::sentence(&hold.reason),
            next(hold.check_at)
        ),
    }
}

/// A row for each configured source, and for each other that had anything to do.
fn charts(
    configured: impl Iterator<Item = String>,
    hour: &Activity,
    day: &Activity,
) -> Vec<SourceCharts> {
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

fn failure_row(failure: Failure, numbers: &Numbers, now: Timestamp) -> FailureRow {
    let parts = [
        failure.status.map(|status| status.to_string()),
        failure.code,
        failure.answer,
    ];
    let what: Vec<String> = parts.into_iter().flatten().collect();
    let ticket = failure
        .external_id
        .as_deref()
        .map(|id| href::ticket(&failure.source, id));
    FailureRow {
        at: When::at(failure.at, now),
        title: failure
            .external_id
            .map(|id| numbers.name(&failure.source, &id))
            .unwrap_or_default(),
        source: failure.source,
        ticket,
        event: failure.event.to_string(),
        event_href: href::event(failure.event),
        outcome: match failure.outcome.as_str() {
            "dead" => "given up",
            "held" => "held",
            _ => "will be tried again",
        },
        what: if what.is_empty() {
            words::outcome(&failure.outcome).to_owned()
        } else {
            what.join(" · ")
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(counts: &[(EventState, i64)]) -> Levels {
        Levels {
            counts: counts
                .iter()
                .map(|(state, n)| ("slack".to_owned(), *state, *n))
                .collect(),
            ..Levels::default()
        }
    }

    #[test]
    fn the_worst_makes_the_sentence() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let of = |levels: &Levels, problems: &[&str], is_paused| {
            let verdict = verdict(&Facts {
                problems: problems.iter().map(|p| (*p).to_owned()).collect(),
                mode: &Mode::Flowing,
                is_paused,
                levels,
                has_conflicts: false,
                now,
            });
            let links: Vec<_> = verdict.reasons.iter().filter_map(|r| r.href).collect();
            (verdict.tone, verdict.sentence, links)
        };
        let (tone, sentence, links) = of(&levels(&[]), &[], false);
        assert_eq!(
            (tone, sentence.as_str(), links.len()),
            ("good", "All is well.", 0)
        );

        let parked = levels(&[(EventState::Parked, 2)]);
        let (tone, sentence, links) = of(&parked, &[], false);
        assert_eq!((tone, sentence.as_str()), ("good", "All is well."));
        assert_eq!(links, ["/parked"]);

        let dead = levels(&[(EventState::Dead, 1), (EventState::Parked, 2)]);
        let (tone, sentence, links) = of(&dead, &[], false);
        assert_eq!(tone, "look");
        assert_eq!(sentence, "1 event was given up and needs somebody to look.");
        assert_eq!(links, ["/dead", "/parked"]);

        let (tone, sentence, _) = of(&dead, &["nothing can be stored: disk"], true);
        assert_eq!(
            (tone, sentence.as_str()),
            ("bad", "Nothing can be stored: disk.")
        );
    }
}
