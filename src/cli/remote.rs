//! The running daemon's listeners, as a command on the same machine reaches them.
//!
//! Invariant: the token goes to the address of `admin.listen` and nowhere else, and is never shown.

use std::error::Error as _;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Client, RequestBuilder, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::Failure;
use super::backend::Call;
use crate::config::AdminConfig;
use crate::domain::token;
use crate::http::Pieces;
use crate::outbound::{self, Limits};
use crate::tls;

/// The daemon is on this machine: it answers a probe at once, or not at all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// For a whole call; a replay of very many events takes its time.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// For a whole file, which may come from a program that takes its time.
const TRANSFER_TIMEOUT: Duration = Duration::from_hours(1);

/// The admin API of a running daemon.
pub(super) struct Remote {
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({self})")
    }
}

/// Its URL, without the path.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

impl Remote {
    /// The API at `admin.listen`, with the first of `admin.tokens`.
    pub(super) fn new(admin: &AdminConfig) -> Result<Self, Failure> {
        let authorization = admin
            .tokens
            .first()
            .map(|entry| {
                let entry = entry.expose_secret();
                let token = token::split(entry).map_or(entry, |split| split.token);
                HeaderValue::try_from(format!("Bearer {token}"))
            })
            .transpose()
            .map_err(|_| {
                let what = "admin.tokens: the first token cannot stand in a header";
                Failure::Usage(what.to_owned())
            })?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        Ok(Self {
            client: own_client(CALL_TIMEOUT, "admin", admin.tls_cert_file.as_deref())?,
            base: url_of(admin.listen, "admin.listen", admin.tls_cert_file.is_some())?,
            authorization,
        })
    }

    /// Whether a daemon answers there; the text says why not.
    pub(super) async fn probe(&self) -> Result<(), String> {
        let url = self.base.join("healthz").expect("it is a path");
        probe(&self.client, url).await
    }

    /// Makes a call.
    pub(super) async fn call(&self, call: &Call) -> Result<(StatusCode, Value), Failure> {
        let mut request = self.request(call);
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.failed(&error))?;
        if body.is_empty() {
            return Ok((status, Value::Null));
        }
        let body = serde_json::from_slice(&body).map_err(|_| {
            Failure::Failed(anyhow::anyhow!(
                "what answers at {self} is not serval-connect's admin API; look at admin.listen"
            ))
        })?;
        Ok((status, body))
    }

    /// Makes a call with bodies that are too large to be held.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        content_type: &str,
        body: Pieces,
    ) -> Result<(StatusCode, Pieces), Failure> {
        let request = self
            .request(call)
            .timeout(TRANSFER_TIMEOUT)
            .header(CONTENT_TYPE, content_type)
            .body(Body::wrap_stream(body));
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        let why = |error: reqwest::Error| innermost(&error).into();
        Ok((status, response.bytes_stream().map_err(why).boxed()))
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let request = self
            .client
            .request(call.method.clone(), call.url(&self.base));
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        }
    }

    fn failed(&self, error: &reqwest::Error) -> Failure {
        let why = innermost(error);
        Failure::Failed(anyhow::anyhow!(
            "the daemon's admin API at {self} did not answer ({why}); it may have done it all the \
             same"
        ))
    }
}

/// A client for a listener of our own daemon: no proxy, and no certificate but the one in the file of
/// `[section]`.
pub(super) fn own_client(
    timeout: Duration,
    section: &str,
    cert: Option<&Path>,
) -> Result<Client, Failure> {
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

/// A client for probes of our own daemon, which tell it nothing: any certificate will do.
pub(super) fn probing_client(timeout: Duration) -> Result<Client, Failure> {
    trusting(timeout, tls::Own::Any)
}

fn trusting(timeout: Duration, own: tls::Own) -> Result<Client, Failure> {
    outbound::client_trusting(limits(timeout, true), own.client_config())
        .map_err(|error| Failure::Failed(error.into()))
}

/// Asks for a health page; the text says what came instead of 2xx.
pub(super) async fn probe(client: &Client, url: Url) -> Result<(), String> {
    let request = client.get(url).timeout(PROBE_TIMEOUT);
    match request.send().await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("it answers {}", response.status())),
        Err(error) => Err(innermost(&error)),
    }
}

/// A client with a limit for whole exchanges.
pub(super) fn client(timeout: Duration, is_local: bool) -> Result<Client, Failure> {
    outbound::install_tls_provider();
    outbound::client(limits(timeout, is_local)).map_err(|error| Failure::Failed(error.into()))
}

fn limits(timeout: Duration, is_local: bool) -> Limits {
    Limits {
        connect_timeout: PROBE_TIMEOUT,
        timeout,
        idle_connections: 1,
        is_local,
    }
}

/// Where a listener of this machine is reached: an address that stands for all stands for loopback.
pub(super) fn url_of(listen: SocketAddr, key: &str, is_tls: bool) -> Result<Url, Failure> {
    if listen.port() == 0 {
        return Err(Failure::Usage(format!(
            "{key} has port 0, so nobody can tell where the daemon listens: give it a port"
        )));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    let addr = SocketAddr::new(ip, listen.port());
    let scheme = if is_tls { "https" } else { "http" };
    Ok(Url::parse(&format!("{scheme}://{addr}")).expect("an address and a port make a URL"))
}

/// The cause that a person can do something about: `Connection refused`, not `error sending request`.
fn innermost(error: &reqwest::Error) -> String {
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
    use crate::config::{Config, Environment};

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

    #[test]
    fn a_token_is_not_shown() {
        let defaults = Config::load(&[], &Environment::default()).unwrap().config;
        let admin = AdminConfig {
            tokens: vec!["s3cret".to_owned().into()],
            ..defaults.admin
        };
        let remote = Remote::new(&admin).unwrap();
        assert_eq!(format!("{remote:?}"), "Remote(http://127.0.0.1:8081)");
    }
}
