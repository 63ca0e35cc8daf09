//! The clock. The rest of the program takes a clock or a timestamp as a parameter, so that tests can
//! move time.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::retry::{later, moved};
use crate::domain::uptime::{millis_between, step};

/// A clock.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// The time that the machine shows, or the server that it follows. Others compare theirs with it: for signatures.
    fn shown(&self) -> Timestamp {
        self.now()
    }

    /// True for the clock of the machine, which may be wrong. A clock of tests is right by definition.
    fn is_machines(&self) -> bool {
        false
    }

    /// Time since an arbitrary start. Never goes back: comparing it with `now` shows that the clock was
    /// set.
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

    fn is_machines(&self) -> bool {
        true
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// The clock of the daemon: goes on as time does, also when the machine's clock is set. It follows such a step
/// only once told to, after all that waits was moved by it.
///
/// Why wall-clock times at all: due times must survive a restart, and people read them. Why not to follow at
/// once: whatever expires by age would have expired before it could be moved.
#[derive(Debug)]
pub struct SteadyClock {
    machine: SharedClock,
    anchor: Mutex<Moment>,
    /// True if it goes by the clock of a server, and not by the machine's.
    has_server: AtomicBool,
}

/// A time that a clock showed, and when.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    time: Timestamp,
    monotonic: Duration,
}

impl Moment {
    /// The time that the clock shows now.
    pub fn of(clock: &dyn Clock) -> Self {
        Self {
            time: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// Milliseconds by which the clock was set since; negative: back.
    pub fn set_since(self, clock: &dyn Clock) -> i64 {
        let now = Self::of(clock);
        millis_between(self.at(now.monotonic), now.time)
    }

    fn at(self, monotonic: Duration) -> Timestamp {
        later(self.time, monotonic.saturating_sub(self.monotonic))
    }
}

impl SteadyClock {
    /// Shows the time of a machine's clock.
    pub fn new(machine: SharedClock) -> Self {
        let anchor = Mutex::new(Moment::of(&*machine));
        let has_server = AtomicBool::new(false);
        Self {
            machine,
            anchor,
            has_server,
        }
    }

    /// Compares it with the machine's clock, and follows small differences. Returns the step that the machine's
    /// clock has made, in milliseconds; negative: back.
    pub fn step(&self) -> Option<i64> {
        if self.has_server.load(Ordering::Relaxed) {
            return None;
        }
        let mut anchor = self.anchor();
        let found = Moment::of(&*self.machine);
        let passed = found.monotonic.saturating_sub(anchor.monotonic).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let step = step(millis_between(anchor.time, found.time), passed, passed);
        if step.is_none() {
            *anchor = found;
        }
        step
    }

    /// Makes a step that [`SteadyClock::step`] returned.
    pub fn follow(&self, step: i64) {
        let mut anchor = self.anchor();
        anchor.time = moved(anchor.time, step);
    }

    /// Makes it show the time of a server, and no longer that of this machine.
    pub fn follow_server(&self, time: Timestamp) {
        if self.machine.is_machines() {
            *self.anchor() = Moment {
                time,
                monotonic: self.machine.monotonic(),
            };
            self.has_server.store(true, Ordering::Relaxed);
        }
    }

    fn anchor(&self) -> MutexGuard<'_, Moment> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let anchor = self.anchor();
        anchor.at(self.machine.monotonic())
    }

    fn shown(&self) -> Timestamp {
        if self.has_server.load(Ordering::Relaxed) {
            return self.now();
        }
        self.machine.now()
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

/// A clock for tests: it moves only when a test moves it. Resolution: one millisecond.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    /// Milliseconds by which the clock was set, without time passing.
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

    /// Moves the clock and the monotonic time forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock forward or back. The monotonic time stays.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_and_followed_when_told_to() {
        const HOUR: i64 = 3_600_000;
        let machine = ManualClock::at(Timestamp::from_second(1_000_000).unwrap());
        let shared: SharedClock = Arc::<ManualClock>::clone(&machine);
        let steady = SteadyClock::new(shared);
        let ahead = || millis_between(steady.now(), machine.now());
        machine.advance(Duration::from_hours(2));
        assert_eq!((steady.step(), ahead()), (None, 0));
        for jump in [HOUR, -HOUR] {
            machine.jump(jump);
            assert_eq!((steady.step(), ahead()), (Some(jump), jump));
            machine.advance(Duration::from_secs(1));
            assert_eq!((steady.step(), ahead()), (Some(jump), jump), "until told");
            assert_eq!(steady.shown(), machine.now());
            let before = Moment::of(&steady);
            steady.follow(jump);
            assert_eq!((steady.step(), ahead()), (None, 0));
            machine.advance(Duration::from_secs(1));
            assert_eq!(before.set_since(&steady), jump);
        }
        // It was set twice in between.
        machine.jump(HOUR);
        let first = steady.step().unwrap();
        machine.jump(-2 * HOUR);
        steady.follow(first);
        assert_eq!(steady.step(), Some(-2 * HOUR));
        steady.follow(-2 * HOUR);
        machine.jump(2_000);
        assert_eq!((steady.step(), ahead()), (None, 0), "adjusted slowly");
    }
}
