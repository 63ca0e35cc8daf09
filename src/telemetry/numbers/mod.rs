//! The numbers of `/metrics` over OTLP (HTTP, protobuf), every so often and once more at the end.
//!
//! Invariant: a collector that is slow or gone costs numbers, never a webhook or a connect; those
//! that follow hold what the lost ones counted.

mod message;
mod page;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::TelemetryError;
use super::otlp::{self, Collector};
use crate::config::TelemetryConfig;
use message::{Span, message};

/// What OTLP adds to a collector's address.
const PATH: &str = "/v1/metrics";
/// For the last numbers, at the end of the process.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Exports the numbers.
#[derive(Debug)]
pub struct Numbers {
    collector: Collector,
    address: String,
    service: String,
    every: Duration,
    started: Timestamp,
}

impl Numbers {
    /// To the collector of `config`, if it is to get them. Call it within the runtime. What counts
    /// has counted since `started`.
    pub fn new(
        config: &TelemetryConfig,
        started: Timestamp,
    ) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = config
            .otlp_endpoint
            .as_deref()
            .filter(|_| config.otlp_metrics)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            collector: Collector::new(config, endpoint, "metrics")?,
            address: otlp::address(endpoint, PATH),
            service: config.service_name.clone(),
            every: config.otlp_metrics_interval,
            started,
        }))
    }

    /// Exports what `page` says, until `soft`. `page`: the moment, and the numbers as `/metrics` has them.
    pub async fn run<P, F>(self, page: P, soft: CancellationToken)
    where
        P: Fn() -> F + Sync,
        F: Future<Output = (Timestamp, String)> + Send,
    {
        let first = tokio::time::Instant::now() + self.every;
        let mut ticks = interval_at(first, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = soft.cancelled() => break,
                _ = ticks.tick() => self.export(page()).await,
            }
        }
        if tokio::time::timeout(LAST_EXPORT, self.export(page()))
            .await
            .is_err()
        {
            tracing::warn!("the last metrics were not exported");
        }
    }

    async fn export(&self, page: impl Future<Output = (Timestamp, String)>) {
        let (now, page) = page.await;
        let span = Span {
            started: nanoseconds(self.started),
            now: nanoseconds(now),
        };
        let body = message(&self.service, page::read(&page), span).encode_to_vec();
        let request = Request::post(&self.address).header(CONTENT_TYPE, "application/x-protobuf");
        match request.body(Bytes::from(body)) {
            // Whether it went well is said there.
            Ok(request) => drop(self.collector.send(request).await),
            Err(error) => tracing::error!(%error, "telemetry.otlp_endpoint cannot be called"),
        }
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or_default()
}
