//! The pace: calls per second. It halves after a 429 and recovers when no further 429 follows.
//!
//! All times are monotonic: see [`Clock::monotonic`](crate::edge::clock::Clock::monotonic).

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;

use crate::domain::retry::MAX_RETRY_AFTER;

/// Time without a 429 after which the pace doubles again.
const RECOVERY: Duration = Duration::from_secs(5);
/// Stop of all calls after a 429 without `Retry-After`.
const BREATHER: Duration = Duration::from_secs(1);
/// Longest stop of all calls after a 429. The event itself waits for as long as Serval asked.
const LONGEST_STOP: Duration = Duration::from_mins(1);
/// Largest divisor of the configured pace.
const SLOWEST: u32 = 16;

/// The pace of the calls to Serval.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Configured calls per second; `None`: no limit.
    rate: Option<NonZeroU32>,
    limiter: Option<DefaultDirectRateLimiter>,
    /// The rate is divided by this.
    divisor: u32,
    /// No call is made before its end.
    stop: Option<Wish>,
    /// The last wish that was about one event.
    of_event: Option<Wish>,
    changed_at: Option<Duration>,
}

/// Serval's wish to be asked later, as it answered a call.
#[derive(Debug, Clone)]
struct Wish {
    end: Duration,
    /// The answer, without its text.
    answer: String,
}

impl Wish {
    fn new(wait: Duration, answer: &str, now: Duration) -> Self {
        let (end, answer) = (now + wait, answer.to_owned());
        Self { end, answer }
    }

    /// Replaces a wish that ends earlier. Calls that were in flight may get an answer, too; none of them
    /// shortens the wait.
    fn replace(self, earlier: &mut Option<Self>) {
        if earlier
            .as_ref()
            .is_none_or(|earlier| earlier.end < self.end)
        {
            *earlier = Some(self);
        }
    }
}

/// The time until which Serval asked to wait.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct AskedToWait {
    /// Serval's answer that asked for it.
    pub reason: String,
    /// End of the wait.
    pub until: Timestamp,
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
            stop: None,
            of_event: None,
            changed_at: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Changes the rate. The divisor stays.
    pub fn set_rate(&self, rate: u32) {
        let mut state = self.lock();
        let rate = NonZeroU32::new(rate);
        if rate != state.rate {
            state.rate = rate;
            Self::apply(&mut state);
        }
    }

    /// Wait before the next call. Zero: the call may be made, and counts.
    pub fn wait(&self, now: Duration) -> Duration {
        let mut state = self.lock();
        state.stop = state.stop.take().filter(|stop| stop.end > now);
        if let Some(stop) = &state.stop {
            return stop.end.saturating_sub(now);
        }
        // The rate recovers only when a call asks for it: an idle worker needs no timer.
        Self::recover(&mut state, now);
        let Some(limiter) = &state.limiter else {
            return Duration::ZERO;
        };
        match limiter.check() {
            Ok(()) => Duration::ZERO,
            Err(until) => until.wait_time_from(governor::clock::Clock::now(limiter.clock())),
        }
    }

    /// After a failed call. `is_limit`: the answer is a 429, so calls stop for as long as it asks, then
    /// continue at half the pace. Any other wish is about one event. `answer`: the answer without its text.
    pub fn heed(&self, is_limit: bool, wait: Option<Duration>, answer: &str, now: Duration) {
        let mut state = self.lock();
        if !is_limit {
            if let Some(wait) = wait {
                let wish = Wish::new(wait.min(MAX_RETRY_AFTER), answer, now);
                wish.replace(&mut state.of_event);
            }
            return;
        }
        let wait = wait.unwrap_or(BREATHER).min(LONGEST_STOP);
        Wish::new(wait, answer, now).replace(&mut state.stop);
        state.divisor = (state.divisor * 2).min(SLOWEST);
        state.changed_at = Some(now);
        Self::apply(&mut state);
    }

    /// The wish of Serval that calls wait for, with the time that is left of it. `tries_all`: all events are
    /// tried, so that a wish about one of them stops no other.
    pub fn asked(&self, tries_all: bool, now: Duration) -> Option<(Duration, String)> {
        let state = self.lock();
        let of_event = state.of_event.as_ref().filter(|_| !tries_all);
        let wishes = state.stop.iter().chain(of_event);
        let mut left = wishes.map(|wish| (wish.end.saturating_sub(now), wish.answer.clone()));
        left.find(|(left, _)| !left.is_zero())
    }

    /// Current calls per second; `None`: no limit.
    pub fn rate(&self) -> Option<f64> {
        let state = self.lock();
        state
            .rate
            .map(|rate| f64::from(rate.get()) / f64::from(state.divisor))
    }

    fn recover(state: &mut State, now: Duration) {
        let is_due = state
            .changed_at
            .is_some_and(|changed_at| changed_at + RECOVERY <= now);
        if state.divisor > 1 && is_due {
            state.divisor /= 2;
            state.changed_at = Some(now);
            Self::apply(state);
        }
    }

    fn apply(state: &mut State) {
        state.limiter = match state.rate {
            Some(rate) => Some(limiter(rate, state.divisor)),
            // Without a configured rate, some rate is still needed while Serval answers 429.
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

/// Spreads `rate / divisor` calls evenly over each second. Bursts of a tenth of that are allowed.
fn limiter(rate: NonZeroU32, divisor: u32) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.get() / divisor / 10).unwrap_or(NonZeroU32::MIN);
    let gap = Duration::from_secs(1) * divisor / rate.get();
    let quota = Quota::with_period(gap).unwrap_or_else(|| Quota::per_second(rate));
    RateLimiter::direct(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn another_rate_keeps_what_a_429_left_of_it() {
        let pace = Pace::new(10);
        pace.heed(true, Some(Duration::ZERO), "429", at(0));
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
        pace.heed(true, Some(Duration::from_secs(3)), "long", at(100));
        // Another call that was under way: it does not shorten what was asked for.
        pace.heed(true, Some(Duration::from_secs(1)), "short", at(100));
        assert_eq!(pace.wait(at(101)), Duration::from_secs(2));
        assert_eq!(pace.wait(at(103)), Duration::ZERO);
        assert_eq!(pace.rate(), Some(4.0));
        for _ in 0..10 {
            pace.heed(true, None, "429", at(104));
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
        pace.heed(true, Some(Duration::from_hours(1)), "429", at(100));
        assert_eq!(pace.wait(at(100)), Duration::from_mins(1));
    }

    #[test]
    fn the_wish_that_stops_the_line_is_told_with_its_answer_until_it_ends() {
        let left = |pace: &Pace, tries_all, second| {
            let asked = pace.asked(tries_all, at(second));
            asked.map(|(left, answer)| format!("{answer} {}", left.as_secs()))
        };
        let pace = Pace::new(0);
        assert_eq!(left(&pace, true, 0), None);
        pace.heed(false, Some(Duration::from_secs(50)), "503", at(0));
        // It is about one event: the others go.
        assert_eq!(left(&pace, true, 0), None);
        assert_eq!(left(&pace, false, 10).as_deref(), Some("503 40"));
        pace.heed(true, Some(Duration::from_secs(30)), "429", at(10));
        pace.heed(true, Some(Duration::from_secs(5)), "later", at(11));
        for tries_all in [true, false] {
            assert_eq!(left(&pace, tries_all, 15).as_deref(), Some("429 25"));
        }
        assert_eq!(left(&pace, true, 40), None);
        assert_eq!(left(&pace, false, 40).as_deref(), Some("503 10"));
        pace.heed(false, Some(Duration::from_hours(48)), "long", at(60));
        assert_eq!(left(&pace, false, 60).as_deref(), Some("long 3600"));
    }
}
