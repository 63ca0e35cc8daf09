//! The settings of the daemon as typed values, one struct for each section.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::domain::ids::SourceName;
use crate::edge::telemetry::{LogConfig, TelemetryConfig};
use crate::edge::units;
use crate::sources::{Kinds, SourceConfig};

/// The effective configuration of a daemon.
#[derive(Debug, Clone, Deserialize)]
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
    #[serde(skip)]
    pub sources: BTreeMap<SourceName, SourceConfig>,
    /// The kinds that a source may have.
    #[serde(skip)]
    pub kinds: Kinds,
    /// All secrets of all sections and sources.
    #[serde(skip)]
    pub secrets: Vec<SecretString>,
    /// Hash of what has to be the same on every replica.
    #[serde(skip)]
    pub hash: String,
}

/// `[server]`: the listener that faces the senders.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address for webhooks.
    pub listen: SocketAddr,
    /// Certificate of the listener with its chain, in PEM; `None`: no TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Largest accepted body, in bytes.
    #[serde(deserialize_with = "units::size")]
    pub body_limit: usize,
    /// Memory that all bodies together may take, in bytes.
    #[serde(deserialize_with = "units::size")]
    pub memory_for_bodies: usize,
    /// Time limit for the TLS handshake, again for the headers of a request, and again for its body.
    #[serde(deserialize_with = "units::duration")]
    pub read_timeout: Duration,
    /// Time limit for the wait between two requests on one connection.
    #[serde(deserialize_with = "units::duration")]
    pub keep_alive: Duration,
    /// Connection limit.
    pub connection_limit: usize,
    /// Limit of webhooks that are handled at the same time.
    pub request_limit: usize,
    /// Time limit of a soft stop; after it, calls in flight are dropped and their claims end.
    #[serde(deserialize_with = "units::duration")]
    pub shutdown_timeout: Duration,
}

/// `[admin]`: the listener for operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Address of the admin API and the console.
    pub listen: SocketAddr,
    /// Certificate of the listener with its chain, in PEM; `None`: no TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Bearer tokens with all rights.
    pub tokens: Vec<SecretString>,
    /// Bearer tokens that may only read and write mappings.
    pub mapping_tokens: Vec<SecretString>,
    /// Bearer tokens that may only read.
    pub read_only_tokens: Vec<SecretString>,
    /// True if the console and the API show bodies of webhooks.
    pub show_payloads: bool,
    /// Connection limit.
    pub connection_limit: usize,
    /// Limit of API calls that are handled at the same time.
    pub request_limit: usize,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://path`, a missing file is created, with its folder; or `postgres://…`.
    pub url: SecretString,
    /// File with the password for a server, read for each connection.
    pub password_file: Option<PathBuf>,
    /// URL of the server itself, if that of the database is a pooler's.
    pub direct_url: Option<SecretString>,
    /// True if a start brings the schema on a server up to date.
    pub migrate: bool,
    /// Time without a sign of life after which a replica counts as dead; `None`: the database is a file.
    #[serde(default, deserialize_with = "units::optional_duration")]
    pub replica_dead_after: Option<Duration>,
}

/// `[serval]`: the account at Serval.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServalConfig {
    /// Serval's public API, without a trailing slash.
    pub base_url: String,
    /// OAuth client id.
    pub client_id: Option<String>,
    /// OAuth client secret.
    pub client_secret: Option<SecretString>,
    /// Token in place of client credentials; this program does not renew it.
    pub bearer_token: Option<SecretString>,
    /// Time limit to open a connection.
    #[serde(deserialize_with = "units::duration")]
    pub connect_timeout: Duration,
    /// Time limit of one request.
    #[serde(deserialize_with = "units::duration")]
    pub timeout: Duration,
}

/// `[delivery]`: how calls to Serval are paced and retried.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Number of call slots.
    pub concurrency: usize,
    /// Connects per second; 0: no limit.
    pub rate: u32,
    /// Age at which an event is given up if its calls keep failing.
    #[serde(deserialize_with = "units::duration")]
    pub give_up_after: Duration,
    /// Failures in a row, over different external tickets, that open the circuit breaker; 0: never.
    pub breaker_threshold: u32,
}

/// `[retention]`: how long finished events are kept after their last change; zero: without end.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// Retention of bodies.
    #[serde(deserialize_with = "units::duration")]
    pub payloads: Duration,
    /// Retention of events, with their attempts and history.
    #[serde(deserialize_with = "units::duration")]
    pub events: Duration,
}
