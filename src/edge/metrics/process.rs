//! Figures of the process, from `/proc`. A figure that cannot be read is left out.

use std::time::Duration;

use procfs::CurrentSI as _;
use procfs::process::{LimitValue, Process};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// Registers `process_…`, with the names that Prometheus' own libraries use.
pub(super) fn register(registry: &mut Registry) {
    // There is no /proc outside Linux, and a container may hide it. Then these metrics are missing,
    // and all others remain.
    let Ok(process) = Process::myself() else {
        return;
    };
    if let Ok(stat) = process.stat() {
        let seconds = |ticks: u64| Duration::from_millis(ticks * 1000 / procfs::ticks_per_second());
        registry.register_with_unit(
            "process_cpu",
            "Time on the processors, user and system",
            Unit::Seconds,
            ConstCounter::new(seconds(stat.utime + stat.stime).as_secs_f64()),
        );
        registry.register_with_unit(
            "process_resident_memory",
            "Memory that is not swapped out",
            Unit::Bytes,
            ConstGauge::new(signed(stat.rss * procfs::page_size())),
        );
        // The start is counted in ticks since the boot, and only the kernel knows when that was.
        if let Ok(kernel) = procfs::KernelStats::current() {
            let start = Duration::from_secs(kernel.btime) + seconds(stat.starttime);
            registry.register_with_unit(
                "process_start_time",
                "Start of the process, as a Unix time",
                Unit::Seconds,
                ConstGauge::new(start.as_secs_f64()),
            );
        }
    }
    if let Ok(open) = process.fd_count() {
        let help = "File descriptors in use";
        let gauge = ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX));
        registry.register("process_open_fds", help, gauge);
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        let help = "Most file descriptors that may be in use";
        registry.register("process_max_fds", help, ConstGauge::new(signed(most)));
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
