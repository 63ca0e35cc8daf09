//! The line to Serval as a whole: whether calls may be made, and how many at once. Pure.
//!
//! - *Held*: our credentials are no good. No call is made; the token is tried every 30 s.
//! - *Open*: a run of failures over different external tickets says that Serval is down. One probe
//!   at a time, with growing gaps; no event pays for it. The first success closes the line, and
//!   the calls in flight grow from one again.
//! - *Suspect*: a run of calls got no proper answer, but over few external tickets. Others still
//!   flow; what waits is probed as in *open*, so that a quiet system notices Serval's return too.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::delivery::FailureKind;
use crate::domain::ids::ExternalTicket;
use crate::domain::retry::later;

/// Between looks at refused credentials.
pub const HOLD_CHECK: Duration = Duration::from_secs(30);
/// The first gap between probes.
const FIRST_GAP: Duration = Duration::from_secs(1);
/// The last gap. With [`PROBE_TIMEOUT`] it keeps a promise: the line moves again within 15 s.
const LAST_GAP: Duration = Duration::from_secs(8);
/// A probe that hangs for longer has failed.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the end of a call says about Serval as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It answers, if only with a refusal of this one request.
    Alive,
    /// It does not answer properly.
    Failing(FailureKind),
}

/// How the line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Calls are made.
    Flowing,
    /// Calls are made, and what waits is probed.
    Suspect(Probing),
    /// Only probes are made.
    Open(Probing),
    /// No calls are made.
    Held(Hold),
}

impl Mode {
    /// How the breaker stands, in a word.
    pub fn breaker(&self) -> &'static str {
        match self {
            Self::Flowing | Self::Held(_) => "closed",
            Self::Suspect(_) => "suspect",
            Self::Open(_) => "open",
        }
    }
}

/// The rhythm of probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probing {
    /// Since when.
    pub since: Timestamp,
    /// Not before.
    pub next_at: Timestamp,
    gap: Duration,
    in_flight: bool,
}

/// Refused credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// What Serval said.
    pub reason: String,
    /// When the credentials are tried next.
    pub check_at: Timestamp,
}

/// What may be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing.
    Nothing,
    /// So many events that are due.
    Due(usize),
    /// One event, due or not, as a probe.
    Probe,
}

/// What a signal did to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to speak of.
    Same,
    /// The line opened: Serval is down.
    Opened,
    /// Serval is back after a run of failures: what waits out the outage may go.
    Recovered,
    /// Calls are held from now on.
    Held,
}

/// The line.
#[derive(Debug)]
pub struct Line {
    mode: Mode,
    threshold: usize,
    failing: HashSet<ExternalTicket>,
    run: usize,
    /// Claims in hand allowed while it grows after an outage.
    ramp: Option<usize>,
    is_paused: bool,
}

impl Line {
    /// A flowing line. `threshold`: failures in a row, over as many external tickets, that open
    /// it; 0: never.
    pub fn new(threshold: usize) -> Self {
        Self {
            mode: Mode::Flowing,
            threshold,
            failing: HashSet::new(),
            run: 0,
            ramp: None,
            is_paused: false,
        }
    }

    /// From now on another threshold. How it stands is judged by it at the next failure.
    pub fn set_threshold(&mut self, threshold: usize) {
        self.threshold = threshold;
    }

    /// How it stands.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Whether an operator paused it.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Pauses or resumes it.
    pub fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Whether a failure costs its event a try.
    pub fn counts_tries(&self) -> bool {
        matches!(self.mode, Mode::Flowing | Mode::Suspect(_))
    }

    /// Whether a call that was claimed for may still be made.
    pub fn takes(&self, is_probe: bool) -> bool {
        !self.is_paused
            && match self.mode {
                Mode::Flowing | Mode::Suspect(_) => true,
                Mode::Open(_) => is_probe,
                Mode::Held(_) => false,
            }
    }

    /// What may be claimed, with `in_hand` claims of at most `room` whose calls have not ended.
    pub fn admission(&self, in_hand: usize, room: usize, now: Timestamp) -> Admission {
        if self.is_paused {
            return Admission::Nothing;
        }
        let free = self.ramp.unwrap_or(room).min(room).saturating_sub(in_hand);
        match &self.mode {
            Mode::Open(probing) | Mode::Suspect(probing) if probing.is_due(now) => Admission::Probe,
            Mode::Held(_) | Mode::Open(_) => Admission::Nothing,
            Mode::Flowing | Mode::Suspect(_) if free == 0 => Admission::Nothing,
            Mode::Flowing | Mode::Suspect(_) => Admission::Due(free),
        }
    }

    /// A probe is on its way.
    pub fn probe_sent(&mut self) {
        if let Mode::Open(probing) | Mode::Suspect(probing) = &mut self.mode {
            probing.in_flight = true;
        }
    }

    /// No call came of the probe; look again later.
    pub fn probe_unused(&mut self, now: Timestamp) {
        if let Mode::Open(probing) | Mode::Suspect(probing) = &mut self.mode {
            probing.in_flight = false;
            probing.next_at = later(now, probing.gap);
        }
    }

    /// The end of a call. `said`: what went wrong, for a hold's reason.
    pub fn note(
        &mut self,
        signal: Signal,
        ticket: &ExternalTicket,
        is_probe: bool,
        said: &str,
        now: Timestamp,
    ) -> Turn {
        match signal {
            Signal::Alive => self.alive(is_probe),
            Signal::Failing(FailureKind::CredentialsRefused) => self.hold(said, now),
            // Serval answers, and the pace sees to the rest.
            Signal::Failing(FailureKind::Throttled) => {
                self.probe_ended(is_probe, now);
                Turn::Same
            }
            Signal::Failing(kind) => self.failing(kind, ticket, is_probe, now),
        }
    }

    /// Credentials are no good.
    pub fn hold(&mut self, said: &str, now: Timestamp) -> Turn {
        let check_at = later(now, HOLD_CHECK);
        if let Mode::Held(hold) = &mut self.mode {
            hold.check_at = check_at;
            return Turn::Same;
        }
        self.mode = Mode::Held(Hold {
            since: now,
            reason: said.to_owned(),
            check_at,
        });
        Turn::Held
    }

    /// Credentials are good (again).
    pub fn release(&mut self) -> Turn {
        if matches!(self.mode, Mode::Held(_)) {
            self.mode = Mode::Flowing;
            return Turn::Recovered;
        }
        Turn::Same
    }

    /// The clock was set by `jump` milliseconds.
    pub fn follow_clock(&mut self, jump: i64) {
        let moved = |at: Timestamp| {
            at.saturating_add(jiff::SignedDuration::from_millis(jump))
                .unwrap_or(at)
        };
        match &mut self.mode {
            Mode::Flowing => {}
            Mode::Open(probing) | Mode::Suspect(probing) => {
                probing.next_at = moved(probing.next_at);
            }
            Mode::Held(hold) => hold.check_at = moved(hold.check_at),
        }
    }

    fn alive(&mut self, is_probe: bool) -> Turn {
        self.run = 0;
        self.failing.clear();
        match &self.mode {
            Mode::Held(_) => Turn::Same,
            Mode::Flowing => {
                self.ramp = self
                    .ramp
                    .map(|allowed| allowed.saturating_mul(2))
                    .filter(|a| *a < 256);
                Turn::Same
            }
            Mode::Open(_) | Mode::Suspect(_) => {
                let was_open = matches!(self.mode, Mode::Open(_));
                self.mode = Mode::Flowing;
                self.ramp = was_open.then_some(if is_probe { 1 } else { 2 });
                Turn::Recovered
            }
        }
    }

    fn failing(
        &mut self,
        kind: FailureKind,
        ticket: &ExternalTicket,
        is_probe: bool,
        now: Timestamp,
    ) -> Turn {
        self.run = self.run.saturating_add(1);
        if self.failing.len() < self.threshold {
            self.failing.insert(ticket.clone());
        }
        let is_outage = self.threshold > 0 && self.failing.len() >= self.threshold;
        match &self.mode {
            Mode::Held(_) => Turn::Same,
            Mode::Flowing | Mode::Suspect(_) if is_outage => {
                self.mode = Mode::Open(Probing::start(now));
                Turn::Opened
            }
            Mode::Suspect(_) | Mode::Open(_) => {
                self.probe_ended(is_probe, now);
                Turn::Same
            }
            Mode::Flowing => {
                // One external ticket that Serval chokes on is no outage.
                let is_general = kind != FailureKind::Faulty;
                if self.threshold > 0 && self.run >= self.threshold && is_general {
                    self.mode = Mode::Suspect(Probing::start(now));
                }
                Turn::Same
            }
        }
    }

    fn probe_ended(&mut self, is_probe: bool, now: Timestamp) {
        if let (true, Mode::Open(probing) | Mode::Suspect(probing)) = (is_probe, &mut self.mode) {
            probing.in_flight = false;
            probing.next_at = later(now, probing.gap);
            probing.gap = (probing.gap * 2).min(LAST_GAP);
        }
    }

    /// When the line itself next wants attention.
    pub fn next_at(&self) -> Option<Timestamp> {
        match &self.mode {
            Mode::Flowing => None,
            Mode::Open(probing) | Mode::Suspect(probing) => {
                (!probing.in_flight).then_some(probing.next_at)
            }
            Mode::Held(hold) => Some(hold.check_at),
        }
    }
}

impl Probing {
    fn start(now: Timestamp) -> Self {
        Self {
            since: now,
            next_at: later(now, FIRST_GAP),
            gap: FIRST_GAP * 2,
            in_flight: false,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        !self.in_flight && self.next_at <= now
    }
}

#[cfg(test)]
mod tests;
