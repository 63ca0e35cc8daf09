//! The real daemon in a process of its own, on a database of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::args::Args;
use crate::child::request;
use crate::procfs;
use crate::webhooks::{SERVICENOW_KEY, SLACK_SECRET};

/// The daemon that `cargo bench` built.
pub(crate) const BUILT: &str = env!("CARGO_BIN_EXE_serval-connect");

/// How to start a daemon, and what it leaves on the disk.
#[derive(Debug)]
pub(crate) struct Site {
    binary: PathBuf,
    folder: PathBuf,
    keep: bool,
    config: String,
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Child,
    /// The daemon's own id, also where a tracer was started in its place.
    pub(crate) pid: u32,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) ready_after: Duration,
    /// When the process was started.
    pub(crate) started: Instant,
}

impl Site {
    /// A new, empty database for `binary` under the name `name`, calling Serval at `serval`.
    pub(crate) fn new(
        args: &Args,
        binary: &Path,
        name: &str,
        serval: &str,
    ) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("bench")
            .join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let key = STANDARD.encode(SERVICENOW_KEY);
        let config = format!(
            r#"
[database]
url = "sqlite://{folder}/bench.db"
[serval]
base_url = "{serval}"
bearer_token = "bench"
[delivery]
concurrency = 32
rate = 0
[log]
level = "{log}"
[sources.servicenow]
secrets = ["whsec_{key}"]
channel_target = {{ ticketSource = {{ integrationId = "int" }} }}
[sources.slack]
signing_secrets = ["{SLACK_SECRET}"]
channel_target = {{ slackChannel = {{ integrationId = "int" }} }}
"#,
            folder = folder.display(),
            log = args.log,
        );
        Ok(Self {
            binary: binary.to_owned(),
            folder,
            keep: args.keep,
            config,
        })
    }

    /// Limits the connects per second.
    pub(crate) fn with_rate(mut self, rate: u32) -> Self {
        self.config = self.config.replace("rate = 0", &format!("rate = {rate}"));
        self
    }

    /// Takes a database on a server.
    pub(crate) fn with_database(mut self, url: &str) -> Self {
        let file = format!("sqlite://{}", self.database().display());
        self.config = self.config.replace(&file, url);
        self
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("bench.db")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) async fn start(&self) -> anyhow::Result<Daemon> {
        self.start_under(&[]).await
    }

    /// Starts it as the command of `tracer`.
    pub(crate) async fn start_under(&self, tracer: &[&str]) -> anyhow::Result<Daemon> {
        let (public, admin) = (free_port()?, free_port()?);
        let listeners = format!("[server]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\n");
        let config = self.folder.join("config.toml");
        fs::write(&config, format!("{listeners}{}", self.config))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("daemon.log"))?;
        let program: Vec<_> = tracer
            .iter()
            .map(Path::new)
            .chain([self.binary.as_path()])
            .collect();
        let started = Instant::now();
        let process = Command::new(program[0])
            .args(&program[1..])
            .args([Path::new("--config"), &config, Path::new("serve")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program[0].display()))?;
        let mut pid = process.id().context("the daemon ended at once")?;
        while request(public, "GET", "/healthz", "").await.is_err() {
            if started.elapsed() > Duration::from_mins(1) {
                bail!("the daemon does not answer; see {}", self.folder.display());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let ready_after = started.elapsed();
        if !tracer.is_empty() {
            pid = procfs::child_of(pid).context("the tracer has no child")?;
        }
        Ok(Daemon {
            process,
            pid,
            public,
            admin,
            ready_after,
            started,
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is overwritten by the next run.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Daemon {
    pub(crate) async fn pause(&self) -> anyhow::Result<()> {
        request(self.admin, "POST", "/api/v1/connects/pause", "")
            .await
            .map(drop)
    }

    pub(crate) async fn resume(&self) -> anyhow::Result<()> {
        request(self.admin, "POST", "/api/v1/connects/resume", "")
            .await
            .map(drop)
    }

    /// A GET of the admin API.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(
            &request(self.admin, "GET", path, "").await?,
        )?)
    }

    /// How many events are in a state.
    pub(crate) async fn count(&self, state: &str) -> anyhow::Result<u64> {
        let numbers = self.get("/api/v1/stats").await?;
        numbers["totals"][state]
            .as_u64()
            .context("no such state in the statistics")
    }

    /// Waits until nothing is queued any more.
    pub(crate) async fn drained(&self, patience: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.count("queued").await? > 0 {
            if started.elapsed() > patience {
                bail!("{} events are still queued", self.count("queued").await?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// SIGTERM, and its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        let status = self.process.wait().await?;
        anyhow::ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        Ok(())
    }
}
