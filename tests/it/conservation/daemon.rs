//! The real binary over a database that outlives it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serval_connect::edge::outbound;
use serval_connect::rehearsal::mock_serval::{
    Fault, MockConfig, MockServal, SERVICENOW_INTEGRATION,
};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use super::sender::{KEY, Sender};

/// Where a running daemon listens.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) webhooks: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// What differs between the daemons of the tests.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) serval_timeout: &'static str,
    pub(crate) shutdown_timeout: &'static str,
    pub(crate) breaker_threshold: u32,
    pub(crate) concurrency: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            serval_timeout: "30s",
            shutdown_timeout: "20s",
            breaker_threshold: 5,
            concurrency: 16,
        }
    }
}

/// A daemon, the database it keeps, and the Serval it calls.
pub(crate) struct Site {
    pub(crate) mock: MockServal,
    /// URL of the database.
    pub(crate) database: String,
    config: PathBuf,
    _folder: TempDir,
    log: Arc<Mutex<Vec<String>>>,
    child: Option<Child>,
    addresses: watch::Sender<Option<Addresses>>,
}

impl Site {
    /// A site with its database at a URL; nothing runs yet but Serval.
    pub(crate) async fn at(folder: TempDir, database: String, settings: &Settings) -> Self {
        outbound::install_tls_provider();
        let mock = MockServal::start(MockConfig {
            keep: 1_000_000,
            ..MockConfig::default()
        });
        let mock = mock.await.unwrap();
        let config = folder.path().join("serval-connect.toml");
        let toml = toml(&mock.base_url(), &database, settings);
        std::fs::write(&config, toml).unwrap();
        Self {
            mock,
            database,
            config,
            _folder: folder,
            log: Arc::default(),
            child: None,
            addresses: watch::Sender::new(None),
        }
    }

    /// The file that a daemon in the test's own process can be built from.
    pub(crate) fn config(&self) -> PathBuf {
        self.config.clone()
    }

    /// Starts the daemon and waits until it serves.
    pub(crate) async fn start(&mut self) -> Addresses {
        let mut child = Command::new(env!("CARGO_BIN_EXE_serval-connect"))
            .args(["serve", "--config"])
            .arg(&self.config)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (serving, is_serving) = oneshot::channel();
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            let mut serving = Some(serving);
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(addresses) = addresses(&line)
                    && let Some(serving) = serving.take()
                {
                    drop(serving.send(addresses));
                }
                log.lock().unwrap().push(line);
            }
        });
        self.child = Some(child);
        let waited = tokio::time::timeout(Duration::from_secs(20), is_serving).await;
        let addresses = waited.ok().and_then(Result::ok).expect("it serves");
        self.addresses.send_replace(Some(addresses.clone()));
        addresses
    }

    /// Has the senders go to a daemon that runs in the test's own process.
    pub(crate) fn serves_here(&self, webhooks: SocketAddr, admin: SocketAddr) {
        let addresses = Addresses { webhooks, admin };
        self.addresses.send_replace(Some(addresses));
    }

    /// SIGKILL: no handler runs, no buffer is flushed.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
        self.addresses.send_replace(None);
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
    }

    /// The end of a daemon that was told to stop; `None` when it did not come in time.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.child.as_mut().expect("it ran").try_wait().unwrap() {
                self.child = None;
                self.addresses.send_replace(None);
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Whether the process that was started last still runs.
    pub(crate) fn runs(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Senders of its webhooks.
    pub(crate) fn sender(&self) -> Sender {
        let client = outbound::client(outbound::Limits {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(8),
            idle_connections: 16,
            is_local: true,
        });
        Sender::new(client.unwrap(), vec![self.addresses.subscribe()])
    }

    /// Replaces Serval's faults.
    pub(crate) fn faults(&self, faults: &[&str]) {
        let faults = faults.iter().map(|fault| fault.parse::<Fault>().unwrap());
        self.mock.set_faults(faults.collect());
    }

    /// Waits until Serval has the pairs of so many external tickets; says how long that took.
    pub(crate) async fn connected(&self, pairs: usize, within: Duration) -> Option<Duration> {
        let started = Instant::now();
        while started.elapsed() < within {
            if self.mock.links().len() >= pairs {
                return Some(started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            for line in log.iter().rev().take(40).rev() {
                eprintln!("daemon: {line}");
            }
        }
    }
}

/// The addresses in the line that says that the daemon serves.
pub(crate) fn addresses(line: &str) -> Option<Addresses> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |key: &str| line[key].as_str()?.parse().ok();
    (line["message"] == "serving").then_some(())?;
    Some(Addresses {
        webhooks: address("webhooks")?,
        admin: address("admin")?,
    })
}

/// The configuration of a daemon.
pub(crate) fn toml(serval: &str, database: &str, settings: &Settings) -> String {
    let secret = STANDARD.encode(KEY);
    let Settings {
        serval_timeout,
        shutdown_timeout,
        breaker_threshold,
        concurrency,
    } = settings;
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
shutdown_timeout = "{shutdown_timeout}"
[admin]
listen = "127.0.0.1:0"
[database]
url = "{database}"
[serval]
base_url = "{serval}"
client_id = "mock-client"
client_secret = "mock-secret"
timeout = "{serval_timeout}"
[delivery]
concurrency = {concurrency}
rate = 0
breaker_threshold = {breaker_threshold}
[log]
format = "json"
[sources.servicenow]
secrets = ["whsec_{secret}"]
channel_target = {{ ticketSource = {{ integrationId = "{SERVICENOW_INTEGRATION}" }} }}
"#
    )
}
