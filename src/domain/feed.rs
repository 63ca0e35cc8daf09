//! Feeds: what comes from a source, and what troubles it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::retry::later;
use super::words::words;

/// Refusals and reports are forgotten after this time.
const MEMORY: Duration = Duration::from_hours(1);
/// Minutes in [`MEMORY`].
const MINUTES: i64 = 60;

words! {
    /// Trouble of a source: its webhooks do not come, or not all of them. The weightiest stands first.
    pub enum Trouble {
        /// The app was removed from the system that sends.
        Uninstalled = "uninstalled",
        /// The app lost the tokens that it needs to hear anything.
        TokensRevoked = "tokens_revoked",
        /// All webhooks of the last hour were refused.
        Refusing = "refusing",
        /// Webhooks of another instance arrive, such as a clone.
        ForeignInstance = "foreign_instance",
        /// The sender drops events, because there are too many.
        RateLimited = "rate_limited",
        /// Nothing came for longer than the source's `expect_every`.
        Silent = "silent",
    }
}

/// The word of a webhook on the state of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sign {
    /// The source works: something came that only a living app sends.
    #[default]
    Alive,
    /// Nothing: it is a notice about the app itself, which may come also after its end.
    Notice,
    /// The source has a trouble.
    Trouble(Trouble),
}

impl Sign {
    /// The trouble that it reports.
    pub fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Trouble(trouble) => Some(trouble),
            Self::Alive | Self::Notice => None,
        }
    }
}

impl Trouble {
    /// True if it lasts until a sign of life comes, also over a restart.
    pub fn lasts(self) -> bool {
        matches!(self, Self::Uninstalled | Self::TokensRevoked)
    }

    /// Explains it to people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Uninstalled => {
                "the app was removed there, so nothing more will come until it is installed again"
            }
            Self::TokensRevoked => {
                "the app has lost its tokens, so nothing more will come until it is installed again"
            }
            Self::Refusing => "every webhook of the last hour was refused",
            Self::ForeignInstance => {
                "webhooks of another instance arrive, perhaps of a clone, and are ignored"
            }
            Self::RateLimited => {
                "events are held back there, because there are too many, and those are lost"
            }
            Self::Silent => "no webhook came for longer than expect_every",
        }
    }

    /// Chooses what stays of a lasting trouble when the next webhook comes, with this sign. The removal
    /// of an app revokes its tokens, too, and the two are announced in any order. The statement
    /// `store::feeds::heard` repeats this rule.
    #[must_use]
    pub fn after(before: Option<Self>, sign: Sign) -> Option<Self> {
        match sign {
            Sign::Alive => None,
            Sign::Trouble(trouble) if trouble.lasts() && before != Some(Self::Uninstalled) => {
                Some(trouble)
            }
            Sign::Trouble(_) | Sign::Notice => before,
        }
    }
}

/// Arrivals and refusals of a source since the start of the process. The size is bounded.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Time since which the process listens.
    since: Timestamp,
    accepted_at: Option<Timestamp>,
    /// Refusals by minute.
    refused: BTreeMap<i64, u64>,
    /// Cause and time of the last refusal.
    last_refused: Option<(&'static str, Timestamp)>,
    /// First refusal after which no webhook was accepted.
    refusing_since: Option<Timestamp>,
    /// Report of a trouble that does not last.
    reported: Option<(Trouble, Timestamp)>,
}

/// Facts about a source that the store keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    /// Arrival of the last webhook that brought something new.
    pub last_webhook_at: Option<Timestamp>,
    /// Lasting trouble, and the time of its report.
    pub trouble: Option<(Trouble, Timestamp)>,
}

/// The state of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// Arrival of the last accepted webhook.
    pub last_webhook_at: Option<Timestamp>,
    /// Time of the last refusal, if the process knows one.
    pub last_refused_at: Option<Timestamp>,
    /// Number of webhooks that were refused in the last hour.
    pub refused_last_hour: u64,
    /// Cause of the last refusal.
    pub refused_cause: Option<&'static str>,
    /// Trouble, and the time since which it is known.
    pub trouble: Option<(Trouble, Timestamp)>,
}

impl Heard {
    /// Nothing was heard yet at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            accepted_at: None,
            refused: BTreeMap::new(),
            last_refused: None,
            refusing_since: None,
            reported: None,
        }
    }

    /// A webhook was accepted.
    pub fn accepted(&mut self, now: Timestamp) {
        self.accepted_at = Some(now);
        self.refusing_since = None;
    }

    /// A webhook was refused.
    pub fn refused(&mut self, cause: &'static str, now: Timestamp) {
        let minute = minute(now);
        self.refused.retain(|at, _| in_last_hour(*at, minute));
        *self.refused.entry(minute).or_default() += 1;
        self.last_refused = Some((cause, now));
        self.refusing_since.get_or_insert(now);
    }

    /// An accepted webhook reported a trouble.
    pub fn reported(&mut self, trouble: Trouble, now: Timestamp) {
        if !trouble.lasts() {
            self.reported = Some((trouble, now));
        }
    }

    /// The state at `now`. `expect_every` is the longest time without a webhook; zero: any.
    pub fn feed(&self, kept: Kept, expect_every: Duration, now: Timestamp) -> Feed {
        let minute = minute(now);
        let refused = self.refused.iter();
        let counted = refused.filter(|(at, _)| in_last_hour(**at, minute));
        let refused_last_hour = counted.map(|(_, n)| n).sum();
        let last_webhook_at = self.accepted_at.max(kept.last_webhook_at);
        let is_recent = |at: Timestamp| later(at, MEMORY) > now;
        // One webhook that was accepted within the hour shows that the secret is right: the
        // refusals are then those of strangers.
        let is_refusing = refused_last_hour > 0 && !last_webhook_at.is_some_and(is_recent);
        let refusing = self.refusing_since.filter(|_| is_refusing);
        let reported = self.reported.filter(|(_, at)| is_recent(*at));
        // A source that never sent anything is measured from the start of the daemon.
        let quiet_since = last_webhook_at.unwrap_or(self.since);
        let is_silent = expect_every > Duration::ZERO && later(quiet_since, expect_every) < now;
        // The gravest comes first: the store keeps only what ends a feed for good, such as an app
        // that was removed. Only one is shown, since the others follow from it.
        let troubles = [
            kept.trouble,
            refusing.map(|since| (Trouble::Refusing, since)),
            reported,
            is_silent.then_some((Trouble::Silent, quiet_since)),
        ];
        Feed {
            last_webhook_at,
            last_refused_at: self.last_refused.map(|(_, at)| at),
            refused_last_hour,
            refused_cause: self.last_refused.map(|(cause, _)| cause),
            trouble: troubles.into_iter().flatten().next(),
        }
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

fn in_last_hour(minute: i64, now: i64) -> bool {
    (now - MINUTES + 1..=now).contains(&minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn kept(last: Option<i64>, trouble: Option<(Trouble, i64)>) -> Kept {
        Kept {
            last_webhook_at: last.map(at),
            trouble: trouble.map(|(trouble, since)| (trouble, at(since))),
        }
    }

    fn trouble(heard: &Heard, kept: Kept, expect_every: u64, now: i64) -> Option<(Trouble, i64)> {
        let feed = heard.feed(kept, Duration::from_secs(expect_every), at(now));
        let (trouble, since) = feed.trouble?;
        Some((trouble, since.as_second() - at(0).as_second()))
    }

    #[test]
    fn a_source_refuses_while_all_webhooks_of_the_last_hour_were_refused() {
        let mut heard = Heard::new(at(0));
        let never = Kept::default();
        assert_eq!(trouble(&heard, never, 0, 9 * HOUR), None);
        heard.refused("missing", at(10));
        heard.refused("mismatch", at(70));
        let feed = heard.feed(never, Duration::ZERO, at(80));
        assert_eq!(feed.refused_last_hour, 2);
        assert_eq!(feed.refused_cause, Some("mismatch"));
        assert_eq!(feed.last_refused_at, Some(at(70)));
        assert_eq!(feed.last_webhook_at, None);
        for (last, now, expected) in [
            (None, 80, Some((Trouble::Refusing, 10))),
            // A webhook that was accepted before the start of the process counts for its hour.
            (Some(-HOUR + 90), 80, None),
            (Some(-HOUR + 80), 80, Some((Trouble::Refusing, 10))),
            // The hour of the refusals ends, too.
            (None, HOUR + MINUTE - 1, Some((Trouble::Refusing, 10))),
            (None, HOUR + 2 * MINUTE, None),
        ] {
            let found = trouble(&heard, kept(last, None), 0, now);
            assert_eq!(found, expected, "{last:?} {now}");
        }
        // A good webhook ends it, and an hour later the next refusal begins it anew.
        heard.accepted(at(100));
        assert_eq!(trouble(&heard, never, 0, 100), None);
        assert_eq!(trouble(&heard, never, 0, HOUR + 101), None);
        heard.refused("stale", at(HOUR + 99));
        assert_eq!(trouble(&heard, never, 0, HOUR + 99), None);
        let refusing = Some((Trouble::Refusing, HOUR + 99));
        assert_eq!(trouble(&heard, never, 0, HOUR + 100), refusing);
        let feed = heard.feed(never, Duration::ZERO, at(HOUR + 100));
        assert_eq!(feed.last_webhook_at, Some(at(100)));
    }

    #[test]
    fn refusals_are_counted_for_an_hour_in_bounded_memory() {
        let mut heard = Heard::new(at(0));
        for minute in 0..1000 {
            for _ in 0..3 {
                heard.refused("missing", at(minute * MINUTE));
            }
        }
        assert!(heard.refused.len() <= 60, "{}", heard.refused.len());
        let n = |now| {
            let feed = heard.feed(Kept::default(), Duration::ZERO, at(now));
            feed.refused_last_hour
        };
        let last = 999 * MINUTE;
        assert_eq!(n(last), 180);
        assert_eq!(n(last + 30 * MINUTE), 90);
        assert_eq!(n(last + HOUR), 0);
        // The clock was set back: what is to come is no past.
        assert_eq!(n(last - 30 * MINUTE), 90);
    }

    #[test]
    fn reports_of_a_limit_or_another_instance_last_an_hour_whatever_comes() {
        for reported in [Trouble::RateLimited, Trouble::ForeignInstance] {
            let mut heard = Heard::new(at(0));
            heard.reported(reported, at(5));
            heard.accepted(at(6));
            let of = |now| trouble(&heard, Kept::default(), 0, now);
            assert_eq!(of(7), Some((reported, 5)));
            assert_eq!(of(HOUR + 4), Some((reported, 5)));
            assert_eq!(of(HOUR + 5), None);
        }
        // A lasting one is the store's to keep.
        let mut heard = Heard::new(at(0));
        heard.reported(Trouble::Uninstalled, at(5));
        assert_eq!(trouble(&heard, Kept::default(), 0, 6), None);
    }

    #[test]
    fn a_source_is_silent_after_its_own_time_only() {
        let heard = Heard::new(at(0));
        let (never, once) = (Kept::default(), kept(Some(-50), None));
        for (kept, expect_every, now, expected) in [
            (never, 0, 1_000_000, None),
            (never, 100, 100, None),
            (never, 100, 101, Some((Trouble::Silent, 0))),
            (once, 100, 50, None),
            (once, 100, 51, Some((Trouble::Silent, -50))),
        ] {
            let found = trouble(&heard, kept, expect_every, now);
            assert_eq!(found, expected, "{expect_every} {now}");
        }
        let mut heard = heard;
        heard.accepted(at(40));
        assert_eq!(trouble(&heard, once, 100, 140), None);
        assert_eq!(trouble(&heard, once, 100, 141), Some((Trouble::Silent, 40)));
    }

    #[test]
    fn the_weightiest_trouble_is_shown() {
        let mut heard = Heard::new(at(0));
        let shown = |heard: &Heard, kept| trouble(heard, kept, 1, 9).map(|(trouble, _)| trouble);
        let none = Kept::default();
        assert_eq!(shown(&heard, none), Some(Trouble::Silent));
        heard.reported(Trouble::RateLimited, at(1));
        assert_eq!(shown(&heard, none), Some(Trouble::RateLimited));
        heard.refused("missing", at(2));
        assert_eq!(shown(&heard, none), Some(Trouble::Refusing));
        let revoked = kept(Some(1), Some((Trouble::TokensRevoked, 1)));
        assert_eq!(shown(&heard, revoked), Some(Trouble::TokensRevoked));
    }

    #[test]
    fn a_lasting_trouble_ends_with_the_next_sign_of_life() {
        use Sign::{Alive, Notice};
        use Trouble::{RateLimited, TokensRevoked, Uninstalled};
        let says = Sign::Trouble;
        for (before, sign, after) in [
            (None, Alive, None),
            (None, Notice, None),
            (None, says(Uninstalled), Some(Uninstalled)),
            (None, says(TokensRevoked), Some(TokensRevoked)),
            (Some(Uninstalled), says(TokensRevoked), Some(Uninstalled)),
            (Some(TokensRevoked), says(Uninstalled), Some(Uninstalled)),
            (Some(Uninstalled), Alive, None),
            (Some(TokensRevoked), Alive, None),
            (Some(Uninstalled), Notice, Some(Uninstalled)),
            (Some(TokensRevoked), Notice, Some(TokensRevoked)),
            (Some(Uninstalled), says(RateLimited), Some(Uninstalled)),
            (Some(TokensRevoked), says(RateLimited), Some(TokensRevoked)),
            (None, says(RateLimited), None),
        ] {
            assert_eq!(Trouble::after(before, sign), after, "{before:?} {sign:?}");
        }
    }
}
