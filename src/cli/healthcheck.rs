//! `healthcheck`: asks the running daemon whether it is alive, for a container's HEALTHCHECK.
//!
//! Invariant: only `server.listen` matters to it; no other fault of the configuration makes a
//! daemon that runs look dead.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

use super::{Failure, Global, Outcome, output, remote};
use crate::config::{Config, Environment};
use crate::outbound;

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Where the daemon listens when nothing says otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Asks there instead of at `server.listen`; without a path, at /healthz
    #[arg(long)]
    url: Option<Url>,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let (url, client) = match args.url {
        Some(url) => {
            let url = given(url)?;
            let is_local = outbound::is_local(url.as_str());
            (url, remote::client(TIMEOUT, is_local)?)
        }
        // It may show a certificate that is older than its file; that is no sign of death.
        None => (configured(global)?, remote::probing_client(TIMEOUT)?),
    };
    match remote::probe(&client, url.clone()).await {
        Ok(()) => {
            output::line(format_args!("healthy: {url}"));
            Ok(())
        }
        Err(why) => Err(Failure::Failed(anyhow::anyhow!(
            "not healthy: {url}: {why}"
        ))),
    }
}

fn given(mut url: Url) -> Result<Url, Failure> {
    if !matches!(url.scheme(), "http" | "https") {
        let what = "--url: expected a URL that begins with http:// or https://";
        return Err(Failure::Usage(what.to_owned()));
    }
    if url.path() == "/" {
        url.set_path("/healthz");
    }
    Ok(url)
}

fn configured(global: &Global) -> Result<Url, Failure> {
    let (listen, is_tls) = match Config::load_server(&global.files, &Environment::from_process()) {
        Ok(server) => {
            for warning in &server.warnings {
                output::warn(warning);
            }
            (
                server.section.listen,
                server.section.tls_cert_file.is_some(),
            )
        }
        Err(error) => {
            for problem in &error.problems {
                output::warn(problem);
            }
            output::warn(format_args!(
                "server.listen cannot be read; asking at the default, {DEFAULT_LISTEN}"
            ));
            (DEFAULT_LISTEN, false)
        }
    };
    let base = remote::url_of(listen, "server.listen", is_tls)?;
    Ok(base.join("healthz").expect("it is a path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_means_healthz() {
        for (url, expected) in [
            ("http://h:1", Some("http://h:1/healthz")),
            ("https://h/", Some("https://h/healthz")),
            ("http://h/readyz", Some("http://h/readyz")),
            ("ftp://h/", None),
        ] {
            let read = given(Url::parse(url).unwrap()).ok();
            assert_eq!(read.as_ref().map(Url::as_str), expected, "{url}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_configuration() {
        let server = Config::load_server(&[], &Environment::default()).unwrap();
        assert_eq!(server.section.listen, DEFAULT_LISTEN);
    }
}
