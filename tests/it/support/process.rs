//! The real binary, to be killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::MockServal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::config::{self, Settings};
use super::{Admin, PATIENCE, Senders, client};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serval-connect"));
    command.args(arguments).env_clear().kill_on_drop(true);
    command
}

/// `serve` under a limit of the size of files; writing beyond it is an error, not a signal.
fn limited(kib: u32) -> Command {
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" serve \"$@\"");
    let mut command = Command::new("bash");
    command.arg("-c").arg(script);
    command.arg(env!("CARGO_BIN_EXE_serval-connect"));
    command.env_clear().kill_on_drop(true);
    command
}

/// Runs the binary to its end, in an empty environment and in `folder`.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let output = command(arguments).current_dir(folder).output();
    tokio::time::timeout(PATIENCE, output)
        .await
        .unwrap()
        .unwrap()
}

/// A `serve` process, with its database and configuration in a folder of its own.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Who sends webhooks.
    pub(crate) webhooks: Senders,
    /// The operator.
    pub(crate) admin: Admin,
    /// Its configuration files.
    pub(crate) files: Vec<PathBuf>,
    folder: TempDir,
    child: Child,
    log: Log,
}

type Log = Arc<Mutex<Vec<Value>>>;

impl Daemon {
    /// Starts one that calls `mock`.
    pub(crate) async fn start(mock: &MockServal, settings: &Settings) -> Self {
        Self::start_by(mock, settings, None).await
    }

    /// Starts one none of whose files can grow beyond `limit` KiB.
    pub(crate) async fn start_with_file_limit(
        mock: &MockServal,
        settings: &Settings,
        limit: u32,
    ) -> Self {
        Self::start_by(mock, settings, Some(limit)).await
    }

    async fn start_by(mock: &MockServal, settings: &Settings, limit: Option<u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = config::write(folder.path(), &mock.base_url(), settings);
        let (child, log, public, admin) = spawn(&files, limit).await;
        Self {
            webhooks: Senders::new(client(), public),
            admin: Admin::new(client(), admin),
            files,
            folder,
            child,
            log,
        }
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The arguments that start another one on the same files.
    pub(crate) fn arguments<'a>(&'a self, command: &'a str) -> Vec<&'a str> {
        let files = self.files.iter().map(|file| file.to_str().unwrap());
        let mut arguments = vec![command];
        arguments.extend(files.flat_map(|file| ["--config", file]));
        arguments
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Kills it as a power cut would (SIGKILL).
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again on the same files.
    pub(crate) async fn start_again(&mut self) {
        let (child, log, public, admin) = spawn(&self.files, None).await;
        self.webhooks = Senders::new(client(), public);
        self.admin = Admin::new(client(), admin);
        (self.child, self.log) = (child, log);
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }

    /// Asks it to stop (SIGTERM).
    pub(crate) async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub(crate) async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    async fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().await;
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the process ends").unwrap()
    }
}

async fn spawn(files: &[PathBuf], limit: Option<u32>) -> (Child, Log, SocketAddr, SocketAddr) {
    let mut command = match limit {
        None => command(&["serve"]),
        Some(limit) => limited(limit),
    };
    for file in files {
        command.arg("--config").arg(file);
    }
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Log::default();
    let serving = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
            log.lock().unwrap().push(entry.clone());
            if let Some(addresses) = addresses(&entry) {
                return addresses;
            }
        }
        panic!("it ended before it served: {:?}", log.lock().unwrap());
    };
    let serving = tokio::time::timeout(PATIENCE, serving).await.unwrap();
    let (public, admin) = serving;
    let further = Arc::clone(&log);
    let follow = async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
            further.lock().unwrap().push(entry);
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the process whose log it reads"
    )]
    drop(tokio::spawn(follow));
    (child, log, public, admin)
}

/// Where a daemon listens, when this is the line that says so, in either format.
fn addresses(line: &Value) -> Option<(SocketAddr, SocketAddr)> {
    let of = |field: &str| match line.as_str() {
        Some(text) if text.contains(": serving ") => {
            let (_, rest) = text.split_once(&format!(" {field}="))?;
            rest.split(' ').next()?.parse().ok()
        }
        None if line["message"] == "serving" => line[field].as_str()?.parse().ok(),
        Some(_) | None => None,
    };
    Some((of("webhooks")?, of("admin")?))
}
