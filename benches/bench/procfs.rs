//! What Linux knows about a process: processor time and memory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`: the same on every Linux, whatever the kernel's own tick is.
const TICKS: u64 = 100;

/// Processor time of a process so far, user and system together.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    ticks(pid, [11, 12])
}

/// The sum of two fields of `/proc/PID/stat`, counted from the state on.
fn ticks(pid: u32, fields: [usize; 2]) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; after it come state and numbers.
    let (_, rest) = stat
        .rsplit_once(") ")
        .context("/proc/PID/stat has no name")?;
    let field = |index: usize| -> anyhow::Result<u64> {
        let text = rest
            .split(' ')
            .nth(index)
            .context("/proc/PID/stat is short")?;
        Ok(text.parse()?)
    };
    let ticks = field(fields[0])? + field(fields[1])?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Processor time of the children of a process that have ended.
pub(crate) fn cpu_of_ended_children(pid: u32) -> anyhow::Result<Duration> {
    ticks(pid, [13, 14])
}

/// Resident memory in megabytes: now, and at its highest.
pub(crate) fn memory(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> anyhow::Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: f64 = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .with_context(|| format!("/proc/PID/status has no {name}"))?
            .parse()?;
        Ok(kib * 1024.0 / 1e6)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Forgets the highest resident memory so far.
pub(crate) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak of memory")
}

/// The first child of a process, or the process itself.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Processor and kernel.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = read("/proc/meminfo");
    let kib: f64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default();
    let gib = kib / f64::from(1 << 20);
    format!("{cores} x {model}, {gib:.0} GiB, Linux {}", kernel.trim())
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The kind of file system that `path` lies on, with its options.
pub(crate) fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |line: &str| -> Option<(usize, String)> {
        let mut words = line.split(' ').skip(1);
        let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
        path.starts_with(point)
            .then(|| (point.len(), format!("{kind} ({options})")))
    };
    let longest = mounts
        .lines()
        .filter_map(of)
        .max_by_key(|(length, _)| *length);
    longest.map_or_else(|| "unknown file system".to_owned(), |(_, text)| text)
}
