//! The command line of the bench.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures the daemon beside references, in one run.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo bench --")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Rounds of each measurement, of which the median counts: 5, or 3 with `all`.
    #[arg(long = "rounds", global = true)]
    pub(crate) rounds_wanted: Option<usize>,
    #[arg(skip)]
    pub(crate) rounds: usize,

    /// Seconds of each round: 2, 1.5 with `all`, 1 with `smoke`.
    #[arg(long = "seconds", global = true)]
    pub(crate) seconds_wanted: Option<f64>,
    #[arg(skip)]
    pub(crate) seconds: f64,

    /// Connections of the load, such as 1,8,64,256.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "1,8,64,256"
    )]
    pub(crate) connections: Vec<usize>,

    /// Events of a backlog to drain.
    #[arg(long, global = true, default_value_t = 20_000)]
    pub(crate) events: u64,

    /// Sizes of the history (`growth`) and of the backlog (`start`) that are compared, the reference
    /// first: 10000,1000000, or 10000,200000 with `all`.
    #[arg(long = "sizes", global = true, value_delimiter = ',')]
    pub(crate) sizes_wanted: Vec<u64>,
    #[arg(skip)]
    pub(crate) sizes: Vec<u64>,

    /// The long sizes: a history of 5 million events, a backlog of a million. Takes some GB of disk.
    #[arg(long, global = true)]
    pub(crate) full: bool,

    /// Another build of the daemon to measure in turn with this one; repeatable.
    #[arg(long, global = true)]
    pub(crate) other: Vec<PathBuf>,

    /// Only the first combination of sender and mapping.
    #[arg(long, global = true)]
    pub(crate) first: bool,

    /// What the daemon logs.
    #[arg(long, global = true, default_value = "info")]
    pub(crate) log: String,

    /// Keeps the databases and the daemons' logs.
    #[arg(long, global = true)]
    pub(crate) keep: bool,

    /// Given by `cargo bench`.
    #[arg(long, global = true, hide = true)]
    pub(crate) bench: bool,
}

impl Args {
    /// Reads the command line.
    pub(crate) fn read() -> Self {
        let mut args = Self::parse();
        let is_all = matches!(args.command, Some(Command::All));
        let (rounds, seconds) = match args.command {
            Some(Command::All) => (3, 1.5),
            Some(Command::Smoke) | None => (5, 1.0),
            Some(_) => (5, 2.0),
        };
        args.rounds = args.rounds_wanted.unwrap_or(rounds);
        args.seconds = args.seconds_wanted.unwrap_or(seconds);
        args.sizes = match (args.sizes_wanted.is_empty(), args.full, is_all) {
            (false, ..) => args.sizes_wanted.clone(),
            (true, true, _) => vec![10_000, 1_000_000, 5_000_000],
            (true, false, false) => vec![10_000, 1_000_000],
            (true, false, true) => vec![10_000, 200_000],
        };
        args
    }

    /// The sizes of a backlog: no one has five million events waiting.
    pub(crate) fn backlogs(&self) -> Vec<u64> {
        let sizes = self.sizes.iter().copied();
        sizes.filter(|size| *size <= 1_000_000).collect()
    }

    pub(crate) fn round(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Everything below but `peers` and `replicas`, with short rounds and a short history (see `--full`).
    All,
    /// One minute, for CI: fails only on figures that neighbours do not move.
    Smoke,
    /// Acknowledgements over the null handler's.
    Ingest,
    /// Fsyncs and system calls for each acknowledgement, by strace.
    Counts,
    /// A backlog against a Serval that answers after 0 and 20 ms, over the bare client.
    Drain,
    /// Acknowledgements and connects at the same time.
    EndToEnd,
    /// Acknowledging, delivering and listing with a long history.
    Growth,
    /// From start to the first connect with a large backlog.
    Start,
    /// `kill -9` under load: what was acknowledged and is delivered when.
    Kill,
    /// Resident memory: idle, 64 connections with delivery, 256.
    Memory,
    /// Other programs that take the same webhooks, beside the daemon: see `benches/peers/install.sh`.
    Peers,
    /// Three replicas on a Postgres server, acknowledging and connecting at the same time.
    Replicas,
    /// Keeps one load up for `rounds * seconds`, for a profiler: prints the daemon's process id.
    Hold {
        /// Connects go out meanwhile.
        #[arg(long)]
        delivery: bool,
    },
    /// The null handler, the least durable one or the stand-in for Serval, in a process of its own.
    #[command(hide = true)]
    Handler(HandlerArgs),
    /// The bare client, in a process of its own.
    #[command(hide = true)]
    Bare(BareArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HandlerArgs {
    /// Answers as Serval does and keeps count, on one thread.
    #[arg(long)]
    pub(crate) serval: bool,
    /// Stores webhooks in this folder, as simply as can be.
    #[arg(long, conflicts_with = "serval")]
    pub(crate) least: Option<PathBuf>,
    /// Milliseconds before it answers.
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_ms: u64,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BareArgs {
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long)]
    pub(crate) calls: u64,
    #[arg(long)]
    pub(crate) in_flight: u64,
}
