//! One load, kept up for a profiler.

use std::sync::Arc;
use std::time::Duration;

use super::{Target, enough, site};
use crate::args::Args;
use crate::child::Handler;
use crate::daemon::BUILT;
use crate::generator::Until;
use crate::report::number;
use crate::webhooks::{Kind, Sender};

pub(crate) async fn run(args: &Args, with_delivery: bool) -> anyhow::Result<()> {
    let serval = Handler::serval(Duration::ZERO).await?;
    let sender = Arc::new(Sender::new(Kind::ServiceNow));
    let mapped = (
        Kind::ServiceNow,
        if with_delivery { enough(args, 1) } else { 0 },
    );
    let site = site(args, BUILT.as_ref(), "hold", &serval.url(), mapped).await?;
    let daemon = site.start().await?;
    println!("pid {}", daemon.pid);
    let mut target = Target::daemon("daemon", &daemon);
    let connections = args.connections.first().copied().unwrap_or(64);
    for _ in 0..args.rounds {
        let driven = target
            .measure(&sender, connections, Until::Elapsed(args.round()))
            .await?;
        let seen = serval.seen().await?;
        println!(
            "{} acks/s, {} connects so far",
            number(driven.per_second()),
            seen.calls
        );
    }
    println!("{} us/ack", number(target.middle(|sample| sample.cpu_us)));
    daemon.drained(Duration::from_mins(2)).await?;
    daemon.stop().await?;
    serval.stop().await
}
