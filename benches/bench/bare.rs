//! The bare client: the same HTTP client as the daemon's, with nothing around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use serval_connect::edge::outbound;
use tokio::task::JoinSet;

use crate::args::BareArgs;
use crate::child::Bare;
use crate::webhooks::{Kind, Sender};

pub(crate) fn run(args: &BareArgs) -> anyhow::Result<()> {
    outbound::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let reached = runtime.block_on(call_all(args))?;
    println!("{}", serde_json::to_string(&reached)?);
    Ok(())
}

async fn call_all(args: &BareArgs) -> anyhow::Result<Bare> {
    let in_flight = usize::try_from(args.in_flight)?;
    let client = outbound::client(outbound::Limits {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
        idle_connections: in_flight,
        is_local: true,
    })?;
    let object = String::from_utf8(Sender::new(Kind::ServiceNow).body(0))?;
    let body = Bytes::from(format!(
        r#"{{"channelTarget":{{"ticketSource":{{"integrationId":"int"}}}},"externalTicketId":"0","externalTicketData":{object}}}"#
    ));
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    let started = Instant::now();
    for _ in 0..in_flight {
        let (client, body, next) = (client.clone(), body.clone(), Arc::clone(&next));
        let (url, calls) = (args.url.clone(), args.calls);
        callers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= calls {
                    return anyhow::Ok(());
                }
                client
                    .post(format!("{url}/v2/tickets/tkt-{n}/connect"))
                    .header("authorization", "Bearer bench")
                    .header("content-type", "application/json")
                    .body(body.clone())
                    .send()
                    .await?
                    .error_for_status()?
                    .bytes()
                    .await?;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.context("a caller panicked")??;
    }
    let per_second = args.calls as f64 / started.elapsed().as_secs_f64();
    Ok(Bare { per_second })
}
