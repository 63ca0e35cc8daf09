//! The bench's own helpers in processes of their own: the null handler, the stand-in for Serval, the
//! bare client. They end with the bench, because they end when their standard input does.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A handler in a process of its own.
#[derive(Debug)]
pub(crate) struct Handler {
    process: Child,
    pub(crate) pid: u32,
    pub(crate) addr: SocketAddr,
}

/// What the stand-in for Serval counted since it was reset.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Connect calls.
    pub(crate) calls: u64,
    /// Different Serval tickets among them.
    pub(crate) tickets: u64,
    /// Milliseconds from the first call to the last.
    pub(crate) span_ms: f64,
    /// Milliseconds since the first call.
    pub(crate) first_ms_ago: f64,
}

fn this_program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

impl Handler {
    /// The null handler: reads the body, answers 200.
    pub(crate) async fn null() -> anyhow::Result<Self> {
        Self::start(&["handler"]).await
    }

    /// The least that is durable; its database lies in `folder`.
    pub(crate) async fn least(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.to_str().context("a folder whose name is no text")?;
        Self::start(&["handler", "--least", folder]).await
    }

    /// The stand-in for Serval, answering after `delay`.
    pub(crate) async fn serval(delay: Duration) -> anyhow::Result<Self> {
        let delay = delay.as_millis().to_string();
        Self::start(&["handler", "--serval", "--delay-ms", &delay]).await
    }

    async fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut process = this_program()?.args(args).spawn()?;
        let pid = process.id().context("a handler ended at once")?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let addr = line
            .trim()
            .parse()
            .context("a handler did not say where it listens")?;
        Ok(Self { process, pid, addr })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Forgets what arrived.
    pub(crate) async fn reset(&self) -> anyhow::Result<()> {
        request(self.addr, "POST", "/_reset", "").await.map(drop)
    }

    pub(crate) async fn seen(&self) -> anyhow::Result<Seen> {
        Ok(serde_json::from_slice(
            &request(self.addr, "GET", "/_seen", "").await?,
        )?)
    }

    /// Which of the Serval tickets numbered from 0 were connected.
    pub(crate) async fn tickets(&self) -> anyhow::Result<Vec<bool>> {
        let bits = request(self.addr, "GET", "/_tickets", "").await?;
        Ok(bits.iter().map(|byte| *byte == b'1').collect())
    }

    /// Waits until `tickets` different tickets were connected; `false` when `patience` ended first.
    pub(crate) async fn wait_for(&self, tickets: u64, patience: Duration) -> anyhow::Result<bool> {
        let started = std::time::Instant::now();
        while self.seen().await?.tickets < tickets {
            if started.elapsed() > patience {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(true)
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}

/// What the bare client reached.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bare {
    pub(crate) per_second: f64,
}

/// Runs the bare client: `calls` connect calls with 4 KiB objects, `in_flight` at a time.
pub(crate) async fn bare(url: &str, calls: u64, in_flight: u64) -> anyhow::Result<Bare> {
    let output = this_program()?
        .args(["bare", "--url", url])
        .args([
            "--calls",
            &calls.to_string(),
            "--in-flight",
            &in_flight.to_string(),
        ])
        .output()
        .await?;
    serde_json::from_slice(&output.stdout).context("the bare client failed")
}

/// One small HTTP exchange on a connection of its own; the body of a 2xx.
pub(crate) async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.context("no answer")? + 4;
    anyhow::ensure!(
        answer.get(9) == Some(&b'2'),
        "{method} {path}: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(answer.split_off(end))
}
