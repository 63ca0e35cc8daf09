//! How fast calls are made: so many per second, fewer after a 429, more again when none follows.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;

use crate::domain::retry::later;

/// How long the pace must go without a 429 before it doubles again.
const RECOVERY: Duration = Duration::from_secs(5);
/// A 429 without `Retry-After` stops the line for this long.
const BREATHER: Duration = Duration::from_secs(1);
/// A 429 stops the whole line for this long at most; its own event waits as long as it was asked.
const LONGEST_STOP: Duration = Duration::from_mins(1);
/// The pace is never less than a sixteenth of what is configured.
const SLOWEST: u32 = 16;

/// Paces the calls to Serval.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls per second when nothing is wrong; `None`: no limit.
    rate: Option<NonZeroU32>,
    limiter: Option<DefaultDirectRateLimiter>,
    /// The configured rate is divided by this.
    divisor: u32,
    not_before: Option<Timestamp>,
    changed_at: Option<Timestamp>,
}

impl Pace {
    /// `rate`: calls per second; 0: no limit.
    pub fn new(rate: u32) -> Self {
        let rate = NonZeroU32::new(rate);
        let limiter = rate.map(|rate| limiter(rate, 1));
        let state = State {
            rate,
            limiter,
            divisor: 1,
            not_before: None,
            changed_at: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// From now on another rate. What a 429 has left of it stays the same part.
    pub fn set_rate(&self, rate: u32) {
        let mut state = self.lock();
        let rate = NonZeroU32::new(rate);
        if rate != state.rate {
            state.rate = rate;
            Self::apply(&mut state);
        }
    }

    /// How long to wait before the next call may be made; zero takes the place.
    pub fn wait(&self, now: Timestamp) -> Duration {
        let mut state = self.lock();
        if let Some(not_before) = state.not_before {
            if now < not_before {
                return Duration::try_from(not_before.duration_since(now)).unwrap_or(BREATHER);
            }
            state.not_before = None;
        }
        Self::recover(&mut state, now);
        let Some(limiter) = &state.limiter else {
            return Duration::ZERO;
        };
        match limiter.check() {
            Ok(()) => Duration::ZERO,
            Err(until) => until.wait_time_from(governor::clock::Clock::now(limiter.clock())),
        }
    }

    /// Serval said 429: stop for as long as it asked, then go at half the pace.
    pub fn slow_down(&self, retry_after: Option<Duration>, now: Timestamp) {
        let mut state = self.lock();
        let stop = retry_after.unwrap_or(BREATHER).min(LONGEST_STOP);
        state.not_before = state.not_before.max(Some(later(now, stop)));
        state.divisor = (state.divisor * 2).min(SLOWEST);
        state.changed_at = Some(now);
        Self::apply(&mut state);
    }

    /// The clock was set by `jump` milliseconds.
    pub fn follow_clock(&self, jump: i64) {
        let mut state = self.lock();
        let moved = |at: Timestamp| {
            at.saturating_add(jiff::SignedDuration::from_millis(jump))
                .unwrap_or(at)
        };
        state.not_before = state.not_before.map(moved);
        state.changed_at = state.changed_at.map(moved);
    }

    /// The present pace in calls per second; `None`: no limit.
    pub fn rate(&self) -> Option<f64> {
        let state = self.lock();
        state
            .rate
            .map(|rate| f64::from(rate.get()) / f64::from(state.divisor))
    }

    fn recover(state: &mut State, now: Timestamp) {
        let is_due = state
            .changed_at
            .is_some_and(|changed_at| later(changed_at, RECOVERY) <= now);
        if state.divisor > 1 && is_due {
            state.divisor /= 2;
            state.changed_at = Some(now);
            Self::apply(state);
        }
    }

    fn apply(state: &mut State) {
        state.limiter = match state.rate {
            Some(rate) => Some(limiter(rate, state.divisor)),
            // Without a configured pace a slow one is still needed while Serval complains.
            None if state.divisor > 1 => {
                NonZeroU32::new(64).map(|rate| limiter(rate, state.divisor))
            }
            None => None,
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Spreads `rate / divisor` calls evenly over each second; fast paces may bunch a tenth of it.
fn limiter(rate: NonZeroU32, divisor: u32) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.get() / divisor / 10).unwrap_or(NonZeroU32::MIN);
    let gap = Duration::from_secs(1) * divisor / rate.get();
    let quota = Quota::with_period(gap).unwrap_or_else(|| Quota::per_second(rate));
    RateLimiter::direct(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn another_rate_keeps_what_a_429_left_of_it() {
        let pace = Pace::new(10);
        pace.slow_down(Some(Duration::ZERO), at(0));
        pace.set_rate(100);
        assert_eq!(pace.rate(), Some(50.0));
        pace.set_rate(0);
        assert_eq!((pace.rate(), pace.wait(at(1))), (None, Duration::ZERO));
        let is_slowed = (0..10).any(|_| pace.wait(at(1)) > Duration::ZERO);
        assert!(is_slowed, "while Serval complains");
    }

    #[test]
    fn calls_are_spread_over_the_second() {
        let pace = Pace::new(10);
        assert_eq!(pace.wait(at(0)), Duration::ZERO);
        let wait = pace.wait(at(0));
        assert!(
            wait > Duration::from_millis(50) && wait <= Duration::from_millis(100),
            "{wait:?}"
        );
        let pace = Pace::new(0);
        for _ in 0..1000 {
            assert_eq!(pace.wait(at(0)), Duration::ZERO);
        }
    }

    #[test]
    fn a_429_stops_the_line_then_halves_the_pace_which_comes_back() {
        let pace = Pace::new(16);
        pace.slow_down(Some(Duration::from_secs(3)), at(100));
        // Another call that was under way: it does not shorten what was asked for.
        pace.slow_down(Some(Duration::from_secs(1)), at(100));
        assert_eq!(pace.wait(at(101)), Duration::from_secs(2));
        assert_eq!(pace.wait(at(103)), Duration::ZERO);
        assert_eq!(pace.rate(), Some(4.0));
        for _ in 0..10 {
            pace.slow_down(None, at(104));
        }
        assert_eq!(pace.rate(), Some(1.0));
        for (second, rate) in [
            (108, 1.0),
            (109, 2.0),
            (114, 4.0),
            (119, 8.0),
            (124, 16.0),
            (200, 16.0),
        ] {
            pace.wait(at(second));
            assert_eq!(pace.rate(), Some(rate), "{second}");
        }
    }

    #[test]
    fn the_line_stops_for_a_minute_at_most() {
        let pace = Pace::new(0);
        pace.slow_down(Some(Duration::from_hours(1)), at(100));
        assert_eq!(pace.wait(at(100)), Duration::from_mins(1));
    }
}
