//! A start with a large backlog: when it answers, when the first connect goes out, what it holds in
//! memory. Neither should know how large the backlog is.

use std::time::{Duration, Instant};

use super::{goal, site};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::BUILT;
use crate::prefill::{self, Past};
use crate::procfs;
use crate::report::Bound::AtMost;
use crate::report::{Goal, Table, median, number};
use crate::webhooks::Kind;

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let serval = Handler::serval(Duration::ZERO).await?;
    let mut sites = Vec::new();
    for size in args.backlogs() {
        let name = format!("start-{size}");
        let site = site(
            args,
            BUILT.as_ref(),
            &name,
            &serval.url(),
            (Kind::ServiceNow, 0),
        )
        .await?;
        let filled = Instant::now();
        prefill::events(&site.database(), Past::Queued, size).await?;
        println!(
            "filled {size} queued events in {} s",
            filled.elapsed().as_secs()
        );
        // A pace keeps the smallest backlog from being empty before the last round.
        sites.push((size, site.with_rate(200), Vec::new()));
    }
    for _ in 0..args.rounds {
        for (_, site, rounds) in &mut sites {
            serval.reset().await?;
            let daemon = site.start().await?;
            let ready = daemon.ready_after.as_secs_f64() * 1e3;
            while serval.seen().await?.calls == 0 {
                anyhow::ensure!(
                    daemon.started.elapsed() < Duration::from_mins(1),
                    "no connect"
                );
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let first =
                daemon.started.elapsed().as_secs_f64() * 1e3 - serval.seen().await?.first_ms_ago;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (_, peak) = procfs::memory(daemon.pid)?;
            rounds.push([ready, first, peak]);
            daemon.kill().await?;
        }
    }
    let mut table = Table::new(
        "Start with a backlog",
        &["queued", "ready ms", "first connect ms", "peak MB"],
    );
    let mut middles = Vec::new();
    for (size, _, rounds) in &sites {
        let middle = |column: usize| {
            median(
                rounds
                    .iter()
                    .map(|round: &[f64; 3]| round[column])
                    .collect(),
            )
        };
        table.row(vec![
            size.to_string(),
            number(middle(0)),
            number(middle(1)),
            number(middle(2)),
        ]);
        middles.push((middle(1), middle(2)));
    }
    table.print();
    if let [(first, memory), .., (last_first, last_memory)] = middles[..] {
        let memory = last_memory / memory;
        goal(
            goals,
            "memory with the largest backlog over the smallest",
            memory,
            AtMost(1.1),
            1.0,
        );
        let first = last_first / first;
        goal(
            goals,
            "first connect, largest backlog over smallest",
            first,
            AtMost(1.5),
            1.1,
        );
    }
    serval.stop().await
}
