//! The scenarios: each is one run in which everything that it compares takes turns.

mod counts;
mod drain;
mod end_to_end;
mod growth;
mod hold;
mod ingest;
mod kill;
mod memory;
mod peers;
mod replicas;
mod smoke;
mod start;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::args::{Args, Command};
use crate::daemon::{BUILT, Daemon, Site};
use crate::generator::{self, Driven, Load, Until};
use crate::prefill;
use crate::procfs;
use crate::report::{self, Goal, median};
use crate::webhooks::{Kind, Sender};

/// Runs the scenario asked for, prints its tables, and fails when a gate is not passed.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    conditions(args)?.print();
    let mut goals = Vec::new();
    let mut is_gate = false;
    match args.command.as_ref().unwrap_or(&Command::Smoke) {
        Command::All => {
            ingest::run(args, &mut goals).await?;
            counts::run(args, &mut goals).await?;
            drain::run(args, &mut goals).await?;
            end_to_end::run(args, &mut goals).await?;
            memory::run(args, &mut goals).await?;
            kill::run(args, &mut goals).await?;
            start::run(args, &mut goals).await?;
            growth::run(args, &mut goals).await?;
        }
        Command::Smoke => {
            smoke::run(args, &mut goals).await?;
            is_gate = true;
        }
        Command::Ingest => ingest::run(args, &mut goals).await?,
        Command::Counts => counts::run(args, &mut goals).await?,
        Command::Drain => drain::run(args, &mut goals).await?,
        Command::EndToEnd => end_to_end::run(args, &mut goals).await?,
        Command::Growth => growth::run(args, &mut goals).await?,
        Command::Start => start::run(args, &mut goals).await?,
        Command::Kill => kill::run(args, &mut goals).await?,
        Command::Memory => memory::run(args, &mut goals).await?,
        Command::Peers => peers::run(args, &mut goals).await?,
        Command::Replicas => replicas::run(args, &mut goals).await?,
        Command::Hold { delivery } => hold::run(args, *delivery).await?,
        Command::Handler(_) | Command::Bare(_) => {}
    }
    report::print_goals(&goals);
    println!(
        "Took {} s; load at the end {}.",
        started.elapsed().as_secs(),
        procfs::load()
    );
    Ok(if is_gate && report::print_missed(&goals) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What a reader needs to judge the figures.
fn conditions(args: &Args) -> anyhow::Result<report::Table> {
    let binary = Path::new(BUILT);
    let profile = binary
        .parent()
        .and_then(Path::file_name)
        .map_or_else(String::new, |folder| folder.to_string_lossy().into_owned());
    let size = std::fs::metadata(binary)?.len() as f64 / 1e6;
    let mut table = report::Table::new("Conditions", &["", ""]);
    for (name, value) in [
        (
            "program",
            format!(
                "serval-connect {}, profile {profile}, {} MB",
                env!("CARGO_PKG_VERSION"),
                report::number(size)
            ),
        ),
        ("machine", procfs::machine()),
        (
            "disk",
            format!(
                "{}; 4 KiB written and synced in {} ms (median of 100)",
                procfs::file_system(Path::new(env!("CARGO_TARGET_TMPDIR"))),
                report::number(fsync_ms()?)
            ),
        ),
        ("load at the start", procfs::load()),
        (
            "rounds",
            format!(
                "{} of {} s, the median; references in turn with the daemon",
                args.rounds, args.seconds
            ),
        ),
        ("log of the daemon", format!("{}, to a file", args.log)),
    ] {
        table.row(vec![name.to_owned(), value]);
    }
    Ok(table)
}

/// What one append and fsync of 4 KiB costs on the disk that the databases lie on.
fn fsync_ms() -> anyhow::Result<f64> {
    use std::io::Write as _;

    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// The builds of the daemon to compare, by name.
fn contenders(args: &Args) -> Vec<(String, PathBuf)> {
    let name = |index: usize| {
        if index == 0 {
            "daemon".to_owned()
        } else {
            format!("other {index}")
        }
    };
    std::iter::once(PathBuf::from(BUILT))
        .chain(args.other.iter().cloned())
        .enumerate()
        .map(|(index, binary)| (name(index), binary))
        .collect()
}

/// A site whose database has its tables, and mappings for the webhooks numbered below `mapped`.
async fn site(
    args: &Args,
    binary: &Path,
    name: &str,
    serval: &str,
    (kind, mapped): (Kind, u64),
) -> anyhow::Result<Site> {
    let site = Site::new(args, binary, name, serval)?;
    site.start().await?.stop().await?;
    if mapped > 0 {
        prefill::mappings(&site.database(), kind, mapped).await?;
    }
    Ok(site)
}

/// Mappings that no load of these arguments outruns.
fn enough(args: &Args, loads: usize) -> u64 {
    const FASTER_THAN_EVER: f64 = 20_000.0;
    let seconds = args.seconds * (args.rounds + 1) as f64 * loads as f64;
    Duration::from_secs_f64(seconds * FASTER_THAN_EVER).as_secs()
}

/// Something that takes webhooks, and how it did over the rounds.
struct Target {
    name: String,
    addr: std::net::SocketAddr,
    pid: u32,
    counter: Arc<AtomicU64>,
    samples: Vec<Sample>,
}

/// One round.
#[derive(Debug, Clone, Copy)]
struct Sample {
    per_second: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    cpu_us: f64,
}

impl Target {
    fn new(name: impl Into<String>, addr: std::net::SocketAddr, pid: u32) -> Self {
        Self {
            name: name.into(),
            addr,
            pid,
            counter: Arc::default(),
            samples: Vec::new(),
        }
    }

    fn daemon(name: impl Into<String>, daemon: &Daemon) -> Self {
        Self::new(name, daemon.public, daemon.pid)
    }

    fn load(&self, sender: &Arc<Sender>, connections: usize, until: Until) -> Load {
        Load {
            to: self.addr,
            sender: Arc::clone(sender),
            connections,
            until,
            counter: Arc::clone(&self.counter),
        }
    }

    /// Drives a load and keeps what came of it.
    async fn measure(
        &mut self,
        sender: &Arc<Sender>,
        connections: usize,
        until: Until,
    ) -> anyhow::Result<Driven> {
        let before = procfs::cpu(self.pid)?;
        let driven = generator::drive(self.load(sender, connections, until)).await?;
        let driven = driven.all_acknowledged()?;
        let cpu = procfs::cpu(self.pid)?.saturating_sub(before);
        self.samples.push(Sample {
            per_second: driven.per_second(),
            p50: driven.latency.quantile_ms(0.50),
            p99: driven.latency.quantile_ms(0.99),
            p999: driven.latency.quantile_ms(0.999),
            cpu_us: cpu.as_secs_f64() * 1e6 / driven.acks(),
        });
        Ok(driven)
    }

    fn middle(&self, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }

    /// The middle of the ratios to `reference`, round by round.
    fn ratio(&self, reference: &Self, figure: fn(&Sample) -> f64) -> f64 {
        let rounds = self.samples.iter().zip(&reference.samples);
        median(
            rounds
                .map(|(mine, theirs)| figure(mine) / figure(theirs))
                .collect(),
        )
    }
}

/// Rounds in which `targets` take turns, one of them first each time.
async fn take_turns(
    args: &Args,
    targets: &mut [Target],
    sender: &Arc<Sender>,
    connections: usize,
) -> anyhow::Result<()> {
    for target in &mut *targets {
        target
            .measure(sender, connections, Until::Elapsed(args.round() / 4))
            .await?;
        target.samples.clear();
    }
    for round in 0..args.rounds {
        for turn in 0..targets.len() {
            let next = (round + turn) % targets.len();
            let until = Until::Elapsed(args.round());
            targets[next].measure(sender, connections, until).await?;
        }
    }
    Ok(())
}

/// A goal.
fn goal(goals: &mut Vec<Goal>, name: &str, measured: f64, bound: report::Bound, aim: f64) {
    goals.push(Goal::new(name, measured, bound, aim));
}
