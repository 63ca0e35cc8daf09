//! Latencies, counted in buckets of at most 1.6 % width.

use std::time::Duration;

/// Each power of two is cut into so many buckets, as a power of two.
const PRECISION: u32 = 6;

/// Counts of durations, mergeable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanos);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The duration in milliseconds that `share` of all do not exceed.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = self.total as f64 * share;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= wanted {
                return lowest(bucket) as f64 / 1e6;
            }
        }
        f64::NAN
    }
}

/// Below `2^PRECISION` a bucket for each value; above, the leading bits choose it.
fn bucket(value: u64) -> usize {
    let width = 64 - value.leading_zeros();
    let shift = width.saturating_sub(PRECISION + 1);
    let index = (u64::from(shift) << PRECISION) + (value >> shift);
    usize::try_from(index).expect("some thousands")
}

fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> PRECISION).saturating_sub(1);
    (bucket - (shift << PRECISION)) << shift
}
