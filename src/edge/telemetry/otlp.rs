//! Exports spans to a collector that accepts OTLP (HTTP, protobuf).
//!
//! The exporter runs on its own thread, where an asynchronous client does not work. So it gets a
//! client that sends each request in the daemon's runtime.
//!
//! Invariant: a collector that is slow or gone costs spans, never a webhook or a connect.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry};

use super::{BoxedLayer, TelemetryConfig, TelemetryError};
use crate::edge::outbound::{self, Limits};

/// Time limit for one batch of spans, answer included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for the last batch, at the end of the process.
const LAST_EXPORT: Duration = Duration::from_secs(3);
/// Path that OTLP adds to a collector's URL.
const PATH: &str = "/v1/traces";

/// Records the spans of this crate, and exports them in batches.
pub(super) fn layer(
    config: &TelemetryConfig,
    endpoint: &str,
) -> Result<(BoxedLayer, SdkTracerProvider), TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(config, endpoint)?)
        .with_endpoint(address(endpoint))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    // Not the default resource: it would add attributes from the environment, which the
    // configuration alone is to decide.
    let resource = Resource::builder_empty()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    let spans = tracing_opentelemetry::layer::<Registry>()
        .with_tracer(provider.tracer("serval-connect"))
        .with_threads(false)
        .with_location(false)
        // Libraries have spans of their own, also the exporter's HTTP client: each export would
        // then make spans to export.
        .with_filter(Targets::new().with_target("serval_connect", LevelFilter::INFO));
    Ok((spans.boxed(), provider))
}

/// Sends the remaining spans. Blocks.
pub(super) fn flush(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(LAST_EXPORT) {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

/// The collector's URL for spans. The configured URL may already have that path.
fn address(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    format!("{}{PATH}", base.strip_suffix(PATH).unwrap_or(base))
}

/// The collector.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    headers: HeaderMap,
    is_failing: Arc<AtomicBool>,
}

impl Collector {
    fn new(config: &TelemetryConfig, endpoint: &str) -> Result<Self, TelemetryError> {
        outbound::install_tls_provider();
        let client = outbound::client(Limits {
            connect_timeout: EXPORT_TIMEOUT,
            timeout: EXPORT_TIMEOUT,
            idle_connections: 1,
            is_local: outbound::is_local(endpoint),
        })
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
        let mut headers = HeaderMap::new();
        for header in &config.otlp_headers {
            let (name, value) = read(header.expose_secret()).ok_or(TelemetryError::Header)?;
            headers.insert(name, value);
        }
        Ok(Self {
            client,
            runtime: Handle::current(),
            headers,
            is_failing: Arc::default(),
        })
    }

    /// Sends a batch, in the runtime that it was made in.
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let (client, is_failing) = (self.client.clone(), Arc::clone(&self.is_failing));
        self.runtime
            .spawn(send(client, request, is_failing))
            .await?
    }
}

/// Reads `name=value`.
fn read(header: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = header.split_once('=')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(&'a self, request: http::Request<Bytes>) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.send(request))
    }
}

/// Sends a batch. Logs once when the collector begins to fail, and once when it is back.
async fn send(
    client: reqwest::Client,
    request: http::Request<Bytes>,
    is_failing: Arc<AtomicBool>,
) -> Result<http::Response<Bytes>, HttpError> {
    let answer = exchange(client, request).await;
    let problem = match &answer {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(answer.status().to_string()),
        Err(error) => Some(error.to_string()),
    };
    // Batches end every few seconds. A line for each failure would fill the log during an outage of
    // the collector.
    let was_failing = is_failing.swap(problem.is_some(), Ordering::Relaxed);
    match problem {
        Some(error) if !was_failing => {
            tracing::warn!(error, "spans cannot be exported over OTLP and are dropped");
        }
        None if was_failing => tracing::info!("spans are exported over OTLP again"),
        Some(_) | None => {}
    }
    answer
}

async fn exchange(
    client: reqwest::Client,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request)?;
    // The address may hold a credential.
    let answer = client
        .execute(request)
        .await
        .map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let headers = answer.headers().clone();
    let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_path_of_spans_once() {
        for endpoint in [
            "http://collector:4318",
            "http://collector:4318/",
            "http://collector:4318/v1/traces",
        ] {
            assert_eq!(address(endpoint), "http://collector:4318/v1/traces");
        }
    }

    #[test]
    fn headers_are_pairs_and_their_values_are_not_shown() {
        let (name, value) = read("authorization = Bearer s3cret=").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", &b"Bearer s3cret="[..])
        );
        assert!(!format!("{value:?}").contains("s3cret"));
        assert!(read("authorization").is_none());
        assert!(read("=x").is_none());
    }
}
