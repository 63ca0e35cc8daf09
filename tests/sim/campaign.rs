//! Plays many seeds, each in a process of its own, and reports those that fail.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of the tests: it reads its arguments and the clock, and prints"
)]

use std::time::{Duration, Instant};

use sim_machine::process::{self, Child};

use super::world;

/// Seeds that `cargo test` plays.
const FIXED: std::ops::RangeInclusive<u64> = 1..=8;
/// Longest real time of a seed, in seconds.
const PATIENCE: u32 = 300;
/// Failures after which a campaign ends.
const ENOUGH: usize = 5;

/// Pause between two looks at the processes.
const NAP: Duration = Duration::from_millis(2);

/// What to play.
enum Play {
    Fixed,
    /// Fresh seeds for a time.
    Fresh(Duration),
    /// So many seeds from one on.
    From(u64, u64),
    /// One seed in this process.
    One(u64),
    Nothing,
}

struct Arguments {
    play: Play,
    logs: bool,
    twice: bool,
    /// Longest time, whatever is to be played.
    time: Option<Duration>,
    /// Failures after which it ends.
    enough: usize,
    processes: usize,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self {
            play: Play::Fixed,
            logs: false,
            twice: false,
            time: None,
            enough: ENOUGH,
            processes: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
            match word.as_str() {
                "--fresh" => {
                    read.play = Play::Fresh(Duration::from_secs(number().unwrap_or(60)));
                }
                "--from" => read.play = Play::From(number().unwrap_or(1), 100),
                "--seeds" => {
                    if let (Play::From(first, _), Some(count)) = (&read.play, number()) {
                        read.play = Play::From(*first, count);
                    }
                }
                "--for" => read.time = number().map(Duration::from_secs),
                "--first" => read.enough = 1,
                "--seed" => read.play = Play::One(number().unwrap_or(1)),
                "--processes" => {
                    let processes = number().unwrap_or(1);
                    read.processes = usize::try_from(processes).unwrap_or(1).max(1);
                }
                "--log" => read.logs = true,
                "--twice" => read.twice = true,
                // `cargo test -- NAME` is for tests of other targets.
                _ => read.play = Play::Nothing,
            }
        }
        read
    }
}

struct Tally {
    played: u64,
    failed: Vec<(u64, String)>,
    events: u64,
    lives: u64,
    virtual_seconds: f64,
}

pub(super) fn main() {
    let arguments = Arguments::read();
    let begun = Instant::now();
    let until = arguments.time.map(|time| begun + time);
    let mut tally = Tally {
        played: 0,
        failed: Vec::new(),
        events: 0,
        lives: 0,
        virtual_seconds: 0.0,
    };
    match arguments.play {
        Play::Nothing => return,
        Play::One(seed) => {
            let child = process::start(PATIENCE, || world::play(seed, arguments.logs));
            tally.take(seed, child.verdict());
        }
        Play::Fixed => run(&arguments, &mut tally, FIXED, until),
        Play::From(first, count) => {
            run(&arguments, &mut tally, first..=first + count - 1, until);
        }
        Play::Fresh(time) => {
            let first = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(1, |since| since.as_secs() * 1_000_000);
            println!("simulation: fresh seeds from {first} for {time:?}");
            run(&arguments, &mut tally, first..=u64::MAX, Some(begun + time));
        }
    }
    tally.tell(begun.elapsed());
    if !tally.failed.is_empty() {
        std::process::exit(1);
    }
}

fn run(
    arguments: &Arguments,
    tally: &mut Tally,
    seeds: std::ops::RangeInclusive<u64>,
    until: Option<Instant>,
) {
    let mut playing: Vec<(u64, Child)> = Vec::new();
    for seed in seeds {
        while playing.len() >= arguments.processes {
            std::thread::sleep(NAP);
            for (seed, child) in playing.extract_if(.., |(_, child)| child.is_done()) {
                tally.take(seed, child.verdict());
            }
        }
        if until.is_some_and(|until| until <= Instant::now())
            || tally.failed.len() >= arguments.enough
        {
            break;
        }
        let logs = arguments.logs;
        if arguments.twice {
            let [one, other] =
                [(); 2].map(|()| process::start(PATIENCE, || world::play(seed, logs)).verdict());
            if one != other {
                let differs = format!("a replay differs: {one:?} and {other:?}");
                tally.failed.push((seed, differs));
            }
            tally.take(seed, one);
            continue;
        }
        let child = process::start(PATIENCE, || world::play(seed, logs));
        playing.push((seed, child));
    }
    for (seed, child) in playing {
        tally.take(seed, child.verdict());
    }
}

impl Tally {
    fn take(&mut self, seed: u64, verdict: Option<String>) {
        self.played += 1;
        let said =
            verdict.unwrap_or_else(|| "FAILED\nthe process died or took too long".to_owned());
        let (head, rest) = said.split_once('\n').unwrap_or((&said, ""));
        if head == "FAILED" {
            println!("simulation: seed {seed} FAILED\n{rest}");
            println!("  again: cargo test --test sim -- --seed {seed} --log");
            self.failed.push((seed, rest.to_owned()));
            return;
        }
        let mut numbers = head.split(' ').filter_map(|word| word.parse::<f64>().ok());
        let mut next = || numbers.next().unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small counts"
        )]
        {
            self.events += next() as u64;
            self.lives += next() as u64;
        }
        self.virtual_seconds += next();
    }

    fn tell(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let rate = self.played as f64 / seconds;
        println!(
            "simulation: {} seeds, {} failed, {seconds:.1} s, {rate:.2} seeds/s; {} acknowledged events, \
             {} lives, {:.0} simulated seconds",
            self.played,
            self.failed.len(),
            self.events,
            self.lives,
            self.virtual_seconds,
        );
        for (seed, why) in &self.failed {
            let first = why.lines().next().unwrap_or_default();
            println!("simulation: failed: seed {seed}: {first}");
        }
    }
}
