//! Acknowledgements: the daemon over the null handler, for both senders, with and without mappings.

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
        ],
    );
    for &connections in &args.connections {
        for target in &mut targets {
            target.samples.clear();
        }
        take_turns(args, &mut targets, &sender, connections).await?;
        let (reference, others) = targets.split_first().expect("the null handler is there");
        table.row(line(reference, reference, connections));
        for target in others {
            table.row(line(target, reference, connections));
        }
        if kind == Kind::ServiceNow && !is_mapped {
            judge(goals, &others[0], reference, connections);
        }
    }
    table.print();
    for (_, daemon) in daemons {
        daemon.stop().await?;
    }
    null.stop().await
}

fn line(target: &Target, null: &Target, connections: usize) -> Vec<String> {
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
    ]
}

fn judge(goals: &mut Vec<Goal>, daemon: &Target, null: &Target, connections: usize) {
    let acks = daemon.ratio(null, |s| s.per_second);
    match connections {
        64 => {
            let cpu = daemon.ratio(null, |s| s.cpu_us);
            let p99 = daemon.ratio(null, |s| s.p99);
            goal(
                goals,
                "acknowledgements over null, 64",
                acks,
                AtLeast(0.30),
                0.50,
            );
            goal(
                goals,
                "CPU per acknowledgement over null, 64",
                cpu,
                AtMost(3.5),
                2.5,
            );
            goal(goals, "p99 over null, 64", p99, AtMost(4.0), 2.5);
        }
        256 => goal(
            goals,
            "acknowledgements over null, 256",
            acks,
            AtLeast(0.40),
            0.55,
        ),
        _ => {}
    }
}
