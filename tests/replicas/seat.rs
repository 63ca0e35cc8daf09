//! A place for a replica: one process after the other runs in it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::daemon::{self, Addresses, Settings};
use super::network::Network;
use super::plan::DEAD_AFTER;

/// What the replicas said, all of them.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    leader: AtomicUsize,
    leads: AtomicU64,
    /// Lines that no fault explains.
    pub(crate) alarming: Mutex<Vec<String>>,
}

/// A place for a replica.
pub(crate) struct Seat {
    pub(crate) number: usize,
    pub(crate) network: Network,
    config: PathBuf,
    log: Arc<Mutex<File>>,
    addresses: watch::Sender<Option<Addresses>>,
    notes: Arc<Notes>,
    /// The process, and the thread that hears it: true if it served.
    process: Option<(Child, JoinHandle<bool>)>,
    pub(crate) is_frozen: bool,
}

impl Seat {
    /// A seat without a process. Its files are in `folder`.
    pub(crate) fn new(
        number: usize,
        network: Network,
        folder: &Path,
        serval: &str,
        notes: Arc<Notes>,
    ) -> Self {
        let config = folder.join(format!("replica-{number}.toml"));
        std::fs::write(&config, toml(serval, &network.url())).unwrap();
        let log = File::create(folder.join(format!("replica-{number}.log"))).unwrap();
        Self {
            number,
            network,
            config,
            log: Arc::new(Mutex::new(log)),
            addresses: watch::Sender::new(None),
            notes,
            process: None,
            is_frozen: false,
        }
    }

    /// Where its process listens.
    pub(crate) fn addresses(&self) -> watch::Receiver<Option<Addresses>> {
        self.addresses.subscribe()
    }

    /// Starts a process. It listens soon.
    pub(crate) fn start(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_serval-connect"))
            .args(["serve", "--config"])
            .arg(&self.config)
            .env_clear()
            .env(
                "SERVAL_CONNECT__DATABASE__REPLICA_DEAD_AFTER",
                format!("{}s", DEAD_AFTER.as_secs()),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().expect("it is piped");
        let (log, notes) = (Arc::clone(&self.log), Arc::clone(&self.notes));
        let (addresses, number) = (self.addresses.clone(), self.number);
        let listener = std::thread::spawn(move || {
            let mut has_served = false;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(found) = daemon::addresses(&line) {
                    has_served = true;
                    addresses.send_replace(Some(found));
                }
                notes.hear(number, &line);
                drop(writeln!(log.lock().unwrap(), "{line}"));
            }
            addresses.send_replace(None);
            has_served
        });
        self.process = Some((child, listener));
    }

    /// True if a process runs, and is not frozen.
    pub(crate) fn is_well(&self) -> bool {
        self.process.is_some() && !self.is_frozen
    }

    /// Ends its process by SIGKILL: no handler runs, no buffer is flushed.
    pub(crate) fn kill(&mut self) {
        if let Some((mut child, listener)) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            listener.join().unwrap();
        }
        self.is_frozen = false;
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn freeze(&mut self, is_frozen: bool) {
        if self.is_frozen != is_frozen {
            self.signal(if is_frozen { "-STOP" } else { "-CONT" });
            self.is_frozen = is_frozen;
        }
    }

    /// SIGTERM: the process ends soon.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, name: &str) {
        if let Some((child, _)) = &self.process {
            let id = child.id().to_string();
            let sent = Command::new("kill").args([name, &id]).status().unwrap();
            assert!(sent.success());
        }
    }

    /// How its process ended, if it did, and whether it had served.
    pub(crate) fn ended(&mut self) -> Option<(ExitStatus, bool)> {
        let (child, _) = self.process.as_mut()?;
        let status = child.try_wait().unwrap()?;
        let (_, listener) = self.process.take().expect("it was there");
        Some((status, listener.join().unwrap()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Notes {
    /// Number of the seat whose process became the leader last.
    pub(crate) fn leader(&self) -> usize {
        self.leader.load(Ordering::SeqCst)
    }

    /// Number of times that a process became the leader.
    pub(crate) fn leads(&self) -> u64 {
        self.leads.load(Ordering::SeqCst)
    }

    fn hear(&self, seat: usize, line: &str) {
        // What is no JSON is why a start failed, or a panic.
        let said: Value = serde_json::from_str(line).unwrap_or_else(|_| json!({"message": line}));
        let message = said["message"].as_str().unwrap_or_default();
        if message == "which replica makes the calls has changed" && said["leads"] == true {
            self.leader.store(seat, Ordering::SeqCst);
            self.leads.fetch_add(1, Ordering::SeqCst);
        }
        if message.contains("panicked") || message.contains("broken row") {
            let line = format!("replica {seat}: {line}");
            self.alarming.lock().unwrap().push(line);
        }
    }
}

/// The configuration of a replica.
fn toml(serval: &str, database: &str) -> String {
    let settings = Settings {
        serval_timeout: "1500ms",
        concurrency: 5,
        ..Settings::default()
    };
    let toml = daemon::toml(serval, database, &settings);
    // With a rate, claims wait for their turn.
    let toml = toml.replace("rate = 0", "rate = 60");
    let source = toml.split("[sources.servicenow]").nth(1);
    let source = source.expect("the daemons of tests have that source");
    format!("{toml}\n[sources.again]\nkind = \"servicenow\"\nreconnect = \"on_change\"{source}")
}
