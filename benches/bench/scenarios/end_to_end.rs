//! Everything at once: webhooks come in at full speed while the connects go out.

use anyhow::Context as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Target, contenders, enough, goal, site};
use crate::args::Args;
use crate::child::{self, Handler};
use crate::generator::Until;
use crate::procfs;
use crate::report::Bound::AtLeast;
use crate::report::{Goal, Table, median, number};
use crate::webhooks::{Kind, Sender};

const CONNECTIONS: usize = 64;

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let serval = Handler::serval(Duration::ZERO).await?;
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let mut table = Table::new(
        format!("End to end, {CONNECTIONS} connections, ServiceNow 4 KiB, Serval answers at once"),
        &[
            "",
            "events/s",
            "over the bare client",
            "acks/s",
            "over acks without delivery",
            "p99 ms",
            "last ack to last connect ms",
            "CPU us/event",
        ],
    );
    for (name, binary) in contenders(args) {
        let mapped = (Kind::ServiceNow, enough(args, 2));
        let site = site(args, &binary, "end-to-end", &serval.url(), mapped).await?;
        let daemon = site.start().await?;
        let mut target = Target::daemon(&name, &daemon);
        let mut rounds: Vec<[f64; 7]> = Vec::new();
        for _ in 0..args.rounds {
            let bare = child::bare(&serval.url(), args.events, 32)
                .await?
                .per_second;
            daemon.pause().await?;
            let alone = target
                .measure(&sender, CONNECTIONS, Until::Elapsed(args.round()))
                .await?;
            daemon.resume().await?;
            daemon.drained(Duration::from_mins(2)).await?;
            serval.reset().await?;
            let cpu = procfs::cpu(daemon.pid)?;
            let started = Instant::now();
            let both = target
                .measure(&sender, CONNECTIONS, Until::Elapsed(args.round()))
                .await?;
            let acked = Instant::now();
            let events = both.acked.len() as u64;
            let all = serval.wait_for(events, Duration::from_mins(2)).await?;
            anyhow::ensure!(
                all,
                "not everything was delivered: {:?}",
                serval.seen().await?
            );
            let seen = serval.seen().await?;
            let ago = Duration::from_secs_f64((seen.first_ms_ago - seen.span_ms).max(0.0) / 1e3);
            let last = Instant::now()
                .checked_sub(ago)
                .context("the clock is too young")?;
            let cpu = procfs::cpu(daemon.pid)?.saturating_sub(cpu);
            let rate = both.acks() / (last - started).as_secs_f64();
            rounds.push([
                rate,
                rate / bare,
                both.per_second(),
                both.per_second() / alone.per_second(),
                both.latency.quantile_ms(0.99),
                last.saturating_duration_since(acked).as_secs_f64() * 1e3,
                cpu.as_secs_f64() * 1e6 / both.acks(),
            ]);
        }
        let middle = |column: usize| median(rounds.iter().map(|round| round[column]).collect());
        let cells = (0..7).map(|column| number(middle(column)));
        table.row(std::iter::once(name.clone()).chain(cells).collect());
        if name == "daemon" {
            goal(
                goals,
                "end to end over the bare client, 0 ms",
                middle(1),
                AtLeast(0.22),
                0.35,
            );
            goal(
                goals,
                "acknowledgements with delivery over without",
                middle(3),
                AtLeast(0.65),
                0.80,
            );
        }
        daemon.stop().await?;
    }
    table.print();
    serval.stop().await
}
