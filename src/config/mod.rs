//! The configuration: its layers, its checks, and the one place that reads the environment.
//!
//! Built-in defaults < `config/default.toml` (embedded) < `--config` files < the environment: first
//! Serval's own names, then `SERVAL_CONNECT__SECTION__KEY`.
//!
//! Invariant: errors, reports and `Debug` name keys and where they were set. No error holds a value,
//! and nothing holds a secret.

mod alone;
mod env;
mod keys;
mod layers;
mod load;
mod merge;
mod reload;
mod report;
mod shapes;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::domain::ids::SourceName;
use crate::sources::SourceConfig;
use crate::units;

pub use alone::Alone;
pub use env::Environment;
pub use layers::Origin;
pub use load::{ConfigError, Loaded};
pub use reload::Changes;
pub use report::{Report, report};

/// The effective configuration of a daemon.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[serval]`
    pub serval: ServalConfig,
    /// `[delivery]`
    pub delivery: DeliveryConfig,
    /// `[retention]`
    pub retention: RetentionConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[sources.<name>]`
    pub sources: BTreeMap<SourceName, SourceConfig>,
}

/// `[server]`: the listener that faces the senders.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where webhooks arrive.
    pub listen: SocketAddr,
    /// The certificate that the listener shows, with its chain, in PEM; `None`: no TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// The largest body, in bytes.
    #[serde(deserialize_with = "units::size")]
    pub body_limit: usize,
    /// How long a sender may take for its headers, and again for its body.
    #[serde(deserialize_with = "units::duration")]
    pub read_timeout: Duration,
    /// Connections at once.
    pub connection_limit: usize,
    /// Webhooks at once.
    pub request_limit: usize,
    /// How long a shutdown may take before what is in flight is handed back.
    #[serde(deserialize_with = "units::duration")]
    pub shutdown_timeout: Duration,
}

/// `[admin]`: the listener for operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Where the admin API is served.
    pub listen: SocketAddr,
    /// The certificate that the listener shows, with its chain, in PEM; `None`: no TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Bearer tokens that may do all.
    pub tokens: Vec<SecretString>,
    /// Bearer tokens that may only read and write mappings.
    pub mapping_tokens: Vec<SecretString>,
    /// Bearer tokens that may only look.
    pub read_only_tokens: Vec<SecretString>,
    /// Whether the console and the API show bodies of webhooks.
    pub show_payloads: bool,
    /// Connections at once.
    pub connection_limit: usize,
    /// Calls of the API at once.
    pub request_limit: usize,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://path`; created with its folder when missing.
    pub url: String,
}

/// `[serval]`: the account at Serval.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServalConfig {
    /// Serval's public API, without a trailing slash.
    pub base_url: String,
    /// OAuth client credentials.
    pub client_id: Option<String>,
    /// OAuth client credentials.
    pub client_secret: Option<SecretString>,
    /// Instead of client credentials: a token that somebody else keeps fresh.
    pub bearer_token: Option<SecretString>,
    /// To open a connection.
    #[serde(deserialize_with = "units::duration")]
    pub connect_timeout: Duration,
    /// For a whole call.
    #[serde(deserialize_with = "units::duration")]
    pub timeout: Duration,
}

/// `[delivery]`: pace and patience toward Serval.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Calls to Serval in flight.
    pub concurrency: usize,
    /// Connects per second; 0: no limit.
    pub rate: u32,
    /// How old an event may grow in a lasting fault before it is given up.
    #[serde(deserialize_with = "units::duration")]
    pub give_up_after: Duration,
    /// Failures in a row, over different external tickets, that count as an outage; 0: never.
    pub breaker_threshold: u32,
}

/// `[retention]`: how long finished events are kept after their last change; zero: for ever.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// Their bodies.
    #[serde(deserialize_with = "units::duration")]
    pub payloads: Duration,
    /// The events themselves, with their calls and history.
    #[serde(deserialize_with = "units::duration")]
    pub events: Duration,
}

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
    /// because at `debug` they drown us.
    pub fn directives(&self) -> String {
        let level = self.level.trim().to_ascii_lowercase();
        match level.as_str() {
            "off" | "error" => level,
            "warn" | "info" | "debug" | "trace" => format!("warn,serval_connect={level}"),
            _ => self.level.clone(),
        }
    }
}

/// `[telemetry]`: where spans go, and on request the metrics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// A collector that takes OTLP over HTTP; `None`: nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector, each `name=value`.
    pub otlp_headers: Vec<SecretString>,
    /// Whether the collector gets the metrics, too.
    pub otlp_metrics: bool,
    /// How often it gets them.
    #[serde(deserialize_with = "units::duration")]
    pub otlp_metrics_interval: Duration,
    /// What spans and metrics say who made them.
    pub service_name: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
