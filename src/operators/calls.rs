//! State of the calls to Serval. Of replicas, one makes the calls, and the others show what that one told.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::service::Operators;
use crate::delivery::Monitor;
use crate::delivery::gate::breaker::Mode;
use crate::delivery::gate::pace::AskedToWait;
use crate::domain::retry::later;
use crate::store::Caller;

/// A worker that has not looked at its queue for this long is stuck.
const BEAT_LIMIT: Duration = Duration::from_secs(15);
/// Due events that do not move for this long, although Serval answers, are stuck.
const PROGRESS_LIMIT: Duration = Duration::from_mins(2);

/// State of the calls to Serval. By default there is no worker: no call is made or held back.
///
/// Replicas tell it each other in JSON, without the figures that are about one process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// The process that makes them.
    #[serde(skip)]
    pub by: By,
    /// State of the circuit breaker.
    pub mode: Mode,
    /// Failure of the last call, if it failed. Holds no text of the answer.
    pub fault: Option<String>,
    /// Serval's wish to be asked later, if calls wait for it now.
    pub asked_to_wait: Option<AskedToWait>,
    /// True while an operator has paused the calls.
    pub is_paused: bool,
    /// Calls in flight.
    pub in_flight: usize,
    /// Current pace in calls per second; `None`: no limit.
    pub rate: Option<f64>,
    /// Token requests since the start.
    #[serde(skip)]
    pub token_refreshes: u64,
    #[serde(skip)]
    pub(super) since_beat: Option<Duration>,
    #[serde(skip)]
    pub(super) since_progress: Option<Duration>,
}

/// The process that makes the calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum By {
    /// This one.
    #[default]
    Me,
    /// Another replica, by its id.
    Replica(String),
    /// Not known.
    Unknown,
}

impl Calls {
    fn of(worker: &Monitor) -> Self {
        Self {
            by: By::Me,
            mode: worker.mode(),
            fault: worker.fault(),
            asked_to_wait: worker.asked_to_wait(),
            is_paused: worker.is_paused(),
            in_flight: worker.in_flight(),
            rate: worker.rate(),
            token_refreshes: worker.token_refreshes(),
            since_beat: worker.since_beat(),
            since_progress: worker.since_progress(),
        }
    }

    /// Reads what another replica told. One with another version may tell it in other words.
    fn told(id: String, calls: &str) -> Self {
        let read: Option<Self> = serde_json::from_str(calls).ok();
        read.map_or_else(Self::unknown, |calls| Self {
            by: By::Replica(id),
            ..calls
        })
    }

    fn unknown() -> Self {
        Self {
            by: By::Unknown,
            ..Self::default()
        }
    }

    /// Serval's refusal, while calls are held for it.
    pub(super) fn held_for(&self) -> Option<&str> {
        match &self.mode {
            Mode::Held(hold) => Some(&hold.reason),
            Mode::Closed | Mode::Suspect(_) | Mode::Open(_) => None,
        }
    }

    /// True if the worker no longer looks at its queue. A worker without a first look is starting.
    pub(super) fn is_silent(&self) -> bool {
        self.since_beat.is_some_and(|since| since > BEAT_LIMIT)
    }

    /// True if this process makes the calls, and due events do not move.
    pub(super) fn is_stuck(&self, oldest_due: Option<Timestamp>, now: Timestamp) -> bool {
        let is_flowing = self.by == By::Me && matches!(self.mode, Mode::Closed) && !self.is_paused;
        let is_overdue = oldest_due.is_some_and(|at| later(at, PROGRESS_LIMIT) < now);
        let has_moved = self
            .since_progress
            .is_some_and(|since| since <= PROGRESS_LIMIT);
        is_flowing && is_overdue && !has_moved
    }
}

impl Operators {
    /// State of the calls to Serval, whichever replica makes them.
    pub fn calls(&self) -> Calls {
        let own = self.own_calls();
        let told = match self.store.caller() {
            Caller::Me => return own,
            Caller::Other { id, calls } => Calls::told(id, &calls),
            Caller::Unknown => Calls::unknown(),
        };
        // A pause is the same for all, and what this process knows of it is newer.
        Calls {
            is_paused: own.is_paused,
            ..told
        }
    }

    /// State of the calls of this process.
    pub fn own_calls(&self) -> Calls {
        self.worker.as_ref().map(Calls::of).unwrap_or_default()
    }

    /// State of the calls of this process, as the other replicas read it.
    pub fn calls_to_tell(&self) -> String {
        serde_json::to_string(&self.own_calls()).expect("texts and numbers are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::gate::breaker::Hold;

    const NOW: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    #[test]
    fn a_worker_that_does_not_beat_or_does_not_move_what_is_due_is_a_problem() {
        for (is_flowing, since_beat, since_progress, oldest_due, is_silent, is_stuck) in [
            (true, None, None, None, false, false),
            (true, Some(1), Some(1), None, false, false),
            (true, Some(15), None, None, false, false),
            (true, Some(16), None, None, true, false),
            // The clock was set back.
            (true, Some(1), Some(1), Some(-3600), false, false),
            (true, Some(1), None, Some(120), false, false),
            (true, Some(1), None, Some(121), false, true),
            (true, Some(1), Some(121), Some(121), false, true),
            // A backlog moves, if slowly.
            (true, Some(1), Some(120), Some(9_999), false, false),
            // During a pause (as in an outage or a hold) the worker is not at fault.
            (false, Some(1), None, Some(9_999), false, false),
            (false, Some(16), None, Some(9_999), true, false),
        ] {
            let calls = Calls {
                is_paused: !is_flowing,
                since_beat: since_beat.map(Duration::from_secs),
                since_progress: since_progress.map(Duration::from_secs),
                ..Calls::default()
            };
            let oldest_due = oldest_due.map(|seconds: i64| at(-seconds));
            let found = (calls.is_silent(), calls.is_stuck(oldest_due, at(0)));
            assert_eq!(found, (is_silent, is_stuck), "{calls:?} {oldest_due:?}");
            // Another one makes the calls.
            let by = By::Replica("ab".to_owned());
            let calls = Calls { by, ..calls };
            assert!(!calls.is_stuck(oldest_due, at(0)), "{calls:?}");
        }
    }

    #[test]
    fn replicas_read_what_one_tells() {
        let hold = Hold {
            reason: "401".to_owned(),
            since: at(0),
            check_at: at(30),
        };
        let calls = Calls {
            mode: Mode::Held(hold),
            fault: Some("401".to_owned()),
            in_flight: 3,
            rate: Some(1.5),
            token_refreshes: 9,
            ..Calls::default()
        };
        let told = serde_json::to_string(&calls).unwrap();
        let read = Calls::told("ab".to_owned(), &told);
        assert_eq!(read.by, By::Replica("ab".to_owned()));
        assert_eq!((&read.mode, read.held_for()), (&calls.mode, Some("401")));
        assert_eq!((read.in_flight, read.rate), (3, Some(1.5)));
        assert_eq!(read.token_refreshes, 0);
        for (told, by) in [
            ("{}", By::Replica("ab".to_owned())),
            ("{\"later\": 1}", By::Replica("ab".to_owned())),
            ("{\"mode\": \"New\"}", By::Unknown),
            ("", By::Unknown),
        ] {
            assert_eq!(Calls::told("ab".to_owned(), told).by, by, "{told}");
        }
    }
}
