//! Resident memory: idle, and at its highest under load.

use std::sync::Arc;
use std::time::Duration;

use super::{Target, enough, goal, site};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::BUILT;
use crate::generator::Until;
use crate::procfs;
use crate::report::Bound::AtMost;
use crate::report::{Goal, Table, number};
use crate::webhooks::{Kind, Sender};

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let serval = Handler::serval(Duration::ZERO).await?;
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let mapped = (Kind::ServiceNow, enough(args, 1));
    let site = site(args, BUILT.as_ref(), "memory", &serval.url(), mapped).await?;
    let mut table = Table::new("Resident memory, MB", &["", "now", "peak"]);

    let daemon = site.start().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (idle, idle_peak) = procfs::memory(daemon.pid)?;
    table.row(vec!["idle".into(), number(idle), number(idle_peak)]);
    goal(goals, "resident MB, idle", idle, AtMost(14.0), 9.0);

    let mut target = Target::daemon("daemon", &daemon);
    let mut peaks = Vec::new();
    for connections in [64, 256] {
        procfs::forget_peak(daemon.pid)?;
        for _ in 0..args.rounds {
            target
                .measure(&sender, connections, Until::Elapsed(args.round()))
                .await?;
        }
        daemon.drained(Duration::from_mins(2)).await?;
        let (now, peak) = procfs::memory(daemon.pid)?;
        let what = format!("{connections} connections with delivery");
        table.row(vec![what, number(now), number(peak)]);
        peaks.push(peak);
    }
    goal(
        goals,
        "resident MB, 64 connections with delivery",
        peaks[0],
        AtMost(26.0),
        20.0,
    );
    goal(
        goals,
        "resident MB, 256 connections with delivery",
        peaks[1],
        AtMost(34.0),
        24.0,
    );
    table.print();
    daemon.stop().await?;
    serval.stop().await
}
