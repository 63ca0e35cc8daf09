//! The policy after a failed call: retry, hold or give up. One pure function decides.

use std::time::Duration;

use jiff::Timestamp;

use super::reason::Reason;
use super::retry::{MAX_RETRY_AFTER, RetryPolicy, later};

/// A failed call, as far as the policy depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Kind of the failure.
    pub kind: FailureKind,
    /// True if the call may have arrived, so that the links are read before the next call.
    pub in_doubt: bool,
    /// Wait that Serval asked for.
    pub retry_after: Option<Duration>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No answer from Serval: the network, or the token endpoint.
    Unreachable,
    /// Serval answers no caller at present.
    Unavailable,
    /// Serval failed while it handled this call.
    Faulty,
    /// Serval limits the rate of calls.
    Throttled,
    /// Serval refuses our credentials. The event is not the cause.
    CredentialsRefused,
    /// Serval reports that it has the pair, but its links do not show it.
    Exists,
    /// An answer that will not change until a person acts.
    Permanent(Reason),
}

impl FailureKind {
    /// True if Serval answered, and would answer the same again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Permanent(_) | Self::Exists)
    }
}

/// Decision about the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again.
    RetryAt {
        /// Not before.
        at: Timestamp,
        /// True if Serval asked to wait until then, so that nothing may make it earlier.
        asked: bool,
    },
    /// All calls wait; the event loses nothing.
    Hold,
    /// Given up.
    Dead(Reason),
}

/// A failed call and the history of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The failure.
    pub failure: Failure,
    /// Counted tries before this one.
    pub tries: u32,
    /// Time at which the event entered the queue.
    pub queued_at: Timestamp,
    /// True if Serval as a whole is down, so that the event is not the cause.
    pub is_outage: bool,
    /// Time at which the mapping was written; `None`: the event has none.
    pub mapped_at: Option<Timestamp>,
    /// Time of the first `not_found` about this mapping, if this is not the first.
    pub unknown_since: Option<Timestamp>,
}

/// Time after the writing of a mapping in which its Serval ticket may be too new for Serval to find it.
const FRESH: Duration = Duration::from_mins(5);
/// Time for which such a ticket is tried again, from the first `not_found` on.
const FRESH_TRIES: Duration = Duration::from_mins(1);
/// Shortest and longest wait between two of these tries.
const FRESH_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// The wait before a Serval ticket that Serval does not know is tried again: as long as it is unknown by
/// now, within limits. `None`: it does not exist.
fn wait_for_ticket(
    mapped_at: Option<Timestamp>,
    unknown_since: Timestamp,
    now: Timestamp,
) -> Option<Duration> {
    let is_fresh = unknown_since < later(mapped_at?, FRESH);
    // If the clock was set back by more, the tries end, too.
    let unknown_for = now.duration_since(unknown_since).unsigned_abs();
    let (shortest, longest) = FRESH_WAIT;
    (is_fresh && unknown_for < FRESH_TRIES).then(|| unknown_for.clamp(shortest, longest))
}

/// Decides what happens to the event. `jitter` is in [0, 1).
pub fn decide(case: Case, policy: &RetryPolicy, now: Timestamp, jitter: f64) -> Next {
    let failure = case.failure;
    // In an outage an event loses neither tries nor age, and its wait stays short. It goes behind the
    // others, so that the next probe takes another event.
    let (tries, queued_at, unknown_since) = if case.is_outage {
        (0, now, now)
    } else {
        let unknown_since = case.unknown_since.unwrap_or(now);
        (case.tries, case.queued_at, unknown_since)
    };
    match failure.kind {
        FailureKind::CredentialsRefused => Next::Hold,
        FailureKind::Exists => Next::Dead(Reason::Conflict),
        FailureKind::Permanent(Reason::NotFound)
            if let Some(wait) = wait_for_ticket(case.mapped_at, unknown_since, now) =>
        {
            let at = later(now, wait);
            Next::RetryAt { at, asked: false }
        }
        FailureKind::Permanent(reason) => Next::Dead(reason),
        FailureKind::Unreachable
        | FailureKind::Unavailable
        | FailureKind::Faulty
        | FailureKind::Throttled => {
            if policy.is_over(queued_at, now) {
                return Next::Dead(Reason::GaveUp);
            }
            let at = policy.retry_at(tries, failure.retry_after, now, jitter);
            let asked = failure.retry_after.is_some_and(|wait| !wait.is_zero());
            Next::RetryAt { at, asked }
        }
    }
}

/// Shortest time between two checks of refused credentials.
const CREDENTIALS_CHECK: Duration = Duration::from_secs(30);

/// Decides when refused credentials are checked again. `asked`: the wait that Serval asked for.
pub fn check_credentials_at(asked: Option<Duration>, now: Timestamp) -> Timestamp {
    let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
    later(now, CREDENTIALS_CHECK.max(asked))
}

/// Decides when a failed unlink is made again. An error: it is given up, for this reason. An outage costs it
/// no age. Its waits grow all the same, so that a Serval that is down is not called every second.
pub fn decide_unlink(
    case: Case,
    policy: &RetryPolicy,
    now: Timestamp,
    jitter: f64,
) -> Result<Timestamp, Reason> {
    let queued_at = if case.is_outage { now } else { case.queued_at };
    let case = Case {
        queued_at,
        is_outage: false,
        ..case
    };
    match decide(case, policy, now, jitter) {
        Next::RetryAt { at, .. } => Ok(at),
        Next::Hold => Ok(check_credentials_at(case.failure.retry_after, now)),
        Next::Dead(reason) => Err(reason),
    }
}

/// Decides when Serval is asked again for a pair to unlink that it does not list: a new link may appear
/// late. `None`: it has no such link.
pub fn ask_again_for_link(queued_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let again = later(queued_at, Duration::from_secs(30));
    (now < again).then_some(again)
}

/// Decides how long to wait after try number `tries` (from 1) to register the messages that a connect
/// call could not carry. The pair is linked by then, so the event does not wait for more than three.
pub fn register_again(tries: u32) -> Option<Duration> {
    (tries < 3).then_some(Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlink_is_made_again_unless_serval_refuses_it() {
        use FailureKind::{CredentialsRefused, Exists, Permanent, Unavailable};
        let policy = RetryPolicy::giving_up_after(Duration::from_secs(100));
        let at = |second| Timestamp::from_second(second).unwrap();
        let gave_up = Err(Reason::GaveUp);
        let not_found = Err(Reason::NotFound);
        for (kind, now, expected, in_outage) in [
            (Unavailable, 1_010, Ok(at(1_012)), Ok(at(1_012))),
            (Unavailable, 1_100, gave_up, Ok(at(1_102))),
            (CredentialsRefused, 1_100, Ok(at(1_130)), Ok(at(1_130))),
            (Exists, 1_010, Err(Reason::Conflict), Err(Reason::Conflict)),
            (Permanent(Reason::NotFound), 1_010, not_found, not_found),
        ] {
            let case = Case {
                failure: Failure {
                    kind,
                    in_doubt: false,
                    retry_after: None,
                },
                tries: 2,
                queued_at: at(1_000),
                is_outage: false,
                mapped_at: None,
                unknown_since: None,
            };
            for (is_outage, expected) in [(false, expected), (true, in_outage)] {
                let case = Case { is_outage, ..case };
                let next = decide_unlink(case, &policy, at(now), 0.5);
                assert_eq!(next, expected, "{kind:?} at {now}, {is_outage}");
            }
        }
        for (asked, expected) in [(0, 30), (29, 30), (60, 60), (7_200, 3_600)] {
            let asked = Some(Duration::from_secs(asked));
            let found = check_credentials_at(asked, at(1_000));
            assert_eq!(found, at(1_000 + expected), "{asked:?}");
        }
        for (now, again) in [(1_000, Some(1_030)), (1_029, Some(1_030)), (1_030, None)] {
            let next = ask_again_for_link(at(1_000), at(now));
            assert_eq!(next, again.map(at), "{now}");
        }
    }

    #[test]
    fn a_ticket_of_a_fresh_mapping_is_tried_for_a_minute() {
        let policy = RetryPolicy::giving_up_after(Duration::from_hours(24));
        let at = |second| Timestamp::from_second(second).unwrap();
        let next = |mapped_at, unknown_since: Option<i64>, now, is_outage| {
            let case = Case {
                failure: Failure {
                    kind: FailureKind::Permanent(Reason::NotFound),
                    in_doubt: false,
                    retry_after: None,
                },
                // Whatever went wrong before does not shorten the minute.
                tries: 40,
                queued_at: at(1_000),
                is_outage,
                mapped_at,
                unknown_since: unknown_since.map(at),
            };
            let next = decide(case, &policy, at(now), 0.5);
            if let Next::RetryAt { at, asked: false } = next {
                return Some(at.as_second() - now);
            }
            assert_eq!(next, Next::Dead(Reason::NotFound));
            None
        };
        let mapped_at = Some(at(1_000));
        // Each try is made as soon as it may be, the first one just in time.
        let (mut now, mut tried_at) = (1_299, vec![]);
        while let Some(wait) = next(mapped_at, Some(1_299).filter(|_| now > 1_299), now, false) {
            now += wait;
            tried_at.push(now - 1_299);
        }
        assert_eq!(tried_at, [1, 2, 4, 8, 16, 31, 46, 61]);
        for (mapped_at, unknown_since, now, expected) in [
            (None, None, 1_000, None),
            (mapped_at, None, 1_300, None),
            (mapped_at, Some(1_300), 1_301, None),
            (mapped_at, None, 9_999, None),
            (mapped_at, Some(1_010), 1_069, Some(15)),
            (mapped_at, Some(1_010), 1_070, None),
            // The clock was set back since.
            (mapped_at, None, 900, Some(1)),
            (mapped_at, Some(1_010), 1_007, Some(3)),
            (mapped_at, Some(1_010), 900, None),
        ] {
            let case = format!("{mapped_at:?}, {unknown_since:?} at {now}");
            assert_eq!(
                next(mapped_at, unknown_since, now, false),
                expected,
                "{case}"
            );
        }
        for (unknown_since, now, expected) in [
            (None, 1_299, Some(1)),
            (Some(1_010), 1_200, Some(1)),
            (None, 1_300, None),
        ] {
            let next = next(mapped_at, unknown_since, now, true);
            assert_eq!(next, expected, "a probe does not count");
        }
    }

    #[test]
    fn further_messages_are_registered_in_three_tries() {
        let waits = [1, 2, 3].map(|tries| register_again(tries).is_some());
        assert_eq!(waits, [true, true, false]);
    }

    #[test]
    fn every_kind_of_failure_has_its_consequence() {
        use FailureKind::{
            CredentialsRefused, Exists, Faulty, Permanent, Throttled, Unavailable, Unreachable,
        };

        let policy = RetryPolicy::giving_up_after(Duration::from_secs(100));
        let queued_at = Timestamp::from_second(1_000).unwrap();
        let soon = Timestamp::from_second(1_010).unwrap();
        let late = Timestamp::from_second(1_100).unwrap();
        let retry = |seconds, asked| Next::RetryAt {
            at: Timestamp::from_second(seconds).unwrap(),
            asked,
        };
        let in_7_s = Some(Duration::from_secs(7));
        let rows = [
            (Unreachable, None, soon, retry(1_012, false)),
            (Unavailable, None, soon, retry(1_012, false)),
            (Faulty, None, soon, retry(1_012, false)),
            (Unavailable, in_7_s, soon, retry(1_017, true)),
            (Throttled, in_7_s, soon, retry(1_017, true)),
            (Throttled, Some(Duration::ZERO), soon, retry(1_012, false)),
            (Unreachable, None, late, Next::Dead(Reason::GaveUp)),
            (Throttled, in_7_s, late, Next::Dead(Reason::GaveUp)),
            (CredentialsRefused, None, soon, Next::Hold),
            (CredentialsRefused, in_7_s, late, Next::Hold),
            (Exists, None, soon, Next::Dead(Reason::Conflict)),
            (
                Permanent(Reason::NotFound),
                in_7_s,
                soon,
                Next::Dead(Reason::NotFound),
            ),
        ];
        for (kind, retry_after, now, expected) in rows {
            for in_doubt in [false, true] {
                let failure = Failure {
                    kind,
                    in_doubt,
                    retry_after,
                };
                let case = Case {
                    failure,
                    tries: 2,
                    queued_at,
                    is_outage: false,
                    mapped_at: None,
                    unknown_since: None,
                };
                // After two tries the ceiling is 4 s; half of it is the wait.
                let next = decide(case, &policy, now, 0.5);
                assert_eq!(next, expected, "{failure:?} at {now}");
                // In an outage neither its tries nor its age count.
                let case = Case {
                    is_outage: true,
                    ..case
                };
                let expected = match expected {
                    Next::RetryAt { .. } | Next::Dead(Reason::GaveUp) => {
                        let asked = retry_after.unwrap_or_default();
                        Next::RetryAt {
                            at: later(now, Duration::from_millis(500).max(asked)),
                            asked: !asked.is_zero(),
                        }
                    }
                    Next::Hold | Next::Dead(_) => expected,
                };
                assert_eq!(decide(case, &policy, now, 0.5), expected, "{case:?}");
            }
        }
    }
}
