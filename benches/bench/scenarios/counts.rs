//! Fsyncs and system calls for each acknowledgement.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Target, contenders, goal, site};
use crate::args::Args;
use crate::daemon::Site;
use crate::generator::Until;
use crate::report::Bound::{AtLeast, AtMost};
use crate::report::{Goal, Table, number};
use crate::trace;
use crate::webhooks::{Kind, Sender};

/// Nobody listens there: nothing is mapped, so nobody is called.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    if !trace::is_available() {
        anyhow::ensure!(
            std::env::var_os("CI").is_none(),
            "counting needs strace; install it"
        );
        println!("\nfsyncs and system calls are not counted: there is no strace that may trace");
        return Ok(());
    }
    let mut table = Table::new(
        "Fsyncs for each acknowledgement, ServiceNow 4 KiB",
        &["connections", "", "acks", "fsyncs", "fsyncs/ack"],
    );
    let mut calls = Table::new(
        "System calls for each acknowledgement (slowed down by counting)",
        &["connections", "", "all", "the most frequent"],
    );
    for (name, binary) in contenders(args) {
        for connections in [1, 64] {
            // A new database each time: what a start does with an old one is no cost of a webhook.
            let site = site(args, &binary, "counts", NOWHERE, (Kind::ServiceNow, 0)).await?;
            let (all, frequent) = count_calls(args, &site, connections).await?;
            let (acks, syncs) = count_syncs(args, &site, connections).await?;
            let each = syncs / acks;
            table.row(vec![
                connections.to_string(),
                name.clone(),
                number(acks),
                number(syncs),
                number(each),
            ]);
            if name == "daemon" && connections == 1 {
                goal(
                    goals,
                    "fsyncs per acknowledgement, 1",
                    each,
                    AtLeast(1.0),
                    1.0,
                );
            }
            if name == "daemon" && connections == 64 {
                goal(
                    goals,
                    "fsyncs per acknowledgement, 64",
                    each,
                    AtMost(0.06),
                    0.03,
                );
            }
            calls.row(vec![
                connections.to_string(),
                name.clone(),
                number(all),
                frequent,
            ]);
        }
    }
    table.print();
    calls.print();
    Ok(())
}

/// Acknowledgements and the fsyncs during them.
pub(super) async fn count_syncs(
    args: &Args,
    site: &Site,
    connections: usize,
) -> anyhow::Result<(f64, f64)> {
    let log = log_of(site);
    let path = log.display().to_string();
    let daemon = site.start_under(&trace::syncs(&path)).await?;
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let mut target = numbered(&daemon, connections);
    let warm_up = Until::Elapsed(args.round() / 4);
    target.measure(&sender, connections, warm_up).await?;
    let before = trace::syncs_so_far(&log)?;
    let driven = target
        .measure(&sender, connections, Until::Elapsed(args.round()))
        .await?;
    let after = trace::syncs_so_far(&log)?;
    daemon.stop().await?;
    Ok((driven.acks(), (after - before) as f64))
}

pub(super) async fn count_calls(
    args: &Args,
    site: &Site,
    connections: usize,
) -> anyhow::Result<(f64, String)> {
    let log = log_of(site);
    let path = log.display().to_string();
    // What a start and a stop cost is taken off.
    let daemon = site.start_under(&trace::all(&path)).await?;
    daemon.stop().await?;
    let idle = trace::table(&log)?;
    let daemon = site.start_under(&trace::all(&path)).await?;
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let mut target = numbered(&daemon, connections + 1);
    let driven = target
        .measure(&sender, connections, Until::Elapsed(args.round()))
        .await?;
    daemon.stop().await?;
    let calls: BTreeMap<String, f64> = trace::table(&log)?
        .into_iter()
        .map(|(name, calls)| {
            let idle = idle.get(&name).copied().unwrap_or(0);
            (name, calls.saturating_sub(idle) as f64 / driven.acks())
        })
        .collect();
    let mut frequent: Vec<_> = calls.iter().collect();
    frequent.sort_by(|a, b| b.1.total_cmp(a.1));
    let words = frequent
        .iter()
        .take(8)
        .map(|(name, calls)| format!("{name} {}", number(**calls)));
    Ok((calls.values().sum(), words.collect::<Vec<_>>().join(", ")))
}

fn log_of(site: &Site) -> std::path::PathBuf {
    Path::new(site.folder()).join("strace.log")
}

/// Webhooks of one daemon's database are numbered apart from those of the runs before.
fn numbered(daemon: &crate::daemon::Daemon, run: usize) -> Target {
    let target = Target::daemon("traced", daemon);
    let from = run as u64 * 1_000_000_000;
    target
        .counter
        .store(from, std::sync::atomic::Ordering::Relaxed);
    target
}
