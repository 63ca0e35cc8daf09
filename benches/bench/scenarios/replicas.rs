//! Three replicas on one Postgres, all on this machine: webhooks come in at full speed at each of them, and the leader
//! makes the connects.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::goal;
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::{BUILT, Daemon, Site};
use crate::generator::{self, Driven, Load, Until};
use crate::postgres::Postgres;
use crate::procfs;
use crate::report::Bound::{AtLeast, AtMost};
use crate::report::{Goal, Table, median, number};
use crate::webhooks::{Kind, Sender};

const REPLICAS: usize = 3;
const CONNECTIONS: usize = 64;
/// Time of a round trip between a replica and a server elsewhere.
const DISTANCE: Duration = Duration::from_micros(500);
/// More webhooks a second than any round has.
const FASTER_THAN_EVER: f64 = 10_000.0;

/// Figures of one round.
struct Round {
    connected: f64,
    acknowledged: f64,
    p50: f64,
    p99: f64,
    /// Microseconds for each event.
    postgres: f64,
    daemons: f64,
    /// Median of a lone client.
    alone: f64,
}

struct Bench {
    postgres: Postgres,
    serval: Handler,
    daemons: Vec<Daemon>,
    sender: Arc<Sender>,
    counter: Arc<AtomicU64>,
}

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let near = measure(args, Duration::ZERO).await?;
    let far = measure(args, DISTANCE).await?;
    tell(&near, &far, goals);
    Ok(())
}

/// Measures rounds on a Postgres whose round trips take `distance` in addition.
async fn measure(args: &Args, distance: Duration) -> anyhow::Result<Vec<Round>> {
    let postgres = Postgres::start()?;
    let serval = Handler::serval(Duration::ZERO).await?;
    let mut sites = Vec::new();
    for n in 0..REPLICAS {
        let name = format!("replica-{n}-{}", distance.as_micros());
        let site = Site::new(args, BUILT.as_ref(), &name, &serval.url())?;
        sites.push(site.with_database(&postgres.url(distance)?));
    }
    let mut daemons = vec![sites[0].start().await?];
    let seconds = args.seconds * (args.rounds + 1) as f64 * 2.0;
    let mappings = Duration::from_secs_f64(seconds * FASTER_THAN_EVER).as_secs();
    postgres.mappings(Kind::ServiceNow, mappings).await?;
    for site in &sites[1..] {
        daemons.push(site.start().await?);
    }
    let bench = Bench {
        postgres,
        serval,
        daemons,
        sender: Arc::new(Sender::new(Kind::ServiceNow)),
        counter: Arc::default(),
    };
    bench.round(args.round() / 2).await?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        rounds.push(bench.round(args.round()).await?);
    }
    for daemon in bench.daemons {
        daemon.stop().await?;
    }
    bench.serval.stop().await?;
    Ok(rounds)
}

impl Bench {
    fn load(&self, replica: usize, connections: usize, time: Duration) -> Load {
        Load {
            to: self.daemons[replica].public,
            sender: Arc::clone(&self.sender),
            connections,
            until: Until::Elapsed(time),
            counter: Arc::clone(&self.counter),
        }
    }

    /// Processor time of the replicas.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let of_each = self.daemons.iter().map(|daemon| procfs::cpu(daemon.pid));
        of_each.sum()
    }

    /// Waits until all that was acknowledged is connected, and returns when the last call came.
    async fn connected(&self, events: usize) -> anyhow::Result<Instant> {
        let patience = Duration::from_mins(2);
        let all = self.serval.wait_for(events as u64, patience).await?;
        let seen = self.serval.seen().await?;
        anyhow::ensure!(all, "not everything was delivered: {seen:?}");
        let ago = Duration::from_secs_f64((seen.first_ms_ago - seen.span_ms).max(0.0) / 1e3);
        let last = Instant::now().checked_sub(ago);
        last.context("the clock is too young")
    }

    async fn round(&self, time: Duration) -> anyhow::Result<Round> {
        self.serval.reset().await?;
        let alone = generator::drive(self.load(0, 1, time / 2)).await?;
        let alone = alone.all_acknowledged()?;
        self.connected(alone.acked.len()).await?;

        self.serval.reset().await?;
        let (postgres, daemons) = (self.postgres.cpu()?, self.cpu()?);
        let started = Instant::now();
        let share = |n: usize| CONNECTIONS / REPLICAS + usize::from(n < CONNECTIONS % REPLICAS);
        let drive = |n: usize| generator::drive(self.load(n, share(n), time));
        let (one, two, three) = tokio::try_join!(drive(0), drive(1), drive(2))?;
        let mut all = Driven::default();
        for driven in [one, two, three] {
            let driven = driven.all_acknowledged()?;
            all.acked.extend(driven.acked);
            all.latency.merge(&driven.latency);
            all.elapsed = all.elapsed.max(driven.elapsed);
        }
        let last = self.connected(all.acked.len()).await?;
        // The last results are written after their calls.
        self.daemons[0].drained(Duration::from_secs(10)).await?;
        let of_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / all.acks();
        Ok(Round {
            connected: all.acks() / (last - started).as_secs_f64(),
            acknowledged: all.per_second(),
            p50: all.latency.quantile_ms(0.50),
            p99: all.latency.quantile_ms(0.99),
            postgres: of_each(self.postgres.cpu()?.saturating_sub(postgres)),
            daemons: of_each(self.cpu()?.saturating_sub(daemons)),
            alone: alone.latency.quantile_ms(0.50),
        })
    }
}

fn tell(near: &[Round], far: &[Round], goals: &mut Vec<Goal>) {
    let of = |rounds: &[Round], figure: fn(&Round) -> f64| {
        let figures = rounds.iter().map(figure);
        median(figures.collect())
    };
    let middle = |figure: fn(&Round) -> f64| of(near, figure);
    let title = format!(
        "{REPLICAS} replicas on Postgres, {CONNECTIONS} connections, ServiceNow 4 KiB, Serval answers at once"
    );
    let mut table = Table::new(
        title,
        &[
            "Postgres",
            "acknowledged and connected/s",
            "acks/s",
            "p50 ms",
            "p99 ms",
            "one client p50 ms",
            "Postgres CPU us/event",
            "daemons CPU us/event",
        ],
    );
    let figures: [fn(&Round) -> f64; 7] = [
        |round| round.connected,
        |round| round.acknowledged,
        |round| round.p50,
        |round| round.p99,
        |round| round.alone,
        |round| round.postgres,
        |round| round.daemons,
    ];
    for (place, rounds) in [("near", near), ("0.5 ms away", far)] {
        let cells = figures.iter().map(|figure| number(of(rounds, *figure)));
        table.row(std::iter::once(place.to_owned()).chain(cells).collect());
    }
    table.print();
    let mut add = |name, measured, bound, aim| goal(goals, name, measured, bound, aim);
    let name = "3 replicas: events acknowledged and connected per second";
    add(
        name,
        middle(|round| round.connected),
        AtLeast(2500.0),
        5000.0,
    );
    let name = "3 replicas: p99 of acknowledgements in ms";
    add(name, middle(|round| round.p99), AtMost(80.0), 40.0);
    let name = "one client on Postgres: p50 in ms";
    add(name, middle(|round| round.alone), AtMost(3.0), 1.5);
    let name = "3 replicas, Postgres 0.5 ms away: p50 of acknowledgements in ms";
    add(name, of(far, |round| round.p50), AtMost(15.0), 8.0);
    let name = "3 replicas: processor time of Postgres for each event in us";
    add(name, middle(|round| round.postgres), AtMost(250.0), 160.0);
}
