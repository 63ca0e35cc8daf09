//! A long history: acknowledging, delivering and listing should not know how long it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Target, drain, goal, site};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::{BUILT, Daemon};
use crate::generator::Until;
use crate::prefill::{self, Past};
use crate::report::Bound::AtMost;
use crate::report::{Goal, Table, median, number};
use crate::webhooks::{Kind, Sender};

/// What people and programs ask of the admin API.
const LISTS: [&str; 4] = [
    "/api/v1/events?limit=100",
    "/api/v1/events?state=connected&limit=100",
    "/api/v1/events?source=servicenow&limit=100",
    "/api/v1/stats",
];
/// Webhooks of this and later numbers have no mapping.
const UNMAPPED: u64 = 1 << 40;

pub(crate) async fn run(args: &Args, goals: &mut Vec<Goal>) -> anyhow::Result<()> {
    let serval = Handler::serval(Duration::ZERO).await?;
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let events = args.events / 4;
    let mut sites = Vec::new();
    for &size in &args.sizes {
        let mapped = (Kind::ServiceNow, events * args.rounds as u64);
        let name = format!("growth-{size}");
        let site = site(args, BUILT.as_ref(), &name, &serval.url(), mapped).await?;
        let filled = Instant::now();
        prefill::events(&site.database(), Past::Connected, size).await?;
        println!(
            "filled {size} connected events in {} s",
            filled.elapsed().as_secs()
        );
        let daemon = site.start().await?;
        let arriving = Target::daemon("daemon", &daemon);
        arriving
            .counter
            .store(UNMAPPED, std::sync::atomic::Ordering::Relaxed);
        let leaving = Target::daemon("daemon", &daemon);
        sites.push((size, site, daemon, arriving, leaving, Vec::new()));
    }
    for _ in 0..args.rounds {
        for (_, _, daemon, arriving, leaving, rounds) in &mut sites {
            arriving
                .measure(&sender, 64, Until::Elapsed(args.round()))
                .await?;
            let (_, cpu) = drain::drain(daemon, leaving, &serval, events).await?;
            let mut figures = vec![cpu];
            for path in LISTS {
                figures.push(list_ms(daemon, path).await?);
            }
            rounds.push(figures);
        }
    }
    let mut table = Table::new(
        "With a history",
        &[
            "events before",
            "ready ms",
            "CPU us/ack",
            "CPU us/delivered",
            "list ms",
            "by state ms",
            "by source ms",
            "stats ms",
        ],
    );
    let mut costs = Vec::new();
    for (size, _, daemon, arriving, _, rounds) in &sites {
        let middle = |column: usize| {
            median(
                rounds
                    .iter()
                    .map(|round: &Vec<f64>| round[column])
                    .collect(),
            )
        };
        let mut cells = vec![
            size.to_string(),
            number(daemon.ready_after.as_secs_f64() * 1e3),
            number(arriving.middle(|sample| sample.cpu_us)),
        ];
        cells.extend((0..=LISTS.len()).map(|column| number(middle(column))));
        table.row(cells);
        costs.push((0..=LISTS.len()).map(middle).collect::<Vec<_>>());
    }
    table.print();
    if let [reference, .., largest] = &costs[..] {
        let worst = |columns: std::ops::RangeInclusive<usize>| {
            columns
                .map(|c| largest[c] / reference[c])
                .fold(f64::NAN, f64::max)
        };
        goal(
            goals,
            "delivery cost with the longest history",
            worst(0..=0),
            AtMost(1.3),
            1.1,
        );
        goal(
            goals,
            "list cost with the longest history",
            worst(1..=LISTS.len()),
            AtMost(1.3),
            1.1,
        );
    }
    for (_, _, daemon, ..) in sites {
        daemon.stop().await?;
    }
    serval.stop().await
}

/// The shortest of some answers' times: what the list itself costs, whoever else is at work.
async fn list_ms(daemon: &Daemon, path: &str) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..30 {
        let started = Instant::now();
        daemon.get(path).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times.into_iter().fold(f64::INFINITY, f64::min))
}
