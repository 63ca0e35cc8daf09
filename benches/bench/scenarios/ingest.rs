//! Acknowledgements: the daemon over the null handler and over the least that is durable, for both senders, with and without mappings.

use std::path::Path;
use std::sync::Arc;

use super::{Target, contenders, enough, goal, site, take_turns};
use crate::args::Args;
use crate::child::Handler;
use crate::report::Bound::{AtLeast, AtMost};
use crate::report::{Goal, Table, number};
use crate::webhooks::{Kind, Sender};

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    for kind in [Kind::ServiceNow, Kind::Slack] {
        for is_mapped in [false, true] {
            compare(args, goals, kind, is_mapped).await?;
            if args.first {
                return Ok(());
            }
        }
    }
    Ok(())
}

pub(super) async fn compare(
    args: &Args,
    goals: &mut Vec<Goal>,
    kind: Kind,
    is_mapped: bool,
) -> anyhow::Result<()> {
    let null = Handler::null().await?;
    // It reads ServiceNow's webhooks only.
    let least = if kind == Kind::ServiceNow {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench/least");
        Some(Handler::least(&folder).await?)
    } else {
        None
    };
    let sender = Arc::new(Sender::new(kind));
    let mapped = if is_mapped {
        enough(args, args.connections.len())
    } else {
        0
    };
    let mut sites = Vec::new();
    let mut daemons = Vec::new();
    for (name, binary) in contenders(args) {
        let site = site(
            args,
            &binary,
            &name.replace(' ', "-"),
            &null.url(),
            (kind, mapped),
        )
        .await?;
        let daemon = site.start().await?;
        // Delivery is measured elsewhere; here it would only take from one of the two.
        daemon.pause().await?;
        sites.push(site);
        daemons.push((name, daemon));
    }
    let mut targets = vec![Target::new("null", null.addr, null.pid)];
    targets.extend(
        least
            .iter()
            .map(|least| Target::new("least durable", least.addr, least.pid)),
    );
    let first_daemon = targets.len();
    targets.extend(
        daemons
            .iter()
            .map(|(name, daemon)| Target::daemon(name, daemon)),
    );
    let words = if is_mapped { "mapped" } else { "not mapped" };
    let mut table = Table::new(
        format!("Acknowledgements, {}, {words}", kind.name()),
        &[
            "connections",
            "",
            "acks/s",
            "over null",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "p99 over null",
            "CPU us/ack",
            "CPU over null",
            "acks over least",
            "CPU over least",
        ],
    );
    for &connections in &args.connections {
        for target in &mut targets {
            target.samples.clear();
        }
        take_turns(args, &mut targets, &sender, connections).await?;
        let least = least.as_ref().map(|_| &targets[1]);
        for target in &targets {
            table.row(line(target, &targets[0], least, connections));
        }
        if let Some(least) = least.filter(|_| !is_mapped) {
            judge(
                goals,
                &targets[first_daemon],
                &targets[0],
                least,
                connections,
            );
        }
    }
    table.print();
    for (_, daemon) in daemons {
        daemon.stop().await?;
    }
    if let Some(least) = least {
        least.stop().await?;
    }
    null.stop().await
}

fn line(target: &Target, null: &Target, least: Option<&Target>, connections: usize) -> Vec<String> {
    let over_least =
        |figure| least.map_or_else(String::new, |least| number(target.ratio(least, figure)));
    vec![
        connections.to_string(),
        target.name.clone(),
        number(target.middle(|s| s.per_second)),
        number(target.ratio(null, |s| s.per_second)),
        number(target.middle(|s| s.p50)),
        number(target.middle(|s| s.p99)),
        number(target.middle(|s| s.p999)),
        number(target.ratio(null, |s| s.p99)),
        number(target.middle(|s| s.cpu_us)),
        number(target.ratio(null, |s| s.cpu_us)),
        over_least(|s| s.per_second),
        over_least(|s| s.cpu_us),
    ]
}

fn judge(
    goals: &mut Vec<Goal>,
    daemon: &Target,
    null: &Target,
    least: &Target,
    connections: usize,
) {
    let acks = daemon.ratio(null, |s| s.per_second);
    match connections {
        64 => {
            let cpu = daemon.ratio(null, |s| s.cpu_us);
            let p99 = daemon.ratio(null, |s| s.p99);
            let cpu_least = daemon.ratio(least, |s| s.cpu_us);
            let acks_least = daemon.ratio(least, |s| s.per_second);
            for (name, value, bound, aim) in [
                ("acknowledgements over null, 64", acks, AtLeast(0.25), 0.35),
                (
                    "acknowledgements over the least that is durable, 64",
                    acks_least,
                    AtLeast(0.75),
                    0.9,
                ),
                (
                    "CPU per acknowledgement over null, 64",
                    cpu,
                    AtMost(5.0),
                    3.5,
                ),
                (
                    "CPU per acknowledgement over the least that is durable, 64",
                    cpu_least,
                    AtMost(1.6),
                    1.3,
                ),
                ("p99 over null, 64", p99, AtMost(3.5), 2.5),
            ] {
                goal(goals, name, value, bound, aim);
            }
        }
        256 => goal(
            goals,
            "acknowledgements over null, 256",
            acks,
            AtLeast(0.32),
            0.45,
        ),
        _ => {}
    }
}
