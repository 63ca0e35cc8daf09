//! Counts of system calls, by strace. The daemon has no counter of its own for them, and
//! `/proc/PID/io` knows no fsync.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Whether there is a strace that may trace.
pub(crate) fn is_available() -> bool {
    std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success())
}

/// A tracer that writes a line for each fsync to `log` and lets every other call pass at full speed.
pub(crate) fn syncs(log: &str) -> [&str; 7] {
    [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=fsync,fdatasync",
        "-o",
        log,
    ]
}

/// A tracer that counts all calls and writes the table to `log` at the end.
pub(crate) fn all(log: &str) -> [&str; 5] {
    ["strace", "-f", "-c", "-o", log]
}

/// The fsyncs written down so far.
pub(crate) fn syncs_so_far(log: &Path) -> anyhow::Result<u64> {
    let text = fs::read_to_string(log)?;
    let calls = text
        .lines()
        .filter(|line| line.contains("sync(") && !line.contains("resumed"));
    Ok(calls.count() as u64)
}

/// The calls in a table of `strace -c`, by name.
pub(crate) fn table(log: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let text = fs::read_to_string(log)?;
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let (Some(count), Some(name)) = (words.get(3), words.last()) else {
            continue;
        };
        if let Ok(count) = count.parse() {
            calls.insert((*name).to_owned(), count);
        }
    }
    calls.remove("total");
    (!calls.is_empty())
        .then_some(calls)
        .context("strace wrote no table")
}
