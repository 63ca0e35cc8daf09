//! The settings of delivery, and the time limits that follow from them.

use std::time::Duration;

use crate::domain::retry::RetryPolicy;

/// Time to settle, after the longest call.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Longest wait for a slot and the pace, and again for an unlink, before a claim is released.
pub(super) const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// The settings of delivery.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Calls in flight.
    pub concurrency: usize,
    /// Calls per second; 0: no limit.
    pub rate: u32,
    /// The retry policy.
    pub retry: RetryPolicy,
    /// Failures in a row that open the circuit breaker.
    pub breaker_threshold: usize,
    /// Time limit of one request to Serval.
    pub call_timeout: Duration,
}

impl Settings {
    /// Settings from the configuration.
    pub fn new(delivery: &crate::config::DeliveryConfig, call_timeout: Duration) -> Self {
        Self {
            concurrency: delivery.concurrency,
            rate: delivery.rate,
            retry: RetryPolicy::giving_up_after(delivery.give_up_after),
            breaker_threshold: usize::try_from(delivery.breaker_threshold).unwrap_or(usize::MAX),
            call_timeout,
        }
    }

    /// Time limit of one call with all its requests: token, links, connect, second token and connect.
    pub(super) fn call_limit(&self) -> Duration {
        self.call_timeout.saturating_mul(3)
    }

    /// Duration of a claim: both waits, the call, one request about an unknown ticket and the settlement
    /// fit into it.
    pub(super) fn lease(&self) -> Duration {
        WAIT_LIMIT.saturating_mul(2) + self.call_limit() + self.call_timeout + LEASE_MARGIN
    }
}
