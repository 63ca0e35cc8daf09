//! The sections `[log]` and `[telemetry]` of the configuration.

use secrecy::SecretString;
use serde::Deserialize;

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// A level (`info`) or a filter (`serval_connect=debug,info`).
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl LogConfig {
    /// The level as filter directives. A plain level is ours alone: others speak up from `warn`,
    /// because at `debug` they drown us. `rustls` warns of every stranger whose handshake fails, which the
    /// listeners log themselves, in few lines.
    pub fn directives(&self) -> String {
        let level = self.level.trim().to_ascii_lowercase();
        match level.as_str() {
            "off" | "error" => level,
            "warn" | "info" | "debug" | "trace" => {
                format!("warn,rustls=error,serval_connect={level}")
            }
            _ => self.level.clone(),
        }
    }
}

/// `[telemetry]`: where spans go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// URL of a collector that accepts OTLP over HTTP; `None`: nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector, each `name=value`.
    pub otlp_headers: Vec<SecretString>,
    /// Name of the service that spans carry.
    pub service_name: String,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
