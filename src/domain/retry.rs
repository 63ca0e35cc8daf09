//! The schedule of retries.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Longest wait that Serval may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Place of an event in the queue. Times are in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Time at which the event may be called. What has an earlier one comes first.
    pub due_at: i64,
    /// Time that Serval asked for; 0: none.
    pub not_before: i64,
    /// Calls that the backoff counts.
    pub tries: i64,
    /// Time since which the event waits.
    pub queued_at: i64,
}

impl Place {
    /// Place of an event that supersedes one at `other`. It waits as long as that one would have: a
    /// record that is saved often is called no earlier and no more often than one that is not.
    #[must_use]
    pub fn instead_of(self, other: Self) -> Self {
        let not_before = self.not_before.max(other.not_before);
        Self {
            due_at: other.due_at.max(not_before),
            not_before,
            tries: self.tries.max(other.tries),
            queued_at: self.queued_at.min(other.queued_at),
        }
    }
}

/// The schedule of retries: full jitter under a ceiling that doubles.
///
/// With the defaults a lasting fault meets at least five tries in its first minute: the ceilings
/// are 1, 2, 4, 8 and 16 s. Why full jitter: events that failed together spread out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first ceiling.
    pub base: Duration,
    /// The last ceiling.
    pub cap: Duration,
    /// Longest time in the queue; after it, a failure ends the event. Not a number of tries: an
    /// outage must not use an event up.
    pub give_up_after: Duration,
}

impl RetryPolicy {
    /// The schedule with the default ceilings.
    pub fn giving_up_after(give_up_after: Duration) -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_mins(15),
            give_up_after,
        }
    }

    /// The wait after the try numbered `tries` (from 0). `jitter` is in [0, 1).
    pub fn backoff(&self, tries: u32, jitter: f64) -> Duration {
        // A shorter wait would only meet the same failure again.
        const FLOOR: Duration = Duration::from_millis(100);
        let ceiling = self
            .base
            .saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
        ceiling
            .min(self.cap)
            .mul_f64(jitter.clamp(0.0, 1.0))
            .max(FLOOR)
    }

    /// Returns the time of the next try: after the backoff, and never earlier than Serval asked for.
    pub fn retry_at(
        &self,
        tries: u32,
        retry_after: Option<Duration>,
        now: Timestamp,
        jitter: f64,
    ) -> Timestamp {
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        later(now, self.backoff(tries, jitter).max(asked))
    }

    /// True if an event that entered the queue at `queued_at` has been there too long.
    pub fn is_over(&self, queued_at: Timestamp, now: Timestamp) -> bool {
        later(queued_at, self.give_up_after) <= now
    }
}

/// `at + wait`, or the end of time.
pub fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// `at` on a clock that was set by `jump` milliseconds.
pub fn moved(at: Timestamp, jump: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_millis(jump))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::giving_up_after(Duration::from_hours(7 * 24))
    }

    #[test]
    fn what_supersedes_a_waiting_event_waits_in_its_place() {
        let place = |due_at, not_before, tries, queued_at| Place {
            due_at,
            not_before,
            tries,
            queued_at,
        };
        let arrived = place(500, 0, 0, 500);
        for (own, other, expected) in [
            // It has not been called: its turn stays the same.
            (arrived, place(100, 0, 0, 100), place(100, 0, 0, 100)),
            // It waits for its next try, or for the time that Serval asked for.
            (arrived, place(900, 0, 4, 100), place(900, 0, 4, 100)),
            (arrived, place(900, 900, 1, 100), place(900, 900, 1, 100)),
            // A probe does not change what Serval asked for.
            (arrived, place(600, 900, 1, 100), place(900, 900, 1, 100)),
            // The other way round: what was called itself loses nothing.
            (place(800, 800, 3, 100), arrived, place(800, 800, 3, 100)),
            (
                place(800, 800, 3, 200),
                place(900, 900, 1, 100),
                place(900, 900, 3, 100),
            ),
        ] {
            assert_eq!(own.instead_of(other), expected, "{own:?} {other:?}");
        }
    }

    #[test]
    fn a_lasting_fault_meets_five_tries_in_its_first_minute() {
        let total: Duration = (0..5).map(|tries| policy().backoff(tries, 0.999_999)).sum();
        assert!(total < Duration::from_mins(1), "{total:?}");
        assert!(policy().backoff(0, 0.999_999) < Duration::from_secs(2));
    }

    #[test]
    fn serval_is_never_called_earlier_than_it_asked_and_may_ask_for_an_hour() {
        let now = Timestamp::from_second(1_000).unwrap();
        let wait = |retry_after| {
            policy()
                .retry_at(0, Some(Duration::from_secs(retry_after)), now, 0.5)
                .as_second()
                - 1_000
        };
        assert_eq!(wait(30), 30);
        assert_eq!(wait(3_600), 3_600);
        assert_eq!(wait(86_400), 3_600);
        assert_eq!(wait(0), 0);
    }

    proptest! {
        #[test]
        fn every_wait_is_between_the_floor_and_the_cap(tries: u32, jitter in -1.0_f64..2.0) {
            let wait = policy().backoff(tries, jitter);
            prop_assert!(wait >= Duration::from_millis(100));
            prop_assert!(wait <= policy().cap);
        }

        #[test]
        fn the_ceiling_never_falls(tries in 0_u32..64, jitter in 0.0_f64..1.0) {
            prop_assert!(policy().backoff(tries + 1, jitter) >= policy().backoff(tries, jitter));
        }

        #[test]
        fn no_time_overflows(second in -1_000_000_000_i64..100_000_000_000, tries: u32) {
            let now = Timestamp::from_second(second).unwrap();
            prop_assert!(policy().retry_at(tries, Some(Duration::MAX), now, 0.5) >= now);
        }
    }
}
