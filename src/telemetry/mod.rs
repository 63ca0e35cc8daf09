//! Logs: to stderr, as text for people or one JSON object a line, with times in UTC. Traces and
//! metrics: over OTLP, where a collector is configured.
//!
//! Invariant: the only place that installs a subscriber. Log lines carry their own fields; spans are
//! for traces alone, and neither's filter touches the other.

#[cfg(feature = "otel")]
mod numbers;
#[cfg(feature = "otel")]
mod otlp;
mod panics;
pub mod traces;

use std::fmt;
use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as format, reload};

use crate::config::{LogConfig, LogFormat, TelemetryConfig};
#[cfg(feature = "otel")]
pub use numbers::Numbers;
pub use panics::log_panics;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log.level is no level and no filter such as serval_connect=debug,info: {0}")]
    Filter(tracing_subscriber::filter::ParseError),
    /// The process has a subscriber.
    #[error("logging is set up already")]
    Installed,
    /// The subscriber that the handle belongs to is gone.
    #[error("logging is not running any more")]
    Gone,
}

/// Changes the level of a running process.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogHandle {
    /// Applies the level of `config`. The format stays as it was at start.
    pub fn set_level(&self, config: &LogConfig) -> Result<(), LogError> {
        let filter = filter(config)?;
        self.filter.reload(filter).map_err(|_| LogError::Gone)
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").finish_non_exhaustive()
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The exporter of spans.
    #[error("telemetry.otlp_endpoint: {0}")]
    Exporter(String),
    /// A header for the collector. Its text may be a secret.
    #[error("telemetry.otlp_headers: expected headers in the form name=value")]
    Header,
    /// The program cannot export.
    #[error("telemetry.otlp_endpoint is set, but this program was built without the feature otel")]
    NotBuilt,
}

/// The export of spans, where there is one.
#[derive(Debug, Default)]
#[must_use = "the last spans are exported when it is closed"]
pub struct Traces {
    #[cfg(feature = "otel")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Traces {
    /// Exports what is left.
    pub async fn close(self) {
        #[cfg(feature = "otel")]
        if let Some(provider) = self.provider {
            // The exporter's thread needs the runtime, so the runtime must not wait for it.
            let flushed = tokio::task::spawn_blocking(move || otlp::flush(&provider)).await;
            if let Err(error) = flushed {
                tracing::warn!(%error, "the last spans were not exported");
            }
        }
    }
}

/// Installs the process's subscriber: the log alone.
pub fn init(config: &LogConfig) -> Result<LogHandle, LogError> {
    let (lines, handle) = lines(config, BoxMakeWriter::new(std::io::stderr))?;
    install(vec![lines])?;
    Ok(handle)
}

/// Installs the process's subscriber: the log, and the spans where they are wanted. Call it within
/// the runtime.
pub fn init_with_traces(
    log: &LogConfig,
    telemetry: &TelemetryConfig,
) -> Result<(LogHandle, Traces), TelemetryError> {
    let (lines, handle) = lines(log, BoxMakeWriter::new(std::io::stderr))?;
    let mut layers = vec![lines];
    let traces = match &telemetry.otlp_endpoint {
        None => Traces::default(),
        Some(endpoint) => traced(&mut layers, telemetry, endpoint)?,
    };
    install(layers)?;
    Ok((handle, traces))
}

#[cfg(feature = "otel")]
fn traced(
    layers: &mut Vec<BoxedLayer>,
    telemetry: &TelemetryConfig,
    endpoint: &str,
) -> Result<Traces, TelemetryError> {
    let (spans, provider) = otlp::layer(telemetry, endpoint)?;
    layers.push(spans);
    let provider = Some(provider);
    Ok(Traces { provider })
}

#[cfg(not(feature = "otel"))]
fn traced(_: &mut Vec<BoxedLayer>, _: &TelemetryConfig, _: &str) -> Result<Traces, TelemetryError> {
    Err(TelemetryError::NotBuilt)
}

fn install(layers: Vec<BoxedLayer>) -> Result<(), LogError> {
    let subscriber = subscriber(layers);
    subscriber.try_init().map_err(|_| LogError::Installed)
}

fn subscriber(layers: Vec<BoxedLayer>) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(layers)
}

fn lines(config: &LogConfig, writer: BoxMakeWriter) -> Result<(BoxedLayer, LogHandle), LogError> {
    let (filter, handle) = reload::Layer::new(filter(config)?);
    let lines = format::layer().with_writer(writer);
    let lines = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        // On a terminal the layer itself decides, which respects NO_COLOR.
        LogFormat::Text if std::io::stderr().is_terminal() => lines.boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    let events = filter_fn(|metadata| !metadata.is_span());
    let lines = lines.with_filter(filter.and(events)).boxed();
    Ok((lines, LogHandle { filter: handle }))
}

fn filter(config: &LogConfig) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(config.directives())
        .map_err(LogError::Filter)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;

    fn config(level: &str) -> LogConfig {
        LogConfig {
            level: level.to_owned(),
            format: LogFormat::Text,
        }
    }

    #[test]
    fn a_plain_level_is_ours_and_a_filter_is_taken_as_it_is() {
        for (level, expected) in [
            ("info", "warn,serval_connect=info"),
            (" DEBUG ", "warn,serval_connect=debug"),
            ("error", "error"),
            ("off", "off"),
            ("serval_connect=debug,info", "serval_connect=debug,info"),
        ] {
            assert_eq!(config(level).directives(), expected, "{level}");
            assert!(filter(&config(level)).is_ok(), "{level}");
        }
        assert!(matches!(
            filter(&config("serval_connect=loud")),
            Err(LogError::Filter(_))
        ));
    }

    #[test]
    fn json_lines_are_flat_and_the_level_changes_while_running() {
        let written = Arc::new(tempfile::tempfile().unwrap());
        let mut json = config("info");
        json.format = LogFormat::Json;
        let (lines, handle) = lines(&json, BoxMakeWriter::new(Arc::clone(&written))).unwrap();
        tracing::subscriber::with_default(subscriber(vec![lines]), || {
            let _span = tracing::info_span!(target: "serval_connect::test", "quiet").entered();
            tracing::debug!(target: "serval_connect::test", "too quiet");
            tracing::info!(target: "other", "not ours");
            handle.set_level(&config("debug")).unwrap();
            assert!(handle.set_level(&config("serval_connect=loud")).is_err());
            tracing::debug!(target: "serval_connect::test", events = 3, "stored");
        });
        let mut text = String::new();
        (&*written).rewind().unwrap();
        (&*written).read_to_string(&mut text).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "stored");
        assert_eq!(line["events"], 3);
        assert_eq!(line["level"], "DEBUG");
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok());
    }
}
