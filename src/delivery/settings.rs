//! How delivery goes about it: from the configuration, and what follows from it.

use std::time::Duration;

use crate::domain::retry::RetryPolicy;

/// How much longer a claim lasts than its call may take: time to settle.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// How long a claimed event waits for its turn before it is handed back, and after that for pairs of
/// its Serval ticket to be taken apart.
pub(super) const TURN_PATIENCE: Duration = Duration::from_mins(1);

/// How delivery goes about it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Calls in flight.
    pub concurrency: usize,
    /// Calls per second; 0: no limit.
    pub rate: u32,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Failures in a row that open the line.
    pub breaker_threshold: usize,
    /// For one exchange with Serval.
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

    /// For all exchanges of one call: a token, a look, the connect, a second token and try.
    pub(super) fn call_limit(&self) -> Duration {
        self.call_timeout.saturating_mul(3)
    }

    /// How long a claim lasts: both waits, the call and its settlement lie inside.
    pub(super) fn lease(&self) -> Duration {
        TURN_PATIENCE.saturating_mul(2) + self.call_limit() + LEASE_MARGIN
    }
}
