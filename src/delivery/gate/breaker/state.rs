//! The state of the breaker, and what goes in and out of it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::delivery::{Failure, FailureKind};
use crate::domain::retry::later;
use crate::edge::metrics;

/// First gap between probes.
const FIRST_GAP: Duration = Duration::from_secs(1);

/// Result of a call, as far as it tells about Serval as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Serval answers, even if it refuses this one request.
    Alive,
    /// Serval refuses our credentials, and may ask to wait.
    Refused(Option<Duration>),
    /// Serval does not answer properly, or somebody else answers.
    Failing(FailureKind),
}

/// State of the breaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Calls are made.
    #[default]
    Closed,
    /// Calls are made, and waiting events are probed.
    Suspect(Probing),
    /// Only probes are made.
    Open(Probing),
    /// No calls are made.
    Held(Hold),
}

impl Mode {
    /// The state in answers and metrics.
    pub fn breaker(&self) -> metrics::Breaker {
        match self {
            Self::Closed | Self::Held(_) => metrics::Breaker::Closed,
            Self::Suspect(_) => metrics::Breaker::Suspect,
            Self::Open(_) => metrics::Breaker::Open,
        }
    }

    pub(super) fn probing(&mut self) -> Option<&mut Probing> {
        match self {
            Self::Suspect(probing) | Self::Open(probing) => Some(probing),
            Self::Closed | Self::Held(_) => None,
        }
    }
}

/// The schedule of probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probing {
    /// Start of the state.
    pub since: Timestamp,
    /// Earliest time of the next probe.
    pub next_at: Timestamp,
    #[serde(skip)]
    pub(super) gap: Duration,
    #[serde(skip)]
    pub(super) in_flight: bool,
}

/// Refused credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Hold {
    /// Refusal of Serval.
    pub reason: String,
    /// Time of the first refusal.
    pub since: Timestamp,
    /// Time of the next try with the credentials.
    #[serde(rename = "next_check_at")]
    pub check_at: Timestamp,
}

/// The claims that may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing.
    Nothing,
    /// Up to this number of due events.
    Due(usize),
    /// One event, due or not, as a probe.
    Probe,
}

/// Change of state that a signal caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// No change that matters.
    None,
    /// The breaker opened: Serval is down.
    Opened,
    /// Serval answers again: waiting retries may be made at once.
    Recovered,
    /// Calls are held now.
    Held,
    /// The hold ended: Serval accepts our credentials.
    Released,
}

impl From<Failure> for Signal {
    fn from(failure: Failure) -> Self {
        if failure.kind == FailureKind::CredentialsRefused {
            Self::Refused(failure.retry_after)
        } else if failure.kind.is_final() {
            Self::Alive
        } else {
            Self::Failing(failure.kind)
        }
    }
}

/// Purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// The event is due.
    Regular,
    /// The call tests whether Serval answers. The event may not be due.
    Probe,
}

impl Probing {
    pub(super) fn start(now: Timestamp) -> Self {
        Self {
            since: now,
            next_at: later(now, FIRST_GAP),
            gap: FIRST_GAP * 2,
            in_flight: false,
        }
    }

    /// Ends a probe. The next one comes after the gap.
    pub(super) fn ended(&mut self, now: Timestamp) {
        self.in_flight = false;
        self.next_at = later(now, self.gap);
    }

    /// Ends a probe that made no call. It asked Serval nothing, so the next one comes soon.
    pub(super) fn unused(&mut self, now: Timestamp) {
        self.in_flight = false;
        self.next_at = later(now, FIRST_GAP);
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        !self.in_flight && self.next_at <= now
    }
}
