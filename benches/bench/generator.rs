//! A closed loop: each connection sends a webhook, waits for the answer, sends the next. One thread
//! for all of them, raw HTTP/1.1 over kept-alive sockets, so that it takes little of the machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::histogram::Histogram;
use crate::webhooks::Sender;

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After a time.
    Elapsed(Duration),
    /// After so many webhooks.
    Sent(u64),
}

/// A load to drive.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    pub(crate) sender: Arc<Sender>,
    pub(crate) connections: usize,
    pub(crate) until: Until,
    /// Numbers the webhooks; shared between loads, so that none is sent twice.
    pub(crate) counter: Arc<AtomicU64>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Driven {
    /// The numbers of the webhooks that were answered 2xx.
    pub(crate) acked: Vec<u64>,
    /// Other answers.
    pub(crate) refused: u64,
    /// Connections that broke.
    pub(crate) broken: u64,
    pub(crate) latency: Histogram,
    pub(crate) elapsed: Duration,
}

impl Driven {
    pub(crate) fn acks(&self) -> f64 {
        self.acked.len() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.acks() / self.elapsed.as_secs_f64()
    }

    /// Fails when anything was not acknowledged: such a figure would compare unlike things.
    pub(crate) fn all_acknowledged(self) -> anyhow::Result<Self> {
        if self.refused > 0 || self.broken > 0 || self.acked.is_empty() {
            bail!(
                "{} acknowledged, {} refused, {} connections broken",
                self.acked.len(),
                self.refused,
                self.broken
            );
        }
        Ok(self)
    }
}

/// Drives a load to its end, on a thread of its own.
pub(crate) async fn drive(load: Load) -> anyhow::Result<Driven> {
    tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(all_connections(load))
    })
    .await
    .context("the generator panicked")?
}

async fn all_connections(load: Load) -> anyhow::Result<Driven> {
    let started = Instant::now();
    let (deadline, last) = match load.until {
        Until::Elapsed(time) => (Some(started + time), u64::MAX),
        Until::Sent(n) => (None, load.counter.load(Ordering::Relaxed) + n),
    };
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        connections.spawn(connection(load.clone(), deadline, last));
    }
    let mut driven = Driven::default();
    while let Some(one) = connections.join_next().await {
        let one = one.context("a connection panicked")?;
        driven.acked.extend(one.acked);
        driven.refused += one.refused;
        driven.broken += one.broken;
        driven.latency.merge(&one.latency);
    }
    driven.elapsed = started.elapsed();
    Ok(driven)
}

async fn connection(load: Load, deadline: Option<Instant>, last: u64) -> Driven {
    let mut driven = Driven::default();
    let ended = exchange_all(&load, deadline, last, &mut driven).await;
    driven.broken += u64::from(ended.is_err());
    driven
}

async fn exchange_all(
    load: &Load,
    deadline: Option<Instant>,
    last: u64,
    driven: &mut Driven,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(load.to).await?;
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(8192);
    let mut answer = [0; 8192];
    loop {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(());
        }
        let index = load.counter.fetch_add(1, Ordering::Relaxed);
        if index >= last {
            return Ok(());
        }
        load.sender.write(index, &mut request);
        let sent = Instant::now();
        stream.write_all(&request).await?;
        let status = read_answer(&mut stream, &mut answer).await?;
        driven.latency.record(sent.elapsed());
        if status / 100 == 2 {
            driven.acked.push(index);
        } else {
            driven.refused += 1;
        }
    }
}

/// Reads one answer and gives its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<u16> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("closed before the answer was whole");
        }
        filled += read;
        if let Some(status) = whole_answer(&buffer[..filled]) {
            return Ok(status);
        }
    }
}

fn whole_answer(bytes: &[u8]) -> Option<u16> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    let is_whole = match header(&bytes[..head], b"content-length") {
        Some(length) => {
            let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            bytes.len() >= head + length
        }
        // In chunks, as some peers answer.
        None => bytes[head..].ends_with(b"0\r\n\r\n"),
    };
    is_whole.then_some(status)
}

/// The value of a header, whose name servers spell in their own ways.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        start
            .eq_ignore_ascii_case(name)
            .then_some(value.trim_ascii())
    })
}
