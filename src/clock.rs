//! Time. The rest of the program is handed a clock or a moment, so that tests can move it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Time that only ever goes forward, from a start of no meaning: shows when `now` was set.
    fn monotonic(&self) -> Duration;
}

/// A clock that can be shared.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// A clock that stands still until a test moves it. Resolution: one millisecond.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    /// How far the clock was set beside the passing of time.
    jumped: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            millis: AtomicI64::new(start.as_millisecond()),
            jumped: AtomicI64::new(0),
        })
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock forward or back, without any time passing.
    pub fn jump(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
        self.jumped.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis.load(Ordering::SeqCst))
            .expect("tests stay within the years that a timestamp can name")
    }

    fn monotonic(&self) -> Duration {
        let passed = self.millis.load(Ordering::SeqCst) - self.jumped.load(Ordering::SeqCst);
        Duration::from_millis(u64::try_from(passed).unwrap_or_default())
    }
}

/// Notices that the clock was set, by comparing it with time that only goes forward.
#[derive(Debug)]
pub struct JumpDetector {
    wall: Timestamp,
    monotonic: Duration,
}

impl JumpDetector {
    /// A smaller difference is a clock that is being steered, which changes nothing for us.
    const TOLERANCE_MS: i64 = 5_000;

    /// Begins to watch.
    pub fn new(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// By how many milliseconds the clock was set forward (or, negative, back) since the last call.
    pub fn jumped(&mut self, clock: &dyn Clock) -> Option<i64> {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let shown = wall
            .as_millisecond()
            .saturating_sub(self.wall.as_millisecond());
        let passed = monotonic.saturating_sub(self.monotonic).as_millis();
        let jump = shown.saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX));
        (self.wall, self.monotonic) = (wall, monotonic);
        (jump.abs() > Self::TOLERANCE_MS).then_some(jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_and_the_passing_of_time_is_not() {
        let clock = ManualClock::at(Timestamp::from_second(1_000_000).unwrap());
        let mut detector = JumpDetector::new(&*clock);
        clock.advance(Duration::from_hours(2));
        assert_eq!(detector.jumped(&*clock), None);
        clock.jump(3_600_000);
        assert_eq!(detector.jumped(&*clock), Some(3_600_000));
        assert_eq!(detector.jumped(&*clock), None, "said once");
        clock.jump(-3_600_000);
        clock.advance(Duration::from_secs(1));
        assert_eq!(detector.jumped(&*clock), Some(-3_600_000));
        clock.jump(2_000);
        assert_eq!(detector.jumped(&*clock), None);
    }
}
