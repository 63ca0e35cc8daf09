//! The circuit breaker: whether calls to Serval may be made, and how many at once. Pure.
//!
//! - *Held*: Serval refuses our credentials. No call is made; the token is tried every 30 s, or when the wait
//!   ends that Serval asked for.
//! - *Open*: failures in a row, over different external tickets, show that Serval is down. Only one
//!   probe at a time is made, with growing gaps, and no event loses a try. The first success closes the
//!   breaker; the calls in flight then grow from one again.
//! - *Suspect*: calls fail in a row, but over few external tickets. Other events still go; the waiting
//!   events are probed as in *open*, so that a quiet system notices Serval's return, too.
//!
//! If no event waits that could be a probe, the breaker closes. Its failures stay counted: the next sign of
//! an outage brings *open* or *suspect* back.

mod state;

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::delivery::{FailureKind, check_credentials_at};
use crate::domain::ids::ExternalTicket;
use crate::domain::retry::moved;
pub use state::{Admission, CallKind, Change, Hold, Mode, Probing, Signal};

/// Longest gap between probes. Together with [`PROBE_TIMEOUT`] it keeps a promise: calls resume within
/// 15 s after an outage.
const LAST_GAP: Duration = Duration::from_secs(8);
/// Time limit of a probe.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    mode: Mode,
    /// Failures in a row, over as many external tickets, that open it; 0: never. A change applies at
    /// the next failure.
    pub threshold: usize,
    /// External tickets of the current run of failures, at most `threshold`.
    failing: HashSet<ExternalTicket>,
    /// Failures since the last success.
    run: usize,
    /// Failure of the last call, if it failed.
    fault: Option<String>,
    /// Claims allowed while calls grow again after an outage.
    ramp: Option<usize>,
    /// True while an operator has paused the calls.
    pub is_paused: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(threshold: usize) -> Self {
        Self {
            mode: Mode::Closed,
            threshold,
            failing: HashSet::new(),
            run: 0,
            fault: None,
            ramp: None,
            is_paused: false,
        }
    }

    /// The state.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Failure of the last call, if it failed.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// True if a failure uses up a try of its event.
    pub fn counts_tries(&self) -> bool {
        matches!(self.mode, Mode::Closed | Mode::Suspect(_))
    }

    /// True if a call may be made now.
    pub fn allows(&self, kind: CallKind) -> bool {
        !self.is_paused
            && match self.mode {
                Mode::Closed | Mode::Suspect(_) => true,
                Mode::Open(_) => kind == CallKind::Probe,
                Mode::Held(_) => false,
            }
    }

    /// The claims that may be made, if `in_flight` claims of at most `limit` have not ended.
    pub fn admission(&self, in_flight: usize, limit: usize, now: Timestamp) -> Admission {
        if self.is_paused {
            return Admission::Nothing;
        }
        let limit = self.ramp.unwrap_or(limit).min(limit);
        let free = limit.saturating_sub(in_flight);
        match &self.mode {
            Mode::Open(probing) | Mode::Suspect(probing) if probing.is_due(now) => Admission::Probe,
            Mode::Held(_) | Mode::Open(_) => Admission::Nothing,
            Mode::Closed | Mode::Suspect(_) if free == 0 => Admission::Nothing,
            Mode::Closed | Mode::Suspect(_) => Admission::Due(free),
        }
    }

    /// A probe was claimed.
    pub fn probe_sent(&mut self) {
        if let Some(probing) = self.mode.probing() {
            probing.in_flight = true;
        }
    }

    /// The probe made no call; the next one comes soon.
    pub fn probe_unused(&mut self, now: Timestamp) {
        if let Some(probing) = self.mode.probing() {
            probing.unused(now);
        }
    }

    /// No event waits, so there is nothing to probe with. The breaker closes. Otherwise it would stay open until
    /// the next webhook, and pairs would not be unlinked meanwhile. The run of failures stays, so the next
    /// sign of an outage brings that state back.
    pub fn nothing_waits(&mut self) {
        if matches!(self.mode, Mode::Open(_)) {
            self.ramp = Some(1);
        }
        if self.mode.probing().is_some() {
            self.mode = Mode::Closed;
        }
    }

    /// Takes in the result of a call. `error`: the failure, for people.
    pub fn record(
        &mut self,
        signal: Signal,
        ticket: &ExternalTicket,
        kind: CallKind,
        error: &str,
        now: Timestamp,
    ) -> Change {
        self.fault = (signal != Signal::Alive).then(|| error.to_owned());
        match signal {
            Signal::Alive => self.alive(kind),
            Signal::Refused(asked) => self.refused(error, asked, now),
            // Serval answers. The pace becomes slower, the breaker stays.
            Signal::Failing(FailureKind::Throttled) => {
                self.probe_ended(kind, now);
                Change::None
            }
            Signal::Failing(failure) => self.failing(failure, ticket, kind, now),
        }
    }

    /// A check found that Serval refuses the credentials. `asked`: the wait that it asked for.
    pub fn hold(&mut self, error: &str, asked: Option<Duration>, now: Timestamp) -> Change {
        let check_at = check_credentials_at(asked, now);
        if let Mode::Held(hold) = &mut self.mode {
            hold.check_at = check_at;
            return Change::None;
        }
        self.mode = Mode::Held(Hold {
            since: now,
            reason: error.to_owned(),
            check_at,
        });
        Change::Held
    }

    /// Time of the next check while calls are held; `None`: they are not held.
    pub fn held_until(&self) -> Option<Timestamp> {
        match &self.mode {
            Mode::Held(hold) => Some(hold.check_at),
            Mode::Closed | Mode::Suspect(_) | Mode::Open(_) => None,
        }
    }

    /// Serval accepted the credentials in a check. `held_until`: what it was when the check began. A hold
    /// that began since then, or became longer, stays: the check says nothing about its cause.
    pub fn release(&mut self, held_until: Option<Timestamp>) -> Change {
        if held_until.is_some() && self.held_until() == held_until {
            self.mode = Mode::Closed;
            self.fault = None;
            return Change::Released;
        }
        Change::None
    }

    /// Moves the waits after the clock was set by `jump` milliseconds.
    pub fn follow_clock(&mut self, jump: i64) {
        match &mut self.mode {
            Mode::Closed => {}
            Mode::Open(probing) | Mode::Suspect(probing) => {
                probing.next_at = moved(probing.next_at, jump);
            }
            Mode::Held(hold) => hold.check_at = moved(hold.check_at, jump),
        }
    }

    /// Serval refuses the credentials of a call. Calls that were in flight may get an answer, too: none of
    /// them shortens the wait.
    fn refused(&mut self, error: &str, asked: Option<Duration>, now: Timestamp) -> Change {
        let left = match &self.mode {
            Mode::Held(hold) => Duration::try_from(hold.check_at.duration_since(now)).ok(),
            Mode::Closed | Mode::Suspect(_) | Mode::Open(_) => None,
        };
        self.hold(error, asked.max(left), now)
    }

    fn alive(&mut self, kind: CallKind) -> Change {
        self.run = 0;
        self.failing.clear();
        match &self.mode {
            // A call that was in flight when the hold began proves nothing about the next token.
            Mode::Held(_) => Change::None,
            Mode::Closed => {
                // From 256 claims on, the slots alone set the limit.
                let doubled = self.ramp.map(|allowed| allowed.saturating_mul(2));
                self.ramp = doubled.filter(|allowed| *allowed < 256);
                Change::None
            }
            Mode::Open(_) | Mode::Suspect(_) => {
                let was_open = matches!(self.mode, Mode::Open(_));
                self.mode = Mode::Closed;
                self.ramp = was_open.then_some(if kind == CallKind::Probe { 1 } else { 2 });
                Change::Recovered
            }
        }
    }

    fn failing(
        &mut self,
        failure: FailureKind,
        ticket: &ExternalTicket,
        kind: CallKind,
        now: Timestamp,
    ) -> Change {
        self.run = self.run.saturating_add(1);
        if self.failing.len() < self.threshold {
            self.failing.insert(ticket.clone());
        }
        let is_outage = self.threshold > 0 && self.failing.len() >= self.threshold;
        match &self.mode {
            Mode::Held(_) => Change::None,
            Mode::Closed | Mode::Suspect(_) if is_outage => {
                self.mode = Mode::Open(Probing::start(now));
                Change::Opened
            }
            Mode::Suspect(_) | Mode::Open(_) => {
                self.probe_ended(kind, now);
                Change::None
            }
            Mode::Closed => {
                // A fault that one external ticket causes is not an outage.
                let is_general = failure != FailureKind::Faulty;
                if self.threshold > 0 && self.run >= self.threshold && is_general {
                    self.mode = Mode::Suspect(Probing::start(now));
                }
                Change::None
            }
        }
    }

    fn probe_ended(&mut self, kind: CallKind, now: Timestamp) {
        if kind == CallKind::Probe
            && let Some(probing) = self.mode.probing()
        {
            probing.ended(now);
            probing.gap = (probing.gap * 2).min(LAST_GAP);
        }
    }

    /// Time of the next probe or check.
    pub fn next_at(&self) -> Option<Timestamp> {
        match &self.mode {
            Mode::Closed => None,
            Mode::Open(probing) | Mode::Suspect(probing) => {
                (!probing.in_flight).then_some(probing.next_at)
            }
            Mode::Held(hold) => Some(hold.check_at),
        }
    }
}

#[cfg(test)]
mod tests;
