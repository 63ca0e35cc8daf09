//! The daemon beside other programs that take the same webhooks: acknowledgements under load, then
//! `kill -9`, a restart, and what of the acknowledged never reaches Serval.
//!
//! Each has the machine to itself while it runs, and they take turns. The peers are spared the
//! mapping: they take the ticket's number from the delivery.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{enough, goal, site};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::BUILT;
use crate::generator::{self, Driven, Load, Until};
use crate::peer::{PEERS, Peer, Place};
use crate::procfs;
use crate::report::Bound::AtLeast;
use crate::report::{Goal, Table, median, number};
use crate::webhooks::{Kind, Scheme, Sender};

const CONNECTIONS: usize = 64;
/// So long without a further connect, and what is missing is taken for lost.
const SILENCE: Duration = Duration::from_secs(10);

/// The daemon, or a peer.
#[derive(Debug, Clone, Copy)]
enum Entrant {
    Daemon(Kind),
    Peer(Peer),
}

/// One round of one of them.
#[derive(Debug, Clone, Copy)]
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
    idle: f64,
    peak: f64,
    acked: usize,
    lost: usize,
}

/// What was driven before the kill, and the memory at its ends.
struct Struck {
    driven: Driven,
    acked: Vec<u64>,
    idle: f64,
    peak: f64,
}

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let mut entrants = vec![
        Entrant::Daemon(Kind::Slack),
        Entrant::Daemon(Kind::ServiceNow),
    ];
    entrants.extend(PEERS.map(Entrant::Peer));
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); entrants.len()];
    let mut skipped = HashSet::new();
    for _ in 0..args.rounds {
        for (index, entrant) in entrants.iter().enumerate() {
            if skipped.contains(&index) {
                continue;
            }
            match entrant.round(args).await? {
                Ok(round) => rounds[index].push(round),
                Err(words) => {
                    println!("{} is skipped: {words}", entrant.name());
                    skipped.insert(index);
                }
            }
        }
    }
    report(&entrants, &rounds, goals);
    Ok(())
}

impl Entrant {
    fn name(self) -> String {
        match self {
            Self::Daemon(_) => "daemon".to_owned(),
            Self::Peer(peer) => peer.name.to_owned(),
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Daemon(kind) => kind,
            Self::Peer(peer) => peer.kind,
        }
    }

    fn before(self) -> &'static str {
        match self {
            Self::Daemon(_) => "verify, row synced",
            Self::Peer(peer) => peer.before,
        }
    }

    /// One round; `Err` holds the words of a peer that is not installed.
    async fn round(self, args: &Args) -> anyhow::Result<Result<Round, String>> {
        let serval = Handler::serval(Duration::ZERO).await?;
        let (load, lost) = match self {
            Self::Daemon(kind) => {
                let mapped = (kind, 2 * enough(args, 1) / args.rounds as u64);
                let site = site(args, BUILT.as_ref(), "peers", &serval.url(), mapped).await?;
                let daemon = site.start().await?;
                let (addr, pid) = (daemon.public, daemon.pid);
                let load = drive(args, self, (addr, pid), daemon.kill()).await?;
                let daemon = site.start().await?;
                let lost = lost(&serval, &load.acked).await?;
                daemon.stop().await?;
                (load, lost)
            }
            Self::Peer(peer) => {
                let place = Place::new(peer, &serval.url())?;
                let running = match place.start().await? {
                    Ok(running) => running,
                    Err(words) => return Ok(Err(words)),
                };
                let (addr, pid) = (running.addr, running.pid);
                let load = drive(args, self, (addr, pid), running.kill()).await?;
                let Ok(running) = place.start().await? else {
                    anyhow::bail!("{} was installed a moment ago", peer.name);
                };
                let lost = lost(&serval, &load.acked).await?;
                running.kill().await?;
                (load, lost)
            }
        };
        serval.stop().await?;
        Ok(Ok(Round {
            per_second: load.driven.per_second(),
            p50: load.driven.latency.quantile_ms(0.50),
            p99: load.driven.latency.quantile_ms(0.99),
            idle: load.idle,
            peak: load.peak,
            acked: load.acked.len(),
            lost,
        }))
    }
}

/// Warms a process up, drives it for a round, and has it killed while the load goes on.
async fn drive(
    args: &Args,
    entrant: Entrant,
    (to, pid): (SocketAddr, u32),
    kill: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Struck> {
    let scheme = match entrant {
        Entrant::Daemon(_) => Scheme::Own,
        Entrant::Peer(peer) => peer.scheme,
    };
    let load = |until| Load {
        to,
        sender: Arc::new(Sender::new(entrant.kind()).under(scheme)),
        connections: CONNECTIONS,
        until,
        counter: Arc::default(),
    };
    let (idle, _) = procfs::memory(pid)?;
    let warming = load(Until::Elapsed(args.round() / 2));
    let counter = Arc::clone(&warming.counter);
    let warmed = generator::drive(warming).await?;
    anyhow::ensure!(
        warmed.refused == 0 && !warmed.acked.is_empty(),
        "{} refused {} of the first webhooks",
        entrant.name(),
        warmed.refused
    );
    let driving = tokio::spawn(generator::drive(Load {
        counter,
        ..load(Until::Elapsed(args.round() * 10))
    }));
    tokio::time::sleep(args.round()).await;
    let (_, peak) = procfs::memory(pid)?;
    kill.await?;
    let driven = driving.await??;
    let mut acked = warmed.acked;
    acked.extend(&driven.acked);
    Ok(Struck {
        driven,
        acked,
        idle,
        peak,
    })
}

/// How many of the acknowledged were never connected. Waits for as long as more of them are.
async fn lost(serval: &Handler, acked: &[u64]) -> anyhow::Result<usize> {
    let mut left = usize::MAX;
    let mut since = Instant::now();
    while left > 0 && since.elapsed() < SILENCE {
        let tickets = serval.tickets().await?;
        let is_missing = |index: &&u64| {
            let index = usize::try_from(**index).unwrap_or(usize::MAX);
            !tickets.get(index).copied().unwrap_or(false)
        };
        let now = acked.iter().filter(is_missing).count();
        if now < left {
            left = now;
            since = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(left)
}

fn report(entrants: &[Entrant], rounds: &[Vec<Round>], goals: &mut Vec<Goal>) {
    let mut table = Table::new(
        format!("Peers, {CONNECTIONS} connections, Serval answers at once"),
        &[
            "",
            "",
            "done before it answers",
            "acks/s",
            "the daemon's over it",
            "p50 ms",
            "p99 ms",
            "resident MB, idle",
            "under load",
            "acknowledged",
            "of these never connected after kill -9",
        ],
    );
    for (entrant, mine) in entrants.iter().zip(rounds) {
        if mine.is_empty() {
            continue;
        }
        let daemon = entrants
            .iter()
            .position(|other| matches!(other, Entrant::Daemon(kind) if *kind == entrant.kind()));
        let theirs = daemon.map_or(&[][..], |index| &rounds[index]);
        let ratios = mine.iter().zip(theirs);
        let ratio = median(ratios.map(|(m, d)| d.per_second / m.per_second).collect());
        let middle = |figure: fn(&Round) -> f64| number(median(mine.iter().map(figure).collect()));
        let sum = |count: fn(&Round) -> usize| mine.iter().map(count).sum::<usize>().to_string();
        table.row(vec![
            entrant.name(),
            entrant.kind().name().to_owned(),
            entrant.before().to_owned(),
            middle(|r| r.per_second),
            number(ratio),
            middle(|r| r.p50),
            middle(|r| r.p99),
            middle(|r| r.idle),
            middle(|r| r.peak),
            sum(|r| r.acked),
            sum(|r| r.lost),
        ]);
        let aims = match entrant.name().as_str() {
            "bolt-js" => Some((20.0, 60.0)),
            "bolt-py" => Some((20.0, 30.0)),
            "node-red" => Some((6.0, 9.0)),
            _ => None,
        };
        if let Some((bound, aim)) = aims {
            let name = format!("acknowledgements over {}", entrant.name());
            goal(goals, &name, ratio, AtLeast(bound), aim);
        }
    }
    table.print();
}
