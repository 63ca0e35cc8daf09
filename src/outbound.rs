//! The one place that builds an HTTP client: timeouts, no redirects, no silent repeats, TLS by rustls.

use std::time::Duration;

/// Limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To open a connection.
    pub connect_timeout: Duration,
    /// For a whole exchange, answer body included.
    pub timeout: Duration,
    /// Idle connections kept per host.
    pub idle_connections: usize,
}

/// Builds a client. It follows no redirect (a credential must not wander) and repeats nothing by
/// itself (every try is ours to count).
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds clients"
)]
pub fn client(limits: Limits) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.timeout)
        .pool_max_idle_per_host(limits.idle_connections)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("serval-connect/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Chooses ring as the TLS provider of the process. Call it first thing; calling it again is harmless.
pub fn install_tls_provider() {
    // An error says that a provider is installed already, which is what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
}
