//! Other programs that take the same webhooks, from `benches/peers/`: each in a process group of its
//! own, so that it can be ended as the end of its container does it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::webhooks::{Kind, SERVICENOW_KEY, SLACK_SECRET, Scheme};

/// What a peer's `start` ends with when the peer is not installed.
const NOT_INSTALLED: i32 = 77;

/// A peer, in one of the ways to run it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    folder: &'static str,
    answer: &'static str,
    pub(crate) kind: Kind,
    pub(crate) scheme: Scheme,
    /// What it has done when it answers.
    pub(crate) before: &'static str,
}

pub(crate) const PEERS: [Peer; 6] = [
    Peer {
        name: "bolt-js",
        folder: "bolt-js",
        answer: "stored",
        kind: Kind::Slack,
        scheme: Scheme::Own,
        before: "verify, row synced",
    },
    Peer {
        name: "bolt-js as it comes",
        folder: "bolt-js",
        answer: "at-once",
        kind: Kind::Slack,
        scheme: Scheme::Own,
        before: "verify",
    },
    Peer {
        name: "bolt-py",
        folder: "bolt-py",
        answer: "stored",
        kind: Kind::Slack,
        scheme: Scheme::Own,
        before: "verify, row synced",
    },
    Peer {
        name: "node-red",
        folder: "node-red",
        answer: "stored",
        kind: Kind::ServiceNow,
        scheme: Scheme::Own,
        before: "verify, line in a file",
    },
    Peer {
        name: "webhook, waiting",
        folder: "webhook",
        answer: "stored",
        kind: Kind::ServiceNow,
        scheme: Scheme::BodyAlone,
        before: "verify, row synced",
    },
    Peer {
        name: "webhook",
        folder: "webhook",
        answer: "at-once",
        kind: Kind::ServiceNow,
        scheme: Scheme::BodyAlone,
        before: "verify",
    },
];

/// Where a peer keeps what it stores.
#[derive(Debug)]
pub(crate) struct Place {
    peer: Peer,
    folder: PathBuf,
    serval: String,
}

/// A peer that answers.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    pub(crate) pid: u32,
    pub(crate) addr: SocketAddr,
}

impl Place {
    /// An empty one.
    pub(crate) fn new(peer: Peer, serval: &str) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("bench")
            .join("peer");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self {
            peer,
            folder,
            serval: serval.to_owned(),
        })
    }

    /// Starts the peer; `Err` holds its own words where it is not installed.
    pub(crate) async fn start(&self) -> anyhow::Result<Result<Running, String>> {
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches/peers")
            .join(self.peer.folder)
            .join("start");
        let log = fs::File::create(self.folder.join("stderr"))?;
        let started = Instant::now();
        let mut process = Command::new(&script)
            .env("ANSWER", self.peer.answer)
            .env("DATA", &self.folder)
            .env("PORT", addr.port().to_string())
            .env("SERVAL_URL", &self.serval)
            .env("SERVICENOW_KEY", std::str::from_utf8(SERVICENOW_KEY)?)
            .env("SLACK_SECRET", SLACK_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", script.display()))?;
        let pid = process.id().context("a peer ended at once")?;
        while !self.answers(addr).await {
            if let Some(status) = process.try_wait()? {
                let words = fs::read_to_string(self.folder.join("stderr"))?;
                if status.code() == Some(NOT_INSTALLED) {
                    return Ok(Err(words.trim().to_owned()));
                }
                bail!("{} ended with {status}: {words}", self.peer.name);
            }
            if started.elapsed() > Duration::from_mins(1) {
                bail!("{} does not answer", self.peer.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Ok(Running { process, pid, addr }))
    }

    /// Whether it refuses what nobody signed: before it is ready, there is nothing at the path.
    async fn answers(&self, addr: SocketAddr) -> bool {
        let Ok(mut stream) = TcpStream::connect(addr).await else {
            return false;
        };
        let request = format!(
            "POST /webhooks/{} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}",
            self.peer.kind.source()
        );
        let mut answer = [0; 12];
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.read_exact(&mut answer).await
        };
        let patience = Duration::from_secs(2);
        let exchanged = tokio::time::timeout(patience, exchange).await;
        matches!(exchanged, Ok(Ok(_))) && !answer.ends_with(b"404")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is overwritten by the next run.
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Running {
    /// SIGKILL to the peer and to all that it started.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        let group = format!("-{}", self.pid);
        Command::new("kill")
            .args(["-KILL", "--", &group])
            .status()
            .await?;
        self.process.wait().await?;
        Ok(())
    }
}
