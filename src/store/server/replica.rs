//! This process as one of the replicas that share a database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Who makes the calls, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// This process.
    Me,
    /// Another replica.
    Other {
        /// Its id.
        id: String,
        /// State of its calls, in its own words.
        calls: String,
    },
    /// Not known: this replica has not heard of the others for too long, or not yet.
    Unknown,
}

/// Findings of a beat.
#[derive(Debug, Clone)]
pub(super) struct Beaten {
    /// The time by the database's clock.
    pub(super) now: Timestamp,
    /// When that was read.
    pub(super) read: Instant,
    pub(super) is_paused: bool,
    /// True if the database was restored a short time ago.
    pub(super) was_restored: bool,
    pub(super) caller: Caller,
    /// Number of other replicas that are alive, and of those with another configuration.
    pub(super) others: i64,
    pub(super) others_configured_otherwise: i64,
}

/// This replica.
#[derive(Debug)]
pub(crate) struct Replica {
    /// Random, so that a process that is started again is another replica.
    id: String,
    /// Silence after which the others take this replica for dead, and its claims for void.
    pub(super) dead_after: Duration,
    /// Longest time that a call may take after it was allowed.
    call_limit: Duration,
    created: Instant,
    leads: AtomicBool,
    known: Mutex<Known>,
}

/// Findings of the last beat, and settings.
#[derive(Debug, Default)]
struct Known {
    /// Begin of the last beat that was stored, and its findings.
    beat: Option<(Instant, Beaten)>,
    /// When the time of the beat was read.
    time_read: Option<Instant>,
    /// `None`: not known yet.
    is_paused: Option<bool>,
    /// When an operator paused or resumed the calls at this replica.
    pause_set: Option<Instant>,
    config_hash: String,
}

impl Replica {
    pub(super) fn new(dead_after: Duration, call_limit: Duration) -> Self {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).expect("the system has randomness to give");
        Self {
            id: hex::encode(bytes),
            dead_after,
            call_limit,
            created: Instant::now(),
            leads: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A beat was stored.
    pub(super) fn beaten(&self, began: Instant, beaten: Beaten) {
        let mut known = self.known();
        known.time_read = Some(beaten.read);
        // A beat that began before may have read what held before.
        if known.pause_set.is_none_or(|set| set <= began) {
            known.is_paused = Some(beaten.is_paused);
        }
        let leads = beaten.caller == Caller::Me;
        known.beat = Some((began, beaten));
        self.leads.store(leads, Ordering::Release);
    }

    /// An operator paused or resumed the calls at this replica, and that is stored.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        let mut known = self.known();
        known.is_paused = Some(is_paused);
        known.pause_set = Some(Instant::now());
    }

    /// True if the database was restored a short time ago.
    pub(crate) fn was_restored(&self) -> bool {
        let known = self.known();
        known
            .beat
            .as_ref()
            .is_some_and(|(_, beaten)| beaten.was_restored)
    }

    /// True if this replica makes the calls.
    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire) && self.may_call()
    }

    /// The fence: true if a call that begins now ends before the others may take this replica for dead.
    pub(crate) fn may_call(&self) -> bool {
        let known = self.known();
        let began = known.beat.as_ref().map(|(began, _)| *began);
        began.is_some_and(|began| !self.is_too_long(began.elapsed()))
    }

    fn is_too_long(&self, silent: Duration) -> bool {
        silent + self.call_limit >= self.dead_after
    }

    /// Time since this replica last said that it is alive, if that is so long that it makes no calls.
    pub(crate) fn fenced_for(&self) -> Option<Duration> {
        let beat = self.known().beat.as_ref().map(|(began, _)| *began);
        let silent = beat.unwrap_or(self.created).elapsed();
        Some(silent).filter(|silent| self.is_too_long(*silent))
    }

    /// Time without a beat after which a replica makes no calls.
    pub(super) fn fence(&self) -> Duration {
        self.dead_after.saturating_sub(self.call_limit)
    }

    /// The replica that makes the calls.
    pub(crate) fn caller(&self) -> Caller {
        if !self.may_call() {
            return Caller::Unknown;
        }
        let known = self.known();
        let beat = known.beat.as_ref();
        beat.map_or(Caller::Unknown, |(_, beaten)| beaten.caller.clone())
    }

    /// Number of other replicas that are alive, and of those with another configuration, as far as this one knows.
    pub(crate) fn others(&self) -> (i64, i64) {
        if !self.may_call() {
            return (0, 0);
        }
        let known = self.known();
        known.beat.as_ref().map_or((0, 0), |(_, beaten)| {
            (beaten.others, beaten.others_configured_otherwise)
        })
    }

    /// True if calls are paused; `None`: not known yet.
    pub(crate) fn is_paused(&self) -> Option<bool> {
        self.known().is_paused
    }

    /// The time by the database's clock.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        let known = self.known();
        let (_, beaten) = known.beat.as_ref()?;
        let elapsed = jiff::SignedDuration::try_from(known.time_read?.elapsed()).ok()?;
        beaten.now.checked_add(elapsed).ok()
    }

    /// Notes the hash of the configuration, which the beats tell the others.
    pub(crate) fn configured(&self, hash: String) {
        self.known().config_hash = hash;
    }

    pub(super) fn config_hash(&self) -> String {
        self.known().config_hash.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beaten(is_paused: bool) -> Beaten {
        Beaten {
            now: Timestamp::UNIX_EPOCH,
            read: Instant::now(),
            is_paused,
            was_restored: false,
            caller: Caller::Me,
            others: 0,
            others_configured_otherwise: 0,
        }
    }

    #[test]
    fn a_replica_that_was_silent_for_too_long_makes_no_call() {
        let call = Duration::from_secs(30);
        let now = Instant::now();
        let rows = [
            (None, 45, false),
            (Some(0), 45, true),
            (Some(14), 45, true),
            (Some(16), 45, false),
            (Some(0), 30, false),
        ];
        for (silent, dead_after, expected) in rows {
            let replica = Replica::new(Duration::from_secs(dead_after), call);
            if let Some(silent) = silent {
                let began = now.checked_sub(Duration::from_secs(silent)).unwrap();
                replica.beaten(began, beaten(false));
            }
            assert_eq!(replica.leads(), expected, "{silent:?} of {dead_after}");
            let is_me = replica.caller() == Caller::Me;
            assert_eq!(is_me, expected, "{silent:?} of {dead_after}");
            // One that has just begun is not fenced, although it makes no calls yet.
            let is_fenced = silent.is_some() && !expected;
            assert_eq!(replica.fenced_for().is_some(), is_fenced, "{silent:?}");
        }
    }

    #[test]
    fn a_beat_that_began_before_an_operator_paused_the_calls_does_not_resume_them() {
        let long = Duration::from_mins(1);
        for (paused, begins_before, read, expected) in [
            (true, true, false, true),
            (true, true, true, true),
            (false, true, true, false),
            // Another replica has resumed them since.
            (true, false, false, false),
            (false, false, true, true),
        ] {
            let replica = Replica::new(long, Duration::ZERO);
            assert_eq!(replica.is_paused(), None);
            replica.beaten(Instant::now(), beaten(!paused));
            let before = Instant::now();
            replica.set_paused(paused);
            let began = if begins_before {
                before
            } else {
                Instant::now()
            };
            replica.beaten(began, beaten(read));
            let row = (paused, begins_before, read);
            assert_eq!(replica.is_paused(), Some(expected), "{row:?}");
        }
    }
}
