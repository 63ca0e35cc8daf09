//! `kill -9` under load, and what of the acknowledged is delivered when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Target, enough, goal, site};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::BUILT;
use crate::generator::{self, Until};
use crate::report::Bound::AtMost;
use crate::report::{Goal, Table, number};
use crate::webhooks::{Kind, Sender};

const CONNECTIONS: usize = 64;
/// A daemon that takes webhooks again this long must have delivered what it acknowledged before.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let mut table = Table::new(
        format!("kill -9 under load, {CONNECTIONS} connections, Serval answers at once"),
        &[
            "round",
            "acked",
            "undelivered at the kill",
            "after 3 s",
            "all delivered after s",
            "called twice",
        ],
    );
    let mut worst: f64 = 0.0;
    for round in 1..=args.rounds {
        let serval = Handler::serval(Duration::ZERO).await?;
        let mapped = (Kind::ServiceNow, enough(args, 1) / args.rounds as u64);
        let site = site(args, BUILT.as_ref(), "kill", &serval.url(), mapped).await?;
        let daemon = site.start().await?;
        let target = Target::daemon("daemon", &daemon);
        let load = target.load(&sender, CONNECTIONS, Until::Elapsed(args.round() * 10));
        let driving = tokio::spawn(generator::drive(load));
        tokio::time::sleep(args.round()).await;
        daemon.kill().await?;
        let acked = driving.await??.acked;
        let at_kill = undelivered(&serval, &acked).await?;
        let daemon = site.start().await?;
        let mut after_3_s = None;
        let started = Instant::now();
        let all = loop {
            let left = undelivered(&serval, &acked).await?;
            if after_3_s.is_none() && (left == 0 || daemon.started.elapsed() >= PATIENCE) {
                after_3_s = Some(left);
            }
            if left == 0 || started.elapsed() > Duration::from_mins(3) {
                break (left == 0).then(|| daemon.started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        daemon.drained(Duration::from_mins(1)).await?;
        let seen = serval.seen().await?;
        let left = after_3_s.unwrap_or_default() as f64;
        worst = worst.max(left);
        table.row(vec![
            round.to_string(),
            acked.len().to_string(),
            at_kill.to_string(),
            number(left),
            all.map_or_else(|| "never".to_owned(), |all| number(all.as_secs_f64())),
            (seen.calls - seen.tickets).to_string(),
        ]);
        daemon.stop().await?;
        serval.stop().await?;
    }
    goal(
        goals,
        "undelivered 3 s after kill -9 and restart",
        worst,
        AtMost(0.0),
        0.0,
    );
    table.print();
    Ok(())
}

async fn undelivered(serval: &Handler, acked: &[u64]) -> anyhow::Result<usize> {
    let delivered = serval.tickets().await?;
    let is_missing = |index: &&u64| {
        let index = usize::try_from(**index).unwrap_or(usize::MAX);
        !delivered.get(index).copied().unwrap_or(false)
    };
    Ok(acked.iter().filter(is_missing).count())
}
