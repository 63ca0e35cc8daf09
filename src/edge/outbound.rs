//! Builds HTTP clients, and is the only place that does: with timeouts, without redirects, without
//! hidden retries, TLS by rustls.

use std::time::Duration;

/// Header of the webhooks that `check` sends: they are no sign of life of a sender.
pub const CHECK: &str = "x-serval-connect-check";

/// Limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time limit to open a connection.
    pub connect_timeout: Duration,
    /// Time limit for a whole request, body of the answer included.
    pub timeout: Duration,
    /// Idle connections kept per host.
    pub idle_connections: usize,
    /// The peer is on this machine: no proxy, and no certificate authorities.
    pub is_local: bool,
}

/// True if `url` names this machine over plain HTTP.
pub fn is_local(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
        url.scheme() == "http" && (host == "localhost" || is_loopback)
    })
}

/// Builds a client. It follows no redirect, since a credential must not go to another host. It never
/// retries by itself, since every try is counted.
pub fn client(limits: Limits) -> reqwest::Result<reqwest::Client> {
    let builder = builder(limits);
    let builder = if limits.is_local {
        builder.tls_certs_only([])
    } else {
        builder
    };
    builder.build()
}

/// Builds a client that keeps the certificate of the peer with each answer.
pub fn client_with_certificates(limits: Limits) -> reqwest::Result<reqwest::Client> {
    builder(limits).tls_info(true).build()
}

/// Builds a client that trusts the certificates of `tls` instead of the system's authorities.
pub fn client_trusting(
    limits: Limits,
    tls: rustls::ClientConfig,
) -> reqwest::Result<reqwest::Client> {
    builder(limits).tls_backend_preconfigured(tls).build()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds clients"
)]
fn builder(limits: Limits) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    let builder = if limits.is_local {
        builder.no_proxy()
    } else {
        builder
    };
    builder
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.timeout)
        .pool_max_idle_per_host(limits.idle_connections)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("serval-connect/", env!("CARGO_PKG_VERSION")))
}

/// Installs ring as the TLS provider of the process. Call it at the start; a second call has no effect.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, which is what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
}
