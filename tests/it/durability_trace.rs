//! Nothing is acknowledged before it is on the disk. A kill cannot tell, since the kernel keeps what
//! it was given; so this looks at the system calls of the real binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStderr;
use tokio::task::JoinSet;

use crate::support::bodies::{incident, sys_id};
use crate::support::{Daemon, PATIENCE, Settings, needs_a_file};

/// What the daemon did, in the order in which strace saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    /// Wrote to the write-ahead log.
    Wal(String),
    /// The log is on the disk.
    Synced,
    /// Began to answer 202.
    Acknowledged(String),
}

#[tokio::test]
async fn the_log_is_synced_between_the_last_write_of_an_event_and_its_acknowledgement() {
    needs_a_file!();
    let Some(trace) = Trace::start().await else {
        return;
    };
    for n in 1..=10 {
        let answer = trace.daemon.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.status, 202);
    }
    let calls = trace.end().await;
    let mut acknowledged = 0;
    let mut unsynced = None;
    for call in &calls {
        match call {
            Call::Wal(data) => unsynced = Some(data),
            Call::Synced => unsynced = None,
            // One request at a time: whatever was written by now was written for it.
            Call::Acknowledged(_) => {
                assert_eq!(unsynced, None, "not on the disk when the answer left");
                acknowledged += 1;
            }
        }
    }
    assert_eq!(acknowledged, 10);
    for n in 1..=10 {
        assert_is_synced_first(&calls, &sys_id(n));
    }
}

#[tokio::test]
async fn events_that_share_a_commit_are_acknowledged_after_their_common_sync() {
    needs_a_file!();
    let Some(trace) = Trace::start().await else {
        return;
    };
    for burst in 0..5 {
        let mut senders = JoinSet::new();
        for n in 0..8 {
            let webhooks = trace.daemon.webhooks.clone();
            senders.spawn(async move { webhooks.servicenow(incident(burst * 8 + n)).send().await });
        }
        for answer in senders.join_all().await {
            assert_eq!(answer.status, 202);
        }
    }
    let calls = trace.end().await;
    for n in 0..40 {
        assert_is_synced_first(&calls, &sys_id(n));
    }
    let syncs = calls.iter().filter(|call| **call == Call::Synced).count();
    assert!(syncs < 40, "{syncs} syncs: no commit was shared");
}

/// The event's first write to the log comes before a sync that comes before its acknowledgement. Its
/// first, because the pages that hold it are written again for others, maybe while the answer is on
/// its way; and all pages of a commit are written between two syncs.
fn assert_is_synced_first(calls: &[Call], id: &str) {
    let is_about = |data: &String| data.contains(id);
    let acknowledged = calls
        .iter()
        .position(|call| matches!(call, Call::Acknowledged(data) if is_about(data)))
        .unwrap_or_else(|| panic!("{id} was not acknowledged"));
    let written = calls[..acknowledged]
        .iter()
        .position(|call| matches!(call, Call::Wal(data) if is_about(data)))
        .unwrap_or_else(|| panic!("{id} was not written"));
    assert!(
        calls[written..acknowledged].contains(&Call::Synced),
        "{id} was acknowledged before it was synced"
    );
}

/// A daemon whose system calls are written down.
struct Trace {
    daemon: Daemon,
    _mock: MockServal,
    strace: tokio::process::Child,
    /// What strace says about new threads; it dies when nobody listens.
    _words: Lines<BufReader<ChildStderr>>,
    log: PathBuf,
}

impl Trace {
    /// `None` where there is no strace that may trace; on CI that is a failure.
    #[expect(clippy::print_stdout, reason = "a test that checks nothing says so")]
    async fn start() -> Option<Self> {
        let works = Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .stderr(Stdio::null())
            .status();
        if !works.is_ok_and(|status| status.success()) {
            assert!(
                std::env::var_os("CI").is_none(),
                "strace is missing or may not trace; CI must install it"
            );
            println!("not checked: there is no strace that may trace");
            return None;
        }
        let mock = MockServal::start(MockConfig::default()).await.unwrap();
        let daemon = Daemon::start(&mock, &Settings::default()).await;
        let log = daemon.folder().join("strace.log");
        let mut strace = tokio::process::Command::new("strace")
            .args(["-f", "-y", "-s", "8192", "-o"])
            .arg(&log)
            .args([
                "-e",
                "trace=write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync",
            ])
            .args(["-p", &daemon.pid().to_string()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
        let attached = tokio::time::timeout(PATIENCE, said.next_line()).await;
        let attached = attached.unwrap().unwrap().unwrap_or_default();
        assert!(attached.contains("attached"), "{attached}");
        Some(Self {
            daemon,
            _mock: mock,
            strace,
            _words: said,
            log,
        })
    }

    async fn end(mut self) -> Vec<Call> {
        self.daemon.kill().await;
        let ended = tokio::time::timeout(Duration::from_secs(20), self.strace.wait()).await;
        ended.expect("strace ends with the daemon").unwrap();
        read(&self.log)
    }
}

/// Reads the lines of strace. A call that another thread's interrupts is two lines: what is written
/// counts from the first, a sync from the second.
fn read(log: &Path) -> Vec<Call> {
    let text = std::fs::read(log).unwrap();
    let text = String::from_utf8_lossy(&text);
    let mut calls = Vec::new();
    let mut syncing = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        let is_sync = call.starts_with("fsync(") || call.starts_with("fdatasync(");
        let is_of_log = call
            .split('>')
            .next()
            .is_some_and(|file| file.ends_with("-wal"));
        let is_resumed =
            call.starts_with("<... fsync resumed") || call.starts_with("<... fdatasync resumed");
        if is_sync && is_of_log && call.ends_with("<unfinished ...>") {
            syncing.push(thread);
        } else if is_sync && is_of_log && call.ends_with("= 0") {
            calls.push(Call::Synced);
        } else if is_resumed && call.ends_with("= 0") && syncing.contains(&thread) {
            syncing.retain(|other| *other != thread);
            calls.push(Call::Synced);
        } else if call.starts_with("pwrite64(") && is_of_log {
            calls.push(Call::Wal(call.to_owned()));
        } else if call.contains("\"HTTP/1.1 202 ") {
            calls.push(Call::Acknowledged(call.to_owned()));
        }
    }
    calls
}
