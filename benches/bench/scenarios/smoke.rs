//! One minute for CI. Throughput and latency move with the neighbours and are only shown; what is
//! gated hardly moves, and its bounds are wide: a smoke test finds what broke, not what got slower
//! by a tenth.

use std::sync::Arc;

use super::{Target, counts, kill, site, take_turns};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::BUILT;
use crate::report::Bound::{AtLeast, AtMost};
use crate::report::{Goal, Table, number};
use crate::trace;
use crate::webhooks::{Kind, Sender};

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    acknowledgements(args, goals).await?;
    synced(args, goals).await?;
    let once = Args {
        rounds: 1,
        ..args.clone()
    };
    kill::run(&once, goals).await
}

async fn acknowledgements(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let null = Handler::null().await?;
    let mut table = Table::new(
        "Acknowledgements, 64 connections",
        &["", "", "acks/s", "p99 ms", "CPU us/ack", "CPU over null"],
    );
    for kind in [Kind::ServiceNow, Kind::Slack] {
        let sender = Arc::new(Sender::new(kind));
        let site = site(args, BUILT.as_ref(), "smoke", &null.url(), (kind, 0)).await?;
        let daemon = site.start().await?;
        let mut targets = [
            Target::new("null", null.addr, null.pid),
            Target::daemon("daemon", &daemon),
        ];
        take_turns(args, &mut targets, &sender, 64).await?;
        for target in &targets {
            table.row(vec![
                kind.name().to_owned(),
                target.name.clone(),
                number(target.middle(|s| s.per_second)),
                number(target.middle(|s| s.p99)),
                number(target.middle(|s| s.cpu_us)),
                number(target.ratio(&targets[0], |s| s.cpu_us)),
            ]);
        }
        let cpu = targets[1].ratio(&targets[0], |s| s.cpu_us);
        let name = format!("CPU per acknowledgement over null, {}", kind.name());
        goals.push(Goal::new(name, cpu, AtMost(12.0), 3.5));
        daemon.stop().await?;
    }
    table.print();
    null.stop().await
}

async fn synced(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    if !trace::is_available() {
        anyhow::ensure!(
            std::env::var_os("CI").is_none(),
            "counting fsyncs needs strace; install it"
        );
        println!("fsyncs are not counted: there is no strace that may trace");
        return Ok(());
    }
    let site = site(
        args,
        BUILT.as_ref(),
        "smoke",
        counts::NOWHERE,
        (Kind::ServiceNow, 0),
    )
    .await?;
    let (calls, frequent) = counts::count_calls(args, &site, 64).await?;
    println!("system calls for each acknowledgement, 64 connections: {frequent}");
    goals.push(Goal::new(
        "system calls per acknowledgement, 64",
        calls,
        AtMost(40.0),
        20.0,
    ));
    let (acks, syncs) = counts::count_syncs(args, &site, 1).await?;
    goals.push(Goal::new(
        "fsyncs per acknowledgement, 1",
        syncs / acks,
        AtLeast(1.0),
        1.0,
    ));
    let (acks, syncs) = counts::count_syncs(args, &site, 64).await?;
    goals.push(Goal::new(
        "fsyncs per acknowledgement, 64",
        syncs / acks,
        AtMost(0.2),
        0.06,
    ));
    Ok(())
}
