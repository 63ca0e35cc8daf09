//! What a seed decides: how large the world is, and what goes wrong in it.

use std::time::Duration;

use fastrand::Rng;
use sim_machine::{Crash, Cut, Fault};

use super::ledger::{Effect, Mood};
use super::model::{Source, Ticket};

/// The parameters of a world.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Calls per second; 0: no limit.
    pub(crate) rate: u32,
    pub(crate) slots: u32,
    pub(crate) breaker: u32,
    pub(crate) tickets: usize,
    pub(crate) senders: usize,
    /// How long webhooks come.
    pub(crate) sending: Duration,
    /// Longest pause of a sender.
    pub(crate) pause: Duration,
    /// Longest time of a sync.
    pub(crate) sync: Duration,
    /// True if Serval refuses a pair that it has.
    pub(crate) refuses_repeats: bool,
    /// True if a changed mapping unlinks the old pair of `ServiceNow`.
    pub(crate) unlinks: bool,
    pub(crate) has_faults: bool,
    pub(crate) has_clock_steps: bool,
}

/// What happens to the daemon or its machine next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blow {
    Kill,
    Cut(Cut),
    /// It dies by itself after so many steps of its disk.
    Crash(u64, Crash),
    Stop,
    Disk(Fault, Duration),
    /// Another process holds the database for longer than a claim lasts.
    Held(Duration),
    /// The next call that arrives at Serval finds the daemon dead, cut or still.
    AtCall(Strike),
    /// The clock of its machine is set by so many seconds.
    Clock(i64),
    /// Nothing of it runs for a time.
    Stall(Duration),
    Nothing,
}

/// What happens to the daemon at the moment at which a call of it arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Strike {
    Kill,
    Cut(Cut),
    Stall(Duration),
}

const CUTS: [Cut; 4] = [Cut::Nothing, Cut::Torn, Cut::Scattered, Cut::All];

impl Plan {
    pub(crate) fn new(dice: &mut Rng) -> Self {
        Self {
            rate: [0, 0, 10, 50][dice.usize(0..4)],
            slots: [1, 2, 4][dice.usize(0..3)],
            breaker: [0, 3, 5][dice.usize(0..3)],
            tickets: dice.usize(2..30),
            senders: dice.usize(1..5),
            sending: Duration::from_secs(dice.u64(3..20)),
            pause: Duration::from_millis([100, 400, 2000][dice.usize(0..3)]),
            sync: Duration::from_micros([0, 500, 20_000][dice.usize(0..3)]),
            refuses_repeats: dice.bool(),
            unlinks: dice.bool(),
            has_faults: dice.u8(0..8) > 0,
            has_clock_steps: dice.u8(0..4) == 0,
        }
    }

    /// The external tickets of the world.
    pub(crate) fn tickets(&self, dice: &mut Rng) -> Vec<Ticket> {
        let make = |no: usize| {
            let source = [Source::Once, Source::Again, Source::Slack][dice.usize(0..3)];
            let id = match source {
                Source::Once | Source::Again => format!("a1b2{no:028x}"),
                Source::Slack => format!("C9DDYQ1B{no}:1773748800.{no:06}"),
            };
            Ticket {
                source,
                id,
                serval: format!("tkt-{no}"),
                mapped: None,
                before: None,
                deletions: 0,
                is_going: false,
                gone: None,
                sent: Vec::new(),
            }
        };
        (0..self.tickets).map(make).collect()
    }

    /// Chooses what happens next.
    pub(crate) fn blow(&self, dice: &mut Rng) -> Blow {
        let how = CUTS[dice.usize(0..CUTS.len())];
        match dice.u8(0..21) {
            0..3 => Blow::Kill,
            3..6 => Blow::Cut(how),
            6..8 => Blow::Crash(dice.u64(1..200), Crash::Kill),
            8..11 => Blow::Crash(dice.u64(1..200), Crash::Cut(how)),
            11 => Blow::Stop,
            12 | 13 => {
                let faults = [Fault::Full, Fault::Sync, Fault::Write, Fault::Held];
                let fault = faults[dice.usize(0..faults.len())];
                Blow::Disk(fault, Duration::from_millis(dice.u64(10..8000)))
            }
            14 if self.has_clock_steps => {
                let steps = [3600, -3600, 90 * 86_400, -86_400, 700];
                Blow::Clock(steps[dice.usize(0..steps.len())])
            }
            15 => Blow::Stall(Duration::from_millis(dice.u64(100..20_000))),
            16 => Blow::Stall(Duration::from_secs(dice.u64(60..400))),
            17 => Blow::Held(Duration::from_secs(dice.u64(175..240))),
            18 | 19 => Blow::AtCall(match dice.u8(0..4) {
                0 => Strike::Kill,
                1 => Strike::Cut(how),
                2 => Strike::Stall(Duration::from_secs(dice.u64(1..30))),
                _ => Strike::Stall(Duration::from_secs(dice.u64(165..260))),
            }),
            _ => Blow::Nothing,
        }
    }

    /// Chooses how Serval is for a while.
    pub(crate) fn mood(&self, dice: &mut Rng) -> Mood {
        const EFFECTS: [Effect; 12] = [
            Effect::Lost,
            Effect::Lost,
            Effect::Reset,
            Effect::Hang,
            Effect::Slow,
            Effect::Status(500),
            Effect::Status(503),
            Effect::Status(429),
            Effect::Status(401),
            Effect::Page,
            Effect::ErrorInside,
            Effect::Late,
        ];
        if !self.has_faults || dice.u8(0..4) == 0 {
            return Mood::default();
        }
        let mut choose = || EFFECTS[dice.usize(0..EFFECTS.len())];
        let (connect, look) = (choose(), choose());
        Mood {
            connect,
            look,
            connect_percent: [10, 50, 100][dice.usize(0..3)],
            look_percent: [0, 0, 30, 100][dice.usize(0..4)],
            retry_after: [None, Some(1), Some(7), Some(60)][dice.usize(0..4)],
        }
    }
}
