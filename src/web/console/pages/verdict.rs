//! The first sentence of the overview: is all well, and if not, what is wrong. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::delivery::gate::breaker::Mode;
use crate::domain::event::EventState;
use crate::domain::feed::{Feed, Trouble};
use crate::domain::ids::SourceName;
use crate::store::Levels;
use crate::web::console::frame::{count, sentence, span};

/// Seconds after which the oldest due event is late.
const LATE_SECONDS: i64 = 120;

/// The state of the installation, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `good`, `look` or `bad`.
    pub(super) tone: &'static str,
    pub(super) sentence: String,
    /// Further facts, each with a link.
    pub(super) reasons: Vec<Reason>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) href: Option<&'static str>,
}

/// Facts that the verdict is made of.
pub(super) struct Facts<'a> {
    pub(super) problems: Vec<String>,
    pub(super) mode: &'a Mode,
    pub(super) is_paused: bool,
    pub(super) levels: &'a Levels,
    pub(super) has_conflicts: bool,
    pub(super) feeds: &'a BTreeMap<SourceName, Feed>,
    pub(super) clock_step: Option<String>,
    pub(super) config_difference: Option<String>,
    pub(super) now: Timestamp,
}

/// Chooses the sentence: the worst fact makes it, the others follow.
pub(super) fn verdict(facts: &Facts<'_>) -> Verdict {
    let mut said: Vec<(&'static str, Reason)> = Vec::new();
    let mut say = |tone, text: String, href| said.push((tone, Reason { text, href }));
    for problem in &facts.problems {
        say("bad", sentence(problem), None);
    }
    for (source, feed) in facts.feeds {
        if let Some((trouble, since)) = feed.trouble {
            let cause = feed.refused_cause.unwrap_or_default();
            say(
                tone(trouble),
                of_trouble(source, trouble, cause, &ago(since, facts.now)),
                None,
            );
        }
    }
    match facts.mode {
        Mode::Open(probing) => {
            let since = ago(probing.since, facts.now);
            let text = format!(
                "Serval has not answered for {since}. Probe calls are made; no webhook is lost."
            );
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
        Mode::Closed | Mode::Held(_) => {}
    }
    // A pause and an open breaker explain a late queue, so it is reported only without them.
    let queued = facts.levels.total(EventState::Queued);
    if facts.is_paused {
        let waiting = count(queued, "event waits", "events wait");
        let text = format!("Calls to Serval are paused; {waiting} for them to resume.");
        say("look", text, Some("/events?state=queued"));
    } else if let Some(due) = facts.levels.oldest_due
        && facts.now.duration_since(due).as_secs() > LATE_SECONDS
        && matches!(facts.mode, Mode::Closed)
    {
        let text = format!(
            "The oldest due event has waited for {}.",
            ago(due, facts.now)
        );
        say("look", text, Some("/events?state=queued"));
    }
    if let Some(difference) = &facts.config_difference {
        say("look", sentence(difference), None);
    }
    let dead = facts.levels.total(EventState::Dead);
    if dead > 0 {
        let text = count(
            dead,
            "event was given up and needs",
            "events were given up and need",
        );
        say("look", format!("{text} attention."), Some("/dead"));
    }
    if facts.has_conflicts {
        let text = "A payload contradicts a mapping and waits for a decision.".to_owned();
        say("look", text, Some("/conflicts"));
    }
    // Parked tickets are usual work, so they do not change the sentence.
    let parked = facts.levels.total(EventState::Parked);
    if parked > 0 {
        let text = count(parked, "external ticket waits", "external tickets wait");
        say("good", format!("{text} for a mapping."), Some("/parked"));
    }
    // A clock that is wrong shows in the sources' troubles. Most steps are a daemon that was off.
    if let Some(step) = &facts.clock_step {
        say("good", sentence(step), None);
    }
    // Facts are collected in the order of their weight, so the first of the worst tone is the sentence.
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
            "/dead" => "Show dead events".to_owned(),
            "/conflicts" => "Show conflicts".to_owned(),
            _ => "Show the queue".to_owned(),
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

/// The tone of a trouble.
pub(super) fn tone(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::RateLimited => "look",
        Trouble::Uninstalled
        | Trouble::TokensRevoked
        | Trouble::Refusing
        | Trouble::ForeignInstance
        | Trouble::Silent => "bad",
    }
}

fn of_trouble(source: &SourceName, trouble: Trouble, cause: &str, ago: &str) -> String {
    match trouble {
        Trouble::Refusing => {
            format!("All webhooks of {source} have been refused for {ago}, the last for: {cause}.")
        }
        Trouble::Silent => format!("{source} has sent no webhook for {ago}."),
        Trouble::Uninstalled
        | Trouble::TokensRevoked
        | Trouble::ForeignInstance
        | Trouble::RateLimited => format!("{source}: {} ({ago} ago).", trouble.text()),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    span(Duration::from_secs(seconds.unsigned_abs()))
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
    fn a_step_of_the_clock_is_told_below_the_sentence_and_a_difference_of_replicas_in_it() {
        let (clock, difference) = ("the clock went back", "1 other replica runs with another");
        for (clock_step, config_difference, sentence, reason) in [
            (
                Some(clock),
                None,
                "All is well.",
                Some("The clock went back."),
            ),
            (
                None,
                Some(difference),
                "1 other replica runs with another.",
                None,
            ),
        ] {
            let verdict = verdict(&Facts {
                problems: Vec::new(),
                mode: &Mode::Closed,
                is_paused: false,
                levels: &levels(&[]),
                has_conflicts: false,
                feeds: &BTreeMap::new(),
                clock_step: clock_step.map(str::to_owned),
                config_difference: config_difference.map(str::to_owned),
                now: "2026-11-24T08:00:00Z".parse().unwrap(),
            });
            assert_eq!(verdict.sentence, sentence);
            let first = verdict.reasons.first().map(|first| first.text.as_str());
            assert_eq!(first, reason);
        }
    }

    #[test]
    fn the_worst_makes_the_sentence() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let mut feeds = BTreeMap::new();
        let of = |levels: &Levels, feeds: &BTreeMap<_, _>, problems: &[&str], is_paused| {
            let verdict = verdict(&Facts {
                problems: problems.iter().map(|p| (*p).to_owned()).collect(),
                mode: &Mode::Closed,
                is_paused,
                levels,
                has_conflicts: false,
                feeds,
                clock_step: None,
                config_difference: None,
                now,
            });
            let links: Vec<_> = verdict.reasons.iter().filter_map(|r| r.href).collect();
            (verdict.tone, verdict.sentence, links)
        };
        let (tone, sentence, links) = of(&levels(&[]), &feeds, &[], false);
        assert_eq!(
            (tone, sentence.as_str(), links.len()),
            ("good", "All is well.", 0)
        );

        let parked = levels(&[(EventState::Parked, 2)]);
        let (tone, sentence, links) = of(&parked, &feeds, &[], false);
        assert_eq!((tone, sentence.as_str()), ("good", "All is well."));
        assert_eq!(links, ["/parked"]);

        let dead = levels(&[(EventState::Dead, 1), (EventState::Parked, 2)]);
        let (tone, sentence, links) = of(&dead, &feeds, &[], false);
        assert_eq!(tone, "look");
        assert_eq!(sentence, "1 event was given up and needs attention.");
        assert_eq!(links, ["/dead", "/parked"]);

        let (tone, sentence, _) = of(&dead, &feeds, &["nothing can be stored: disk"], true);
        assert_eq!(
            (tone, sentence.as_str()),
            ("bad", "Nothing can be stored: disk.")
        );

        for (trouble, tone, expected) in [
            (
                Trouble::Refusing,
                "bad",
                "All webhooks of crm have been refused for 5 min, the last for: mismatch.",
            ),
            (
                Trouble::Uninstalled,
                "bad",
                "crm: the app was removed there, so nothing more will come until it is installed again (5 min ago).",
            ),
            (Trouble::Silent, "bad", "crm has sent no webhook for 5 min."),
            (
                Trouble::RateLimited,
                "look",
                "crm: events are held back there, because there are too many, and those are lost (5 min ago).",
            ),
        ] {
            let feed = Feed {
                last_webhook_at: None,
                last_refused_at: None,
                refused_last_hour: 1,
                refused_cause: Some("mismatch"),
                trouble: Some((trouble, now - jiff::SignedDuration::from_mins(5))),
            };
            feeds.insert("crm".parse().unwrap(), feed);
            let (found, sentence, _) = of(&dead, &feeds, &[], true);
            assert_eq!((found, sentence.as_str()), (tone, expected));
        }
    }
}
