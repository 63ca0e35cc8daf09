//! What the end of a call to Serval means for its event: the whole policy of retrying, holding and
//! giving up, as one pure function.

use std::time::Duration;

use jiff::Timestamp;

use super::retry::RetryPolicy;

/// Why a call did not succeed, as far as the policy cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Of which kind.
    pub kind: FailureKind,
    /// Whether the call may have taken effect, so that a look is due before it is made again.
    pub in_doubt: bool,
    /// How long Serval asked to wait.
    pub retry_after: Option<Duration>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No answer from Serval: the network, or the token endpoint.
    Unreachable,
    /// An answer that says: not now, whoever asks.
    Unavailable,
    /// An answer that says: something broke over this call.
    Faulty,
    /// An answer that says: not so fast.
    Throttled,
    /// Our credentials are no good. Nothing to do with the event.
    CredentialsRefused,
    /// Serval says that it has the pair, but a look did not show it.
    Exists,
    /// An answer that will not change until a person acts; the word says which.
    Permanent(&'static str),
}

/// What happens to the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again.
    RetryAt {
        /// Not before.
        at: Timestamp,
        /// Serval asked to wait until then, so nothing may hasten it.
        asked: bool,
    },
    /// The line waits; it costs the event nothing.
    Hold,
    /// Given up, and why.
    Dead(&'static str),
}

/// A fault lasted for longer than `delivery.give_up_after`.
pub const GAVE_UP: &str = "gave_up";
/// Serval says that the external ticket is connected, but not to this Serval ticket.
pub const CONFLICT: &str = "conflict";

/// Decides. `tries` is the number of counted tries before this one; `jitter` is in [0, 1).
pub fn decide(
    failure: Failure,
    tries: u32,
    queued_at: Timestamp,
    policy: &RetryPolicy,
    now: Timestamp,
    jitter: f64,
) -> Next {
    match failure.kind {
        FailureKind::CredentialsRefused => Next::Hold,
        FailureKind::Exists => Next::Dead(CONFLICT),
        FailureKind::Permanent(reason) => Next::Dead(reason),
        FailureKind::Unreachable
        | FailureKind::Unavailable
        | FailureKind::Faulty
        | FailureKind::Throttled => {
            if policy.is_over(queued_at, now) {
                return Next::Dead(GAVE_UP);
            }
            let at = policy.retry_at(tries, failure.retry_after, now, jitter);
            let asked = failure.retry_after.is_some_and(|wait| !wait.is_zero());
            Next::RetryAt { at, asked }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (Unreachable, None, late, Next::Dead("gave_up")),
            (Throttled, in_7_s, late, Next::Dead("gave_up")),
            (CredentialsRefused, None, soon, Next::Hold),
            (CredentialsRefused, in_7_s, late, Next::Hold),
            (Exists, None, soon, Next::Dead("conflict")),
            (
                Permanent("not_found"),
                in_7_s,
                soon,
                Next::Dead("not_found"),
            ),
        ];
        for (kind, retry_after, now, expected) in rows {
            for in_doubt in [false, true] {
                let failure = Failure {
                    kind,
                    in_doubt,
                    retry_after,
                };
                // After two tries the ceiling is 4 s; half of it is the wait.
                let next = decide(failure, 2, queued_at, &policy, now, 0.5);
                assert_eq!(next, expected, "{failure:?} at {now}");
            }
        }
    }
}
