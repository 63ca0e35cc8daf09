//! Refused requests: every one is counted, and every cause is in the log.
//!
//! Invariant: a cause leaves a line in each minute in which it occurs, and a flood of one cause leaves few
//! lines. A line says how many refusals before it left none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::Response;

use super::problem::RefusedFor;
use crate::domain::ids::SourceName;
use crate::edge::metrics::{Metrics, UNKNOWN};

/// Lines that one cause may write in a row.
const LINES: u32 = 10;
/// After this time, a cause may write one more line.
const PER_LINE: Duration = Duration::from_secs(6);

/// Counts and logs refusals. Clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    metrics: Metrics,
    lines: Arc<Mutex<BTreeMap<(String, &'static str), Lines>>>,
}

impl Refusals {
    /// Counts in these metrics.
    pub fn new(metrics: Metrics) -> Self {
        let lines = Arc::default();
        Self { metrics, lines }
    }

    /// Logs a refused webhook of a source, and returns the cause; its status is counted elsewhere.
    pub(super) fn webhook(
        &self,
        source: Option<&SourceName>,
        path: &str,
        answer: &mut Response,
    ) -> Option<&'static str> {
        // Taken out, so that the listener does not log it again.
        let RefusedFor { cause, detail } = answer.extensions_mut().remove()?;
        let source = source.map_or(UNKNOWN, SourceName::as_str);
        if let Some(unlogged) = self.line(source, cause) {
            let (status, path) = (answer.status().as_u16(), shown(path));
            tracing::warn!(source, status, cause, path, error = %detail, unlogged, "webhook refused");
        }
        Some(cause)
    }

    /// Counts and logs an answer of a listener that refuses a request which is no webhook.
    pub(super) fn request(
        &self,
        listener: &'static str,
        peer: IpAddr,
        path: &str,
        answer: &Response,
    ) {
        let Some(RefusedFor { cause, detail }) = answer.extensions().get() else {
            return;
        };
        self.metrics.http_refused(listener, cause);
        if let Some(unlogged) = self.line(listener, cause) {
            let (status, path) = (answer.status().as_u16(), shown(path));
            tracing::warn!(listener, %peer, status, cause, path, error = %detail, unlogged, "request refused");
        }
    }

    /// Counts and logs the end of a connection that a listener refuses.
    pub(super) fn connection(&self, listener: &'static str, cause: &'static str, detail: &str) {
        self.metrics.http_refused(listener, cause);
        if let Some(unlogged) = self.line(listener, cause) {
            tracing::warn!(
                listener,
                cause,
                error = detail,
                unlogged,
                "connection refused"
            );
        }
    }

    /// Decides about one line of a cause at a source or listener: `None` for no line, else the number of
    /// refusals since the last one. What an accepted webhook warns of is limited like a refusal.
    pub(super) fn line(&self, about: &str, cause: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (about.to_owned(), cause);
        lines
            .entry(key)
            .or_insert_with(|| Lines::new(now))
            .take(now)
    }
}

/// The part of a path that is ours. The rest comes from outside, and may hold a secret.
fn shown(path: &str) -> &'static str {
    const OURS: [(&str, &str); 2] = [("/webhooks/", "/webhooks/…"), ("/api/", "/api/…")];
    let ours = OURS.iter().find(|(begin, _)| path.starts_with(begin));
    ours.map_or("/…", |(_, shown)| shown)
}

/// The lines that one cause may still write: a bucket that is refilled all the time.
#[derive(Debug)]
struct Lines {
    /// Time at which the bucket is full again.
    full_at: Instant,
    unlogged: u64,
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self {
            full_at: now,
            unlogged: 0,
        }
    }

    fn take(&mut self, now: Instant) -> Option<u64> {
        let full_at = self.full_at.max(now) + PER_LINE;
        if full_at.duration_since(now) > PER_LINE * LINES {
            self.unlogged += 1;
            return None;
        }
        self.full_at = full_at;
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that `n` refusals leave, one each `every`.
    fn lines(n: u32, every: Duration) -> Vec<u32> {
        let begin = Instant::now();
        let mut lines = Lines::new(begin);
        let mut logged = Vec::new();
        for nth in 0..n {
            if let Some(unlogged) = lines.take(begin + every * nth) {
                let before = logged.last().map_or(0, |last| last + 1);
                assert_eq!(u64::from(nth - before), unlogged, "the line {nth}");
                logged.push(nth);
            }
        }
        logged
    }

    #[test]
    fn a_flood_leaves_few_lines_and_a_trickle_leaves_all() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let (flood, steady) = (lines(300, Duration::ZERO), lines(300, second / 5));
        assert_eq!(flood, (0..10).collect::<Vec<_>>());
        assert!((15..=60).contains(&steady.len()), "{steady:?}");
        assert_eq!(lines(20, minute).len(), 20);
        // No minute of a flood is without a line.
        let hours = lines(7200, second);
        let gaps = hours.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max().unwrap() <= 60, "{hours:?}");
    }

    #[test]
    fn each_cause_of_each_source_has_its_own_lines() {
        let refusals = Refusals::default();
        for _ in 0..300 {
            refusals.line("slack", "mismatch");
        }
        assert_eq!(refusals.line("slack", "mismatch"), None);
        assert_eq!(refusals.line("slack", "stale"), Some(0));
        assert_eq!(refusals.line("servicenow", "mismatch"), Some(0));
    }

    #[test]
    fn of_a_path_only_what_is_ours_is_repeated() {
        for (path, expected) in [
            ("/", "/…"),
            ("/webhooks", "/…"),
            ("/webhooks/secret", "/webhooks/…"),
            ("/api/v1/secret", "/api/…"),
            ("/services/T0/B0/secret", "/…"),
        ] {
            assert_eq!(shown(path), expected);
        }
    }
}
