//! The faults of a run, which follow from its seed.

use std::time::Duration;

use fastrand::Rng;

/// Silence after which a replica is taken for dead: as short as the configuration allows with these calls.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(12);

/// Time of a run that is not for faults: the start, and the end of what they left.
const AROUND: u64 = 20;
const FEWEST: u64 = 18;

/// What is asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
}

impl Options {
    /// Reads the command line. `None`: it asks for tests of other targets.
    pub(crate) fn read() -> Option<Self> {
        let mut options = Self {
            seconds: 40,
            seed: fastrand::u64(..1_000_000),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let number = match word.as_str() {
                "--seconds" => &mut options.seconds,
                "--seed" => &mut options.seed,
                _ => return None,
            };
            *number = words.next()?.parse().ok()?;
        }
        Some(options)
    }

    /// Seconds in which faults strike.
    pub(crate) fn of_faults(&self) -> u64 {
        self.seconds.saturating_sub(AROUND).max(FEWEST)
    }
}

/// The replica that a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The one that makes the calls.
    Leader,
    Seat(usize),
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a new process after this time.
    Kill(Target, Duration),
    /// SIGTERM, and a new process.
    Stop(Target),
    /// SIGSTOP, and SIGCONT after this time.
    Freeze(Target, Duration),
    /// The connection of a replica that writes is cut for this time. Those that read work.
    CutWriter(Target, Duration),
    /// The network of a replica is cut for this time. `true`: its connections do not outlive that.
    Cut(Target, Duration, bool),
    /// Its connections are reset while a commit is under way: the answer is lost.
    LoseCommit(Target),
    /// Postgres crashes and starts again.
    Restart,
    /// Postgres crashes, and the standby takes its place.
    Promote,
    /// Serval is like this from now on.
    Serval(&'static [&'static str]),
}

/// How Serval may be. A call takes a moment, so that faults find some under way.
const SERVAL: [&[&str]; 6] = [
    &["latency=60ms"],
    &["latency=150ms"],
    &["latency=100ms", "latency=300ms,rate=0.3"],
    &["latency=80ms", "drop,rate=0.05"],
    &["latency=80ms", "hang,rate=0.03"],
    &["latency=120ms", "503,rate=0.05"],
];

/// Faults with their times from the begin, in order.
pub(crate) fn plan(options: Options) -> Vec<(Duration, Fault)> {
    let mut dice = Rng::with_seed(options.seed);
    let end = Duration::from_secs(options.of_faults());
    let mut faults = Vec::new();
    rare(&mut faults, &mut dice, end);
    let mut at = Duration::from_secs(2);
    while at < end {
        let target = target(&mut dice);
        let fault = match dice.u8(0..12) {
            0 => Fault::Stop(target),
            1 => Fault::LoseCommit(target),
            _ => Fault::Kill(target, millis(&mut dice, 100, 1500)),
        };
        faults.push((at, fault));
        at += millis(&mut dice, 2000, 5500);
    }
    at = Duration::ZERO;
    while at < end {
        faults.push((at, Fault::Serval(SERVAL[dice.usize(..SERVAL.len())])));
        at += millis(&mut dice, 500, 4000);
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// Adds the faults that last. They are spread over the run, and of the same kind in each.
fn rare(faults: &mut Vec<(Duration, Fault)>, dice: &mut Rng, end: Duration) {
    let seconds = end.as_secs();
    let mut freezes = dice.bool();
    // Early in its part of the run, so that what lasts long ends with it.
    let mut spread = |count: u64, share: f64, fault: &mut dyn FnMut(&mut Rng) -> Fault| {
        let count = u32::try_from(count).expect("few");
        for n in 0..count {
            let at = (end / count).mul_f64(f64::from(n) + 0.05 + share * dice.f64());
            let fault = fault(dice);
            faults.push((at, fault));
        }
    };
    let dead_after = u64::try_from(DEAD_AFTER.as_millis()).expect("some seconds");
    spread(1 + seconds / 60, 0.1, &mut |dice| {
        // Long enough for another one to take over, and to call.
        let time = millis(dice, dead_after + 3500, dead_after + 6000);
        freezes = !freezes;
        if freezes {
            Fault::Freeze(Target::Leader, time)
        } else {
            Fault::CutWriter(Target::Leader, time)
        }
    });
    let longest = if seconds < 60 { 8000 } else { 20_000 };
    spread(1 + seconds / 90, 0.5, &mut |dice| {
        Fault::Cut(target(dice), millis(dice, 5000, longest), dice.bool())
    });
    spread(1 + seconds / 200, 0.8, &mut |_| Fault::Restart);
    spread(1, 0.8, &mut |_| Fault::Promote);
    spread(1 + seconds / 60, 0.8, &mut |_| {
        Fault::LoseCommit(Target::Leader)
    });
}

/// Most faults strike the leader.
fn target(dice: &mut Rng) -> Target {
    match dice.usize(0..5) {
        seat @ 0..3 => Target::Seat(seat),
        _ => Target::Leader,
    }
}

fn millis(dice: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.u64(least..=most))
}
