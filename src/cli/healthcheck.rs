//! `healthcheck`: asks the running daemon whether it is alive, for a container's HEALTHCHECK.
//!
//! Invariant: only `server.listen` is read. No other fault of the configuration may make a running
//! daemon look dead.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

use crate::config::{Config, Environment};
use crate::edge::outbound;
use crate::terminal::{Failure, Global, Outcome, daemon, output, web_url};

/// Time limit of the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Default of `server.listen`.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The URL to ask instead of `server.listen`; if it has no path, /healthz is added
    #[arg(long, value_parser = web_url)]
    url: Option<Url>,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let (url, client) = match args.url {
        Some(url) => {
            let url = given(url);
            let is_local = outbound::is_local(url.as_str());
            (url, daemon::client(TIMEOUT, is_local)?)
        }
        // Any certificate will do: the daemon may still use one that is older than the file.
        None => (configured(global)?, daemon::probing_client(TIMEOUT)?),
    };
    match daemon::probe(&client, url.clone()).await {
        Ok(()) => {
            output::line(format_args!("healthy: {url}"));
            Ok(())
        }
        Err(why) => Err(Failure::failed(format_args!("not healthy: {url}: {why}"))),
    }
}

fn given(mut url: Url) -> Url {
    // A path that was given is kept: it may be `/readyz`.
    if url.path() == "/" {
        url.set_path("/healthz");
    }
    url
}

fn configured(global: &Global) -> Result<Url, Failure> {
    let (listen, is_tls) = match Config::load_server(&global.files(), &Environment::from_process())
    {
        Ok(server) => {
            for warning in &server.warnings {
                output::warn(warning);
            }
            (
                server.section.listen,
                server.section.tls_cert_file.is_some(),
            )
        }
        // A configuration that cannot be read is no sign of a dead daemon, so the default is asked.
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
    let base = daemon::url_of(listen, "server.listen", is_tls)?;
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
            ("h:1", None),
        ] {
            let read = web_url(url).ok().map(given);
            assert_eq!(read.as_ref().map(Url::as_str), expected, "{url}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_configuration() {
        let server = Config::load_server(&[], &Environment::default()).unwrap();
        assert_eq!(server.section.listen, DEFAULT_LISTEN);
    }
}
