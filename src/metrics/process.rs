//! What the system says of the process, from `/proc`. Where there is none, nothing is said.

use std::fs;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// The unit of times in `/proc`, on every architecture that Linux has a Rust target for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers `process_…`, by the names that Prometheus' own libraries use.
pub(super) fn register(registry: &mut Registry) {
    if let Some(times) = read("/proc/self/stat").as_deref().and_then(times) {
        registry.register_with_unit(
            "process_cpu",
            "Time on the processors, of user and system",
            Unit::Seconds,
            ConstCounter::new(times.cpu),
        );
        if let Some(boot) = read("/proc/stat").as_deref().and_then(boot_time) {
            registry.register_with_unit(
                "process_start_time",
                "When the process began, in seconds since the epoch",
                Unit::Seconds,
                ConstGauge::new(boot + times.started),
            );
        }
    }
    if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident) {
        registry.register_with_unit(
            "process_resident_memory",
            "Memory that is not swapped out",
            Unit::Bytes,
            ConstGauge::new(bytes),
        );
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // Reading the folder opens one itself.
        let open = i64::try_from(files.count()).unwrap_or(i64::MAX) - 1;
        registry.register(
            "process_open_fds",
            "File descriptors in use",
            ConstGauge::new(open),
        );
    }
    if let Some(most) = read("/proc/self/limits").as_deref().and_then(most_files) {
        registry.register(
            "process_max_fds",
            "File descriptors that may be in use",
            ConstGauge::new(most),
        );
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// In seconds; `started` counts from the boot.
#[derive(Debug, PartialEq)]
struct Times {
    cpu: f64,
    started: f64,
}

fn times(stat: &str) -> Option<Times> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    Some(Times {
        cpu: seconds(11)? + seconds(12)?,
        started: seconds(19)?,
    })
}

fn boot_time(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn resident(status: &str) -> Option<i64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn most_files(limits: &str) -> Option<i64> {
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let stat = "7 (a ) name) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 6 0 1234 99";
        let expected = Times {
            cpu: 2.0,
            started: 12.34,
        };
        assert_eq!(times(stat), Some(expected));
        assert_eq!(times("7 (name) S 1"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1.7e9));
        assert_eq!(resident("Name:\tx\nVmRSS:\t  12 kB\n"), Some(12_288));
        let limits = "Limit Soft Hard Units\nMax open files            1024   524288   files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files("Max open files unlimited unlimited files"), None);
    }
}
