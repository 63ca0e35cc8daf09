//! The metrics that operators watch, in the text formats of Prometheus and `OpenMetrics`.
//!
//! Counters and histograms are kept where things happen. Levels (queued events, their age, file sizes)
//! are read for each scrape. Nothing is global: a daemon has one [`Metrics`], so two daemons in one
//! process do not mix.
//!
//! Invariant: no label has a value from outside. Sources have names from the configuration; all other
//! values are words of this program.

mod classic;
mod counters;
#[cfg(target_os = "linux")]
mod process;
mod scrape;
mod start;
#[cfg(test)]
mod tests;

pub use counters::{Metrics, SourceCounter, UNKNOWN};
pub use scrape::{Breaker, FeedLevels, Format, Scrape, StoreLevels};
pub use start::LabelValues;
