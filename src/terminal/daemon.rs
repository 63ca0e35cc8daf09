//! Reaches the listeners of our own daemon: their addresses, and clients that trust its certificates.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Url};

use super::Failure;
use crate::edge::outbound::{self, Limits};
use crate::edge::tls;

/// Time limit of a probe. The daemon is on this machine: it answers at once, or not at all.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// A client for a listener of our own daemon: it uses no proxy, and trusts only the certificate in the
/// file of `[section]`.
pub(crate) fn own_client(
    timeout: Duration,
    section: &str,
    cert: Option<&Path>,
) -> Result<Client, Failure> {
    // Without TLS there is no certificate to trust.
    let Some(cert) = cert else {
        return client(timeout, true);
    };
    let own = tls::certificates(cert).map_err(|problem| {
        let file = cert.display();
        Failure::Usage(format!(
            "{section}.tls_cert_file: the file {file} {problem}"
        ))
    })?;
    trusting(timeout, tls::Own::Of(own))
}

/// A client for probes of our own daemon. Probes carry no secret, so any certificate will do.
pub(crate) fn probing_client(timeout: Duration) -> Result<Client, Failure> {
    trusting(timeout, tls::Own::Any)
}

fn trusting(timeout: Duration, own: tls::Own) -> Result<Client, Failure> {
    outbound::client_trusting(limits(timeout, true), own.client_config())
        .map_err(|error| Failure::Failed(error.into()))
}

/// Asks for a health page. The error tells what came instead of a 2xx.
pub(crate) async fn probe(client: &Client, url: Url) -> Result<(), String> {
    let request = client.get(url).timeout(PROBE_TIMEOUT);
    match request.send().await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("it answers {}", response.status())),
        Err(error) => Err(innermost(&error)),
    }
}

/// A client with a time limit for the whole exchange.
pub(crate) fn client(timeout: Duration, is_local: bool) -> Result<Client, Failure> {
    outbound::install_tls_provider();
    outbound::client(limits(timeout, is_local)).map_err(|error| Failure::Failed(error.into()))
}

/// True if the URL names this machine by its address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Limits of a client.
pub(crate) fn limits(timeout: Duration, is_local: bool) -> Limits {
    Limits {
        connect_timeout: PROBE_TIMEOUT,
        timeout,
        idle_connections: 1,
        is_local,
    }
}

/// The URL at which a listener is reached from this machine: loopback for a listener on all addresses.
pub(crate) fn url_of(listen: SocketAddr, key: &str, is_tls: bool) -> Result<Url, Failure> {
    if listen.port() == 0 {
        return Err(Failure::Usage(format!(
            "{key} has port 0, so the daemon chooses a free port that is not known here: configure a port"
        )));
    }
    let addr = reachable(listen);
    let scheme = if is_tls { "https" } else { "http" };
    Ok(Url::parse(&format!("{scheme}://{addr}")).expect("an address and a port make a URL"))
}

/// The address at which a listener is reached from this machine.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    // Nobody can connect to the address that stands for all addresses of a machine.
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The innermost cause, which tells a person what to do: `Connection refused`, not `error sending
/// request`.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }

    #[test]
    fn an_address_that_stands_for_all_is_reached_at_loopback() {
        for (listen, expected) in [
            ("127.0.0.1:8081", Some("http://127.0.0.1:8081/")),
            ("0.0.0.0:8081", Some("http://127.0.0.1:8081/")),
            ("[::]:8081", Some("http://[::1]:8081/")),
            ("10.1.2.3:9", Some("http://10.1.2.3:9/")),
            ("127.0.0.1:0", None),
        ] {
            let url = url_of(listen.parse().unwrap(), "admin.listen", false).ok();
            assert_eq!(url.as_ref().map(Url::as_str), expected, "{listen}");
        }
        let url = url_of("0.0.0.0:8081".parse().unwrap(), "admin.listen", true).unwrap();
        assert_eq!(url.as_str(), "https://127.0.0.1:8081/");
    }
}
