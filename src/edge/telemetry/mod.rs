//! Logs go to stderr, as text for people or as one JSON object per line, with times in UTC. Traces go
//! to a collector over OTLP, if one is configured.
//!
//! This facade holds the errors that `otlp` shares, and adds its layer: both are small.
//!
//! Invariant: the only place that installs a subscriber. Log lines carry their own fields; spans are
//! for traces alone, and neither's filter touches the other.

mod buffer;
#[cfg(feature = "otel")]
mod otlp;
mod panics;
mod settings;
pub mod traces;

pub use settings::{LogConfig, LogFormat, TelemetryConfig};

use std::fmt;
use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as format, reload};

pub use buffer::Collected;
pub use panics::log_panics;

/// Remedy where a collector is configured for a program without the export of spans.
pub const NOT_BUILT: &str = "this program was built without traces; the container image has them, as has \
    what `cargo build --features otel` makes";

/// Errors of setting up the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be parsed.
    #[error("log.level is neither a level nor a filter such as serval_connect=debug,info: {0}")]
    Filter(tracing_subscriber::filter::ParseError),
    /// The process has a subscriber already.
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

/// Errors of setting up the log and the export of spans.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log could not be set up.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The thread that writes the log could not be started.
    #[error("the thread that writes the log could not be started: {0}")]
    Thread(std::io::Error),
    /// The exporter of spans could not be built.
    #[error("telemetry.otlp_endpoint: {0}")]
    Exporter(String),
    /// A header for the collector is malformed. Its text may be a secret, so it is not shown.
    #[error("telemetry.otlp_headers: expected headers in the form name=value")]
    Header,
    /// The program was built without the export of spans.
    #[error("telemetry.otlp_endpoint: {NOT_BUILT}")]
    NotBuilt,
}

/// The export of spans, if a collector is configured.
#[derive(Debug, Default)]
#[must_use = "closing it exports the last spans"]
pub struct Traces {
    #[cfg(feature = "otel")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Traces {
    /// Exports the remaining spans.
    #[cfg_attr(
        not(feature = "otel"),
        expect(clippy::unused_async, reason = "it waits where there are traces")
    )]
    pub async fn close(self) {
        #[cfg(feature = "otel")]
        if let Some(provider) = self.provider {
            // The exporter's thread needs the runtime, so a runtime thread must not block on it.
            let flushed = tokio::task::spawn_blocking(move || otlp::flush(&provider)).await;
            if let Err(error) = flushed {
                tracing::warn!(%error, "the last spans were not exported");
            }
        }
    }
}

/// Installs the subscriber of the process, with the log only.
pub fn init(config: &LogConfig) -> Result<LogHandle, LogError> {
    let (lines, handle) = lines(config, BoxMakeWriter::new(std::io::stderr))?;
    install(vec![lines])?;
    Ok(handle)
}

/// The log and the traces of the daemon.
#[derive(Debug)]
pub struct Telemetry {
    /// Changes the level.
    pub log: LogHandle,
    /// Dropping it writes the last lines of the log.
    pub lines: Collected,
    /// The export of spans.
    pub traces: Traces,
}

/// Installs the subscriber of the daemon: the log, whose lines are collected, and the configured export of
/// spans. Call it within the runtime.
pub fn init_for_daemon(
    log: &LogConfig,
    telemetry: &TelemetryConfig,
) -> Result<Telemetry, TelemetryError> {
    let collected = buffer::collect(Box::new(std::io::stderr()));
    let (writer, collected) = collected.map_err(TelemetryError::Thread)?;
    let (lines, handle) = lines(log, BoxMakeWriter::new(writer))?;
    let mut layers = vec![lines];
    let traces = match &telemetry.otlp_endpoint {
        None => Traces::default(),
        Some(endpoint) => traced(&mut layers, telemetry, endpoint)?,
    };
    install(layers)?;
    Ok(Telemetry {
        log: handle,
        lines: collected,
        traces,
    })
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
        // On a terminal the layer decides about colours itself: it respects NO_COLOR.
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
            ("info", "warn,rustls=error,serval_connect=info"),
            (" DEBUG ", "warn,rustls=error,serval_connect=debug"),
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
