//! A backlog, and how fast it leaves: over the bare client, against a Serval that answers at once
//! and one that takes 20 ms.

use std::sync::Arc;
use std::time::Duration;

use super::{Target, contenders, goal, site};
use crate::args::Args;
use crate::child::{self, Handler};
use crate::daemon::Daemon;
use crate::generator::Until;
use crate::procfs;
use crate::report::Bound::AtLeast;
use crate::report::{Goal, Table, median, number};
use crate::webhooks::{Kind, Sender};

const IN_FLIGHT: u64 = 32;

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let mut table = Table::new(
        format!("Draining a backlog, {IN_FLIGHT} in flight, ServiceNow 4 KiB"),
        &[
            "answers after",
            "",
            "connects/s",
            "over the bare client",
            "CPU us/event",
        ],
    );
    for (delay, events) in [(0, args.events), (20, args.events / 4)] {
        let delay = Duration::from_millis(delay);
        let serval = Handler::serval(delay).await?;
        let mut daemons = Vec::new();
        let rounds = args.rounds as u64;
        for (name, binary) in contenders(args) {
            let folder = format!("drain-{name}").replace(' ', "-");
            let mapped = (Kind::ServiceNow, events * rounds);
            let site = site(args, &binary, &folder, &serval.url(), mapped).await?;
            let daemon = site.start().await?;
            let target = Target::daemon(&name, &daemon);
            daemons.push((site, daemon, target, Vec::new(), Vec::new()));
        }
        let mut bare = Vec::new();
        for _ in 0..args.rounds {
            let reached = child::bare(&serval.url(), events, IN_FLIGHT)
                .await?
                .per_second;
            bare.push(reached);
            for (_, daemon, target, ratios, costs) in &mut daemons {
                let (rate, cpu) = drain(daemon, target, &serval, events).await?;
                ratios.push((rate, rate / reached));
                costs.push(cpu);
            }
        }
        let after = format!("{} ms", delay.as_millis());
        let bare = number(median(bare));
        table.row(vec![
            after.clone(),
            "bare client".into(),
            bare,
            "1".into(),
            String::new(),
        ]);
        for (_, daemon, target, ratios, costs) in daemons {
            let ratio = median(ratios.iter().map(|(_, ratio)| *ratio).collect());
            let rate = median(ratios.iter().map(|(rate, _)| *rate).collect());
            table.row(vec![
                after.clone(),
                target.name.clone(),
                number(rate),
                number(ratio),
                number(median(costs)),
            ]);
            if target.name == "daemon" {
                let (bound, aim) = if delay.is_zero() {
                    (0.55, 0.70)
                } else {
                    (0.90, 0.97)
                };
                let name = format!("drain over the bare client, {after}");
                goal(goals, &name, ratio, AtLeast(bound), aim);
            }
            daemon.stop().await?;
        }
        serval.stop().await?;
    }
    table.print();
    Ok(())
}

/// Makes a backlog of `events` and lets it go. Connects per second, and microseconds of processor
/// time for each event.
pub(super) async fn drain(
    daemon: &Daemon,
    target: &mut Target,
    serval: &Handler,
    events: u64,
) -> anyhow::Result<(f64, f64)> {
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    daemon.pause().await?;
    target.measure(&sender, 64, Until::Sent(events)).await?;
    // Each connection took a number more than it sent.
    let sent = target.counter.load(std::sync::atomic::Ordering::Relaxed);
    target
        .counter
        .store(sent - 64, std::sync::atomic::Ordering::Relaxed);
    serval.reset().await?;
    let before = procfs::cpu(daemon.pid)?;
    daemon.resume().await?;
    let all = serval.wait_for(events, Duration::from_mins(2)).await?;
    anyhow::ensure!(all, "the backlog did not drain: {:?}", serval.seen().await?);
    daemon.drained(Duration::from_secs(10)).await?;
    let cpu = procfs::cpu(daemon.pid)?.saturating_sub(before);
    let seen = serval.seen().await?;
    let events = events as f64;
    Ok((
        events / (seen.span_ms / 1e3),
        cpu.as_secs_f64() * 1e6 / events,
    ))
}
