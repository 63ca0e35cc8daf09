//! The installation as a sender sees it, and our clock as Serval's.

use std::time::Duration;

use http::HeaderMap;
use http::header::DATE;
use jiff::Timestamp;
use reqwest::{Response, Url};

use super::findings::{Finding, Findings, State};
use crate::config::Config;
use crate::edge::clock::{Clock as _, SystemClock};
use crate::edge::{outbound, tls};
use crate::rehearsal::probe;
use crate::terminal::{Failure, daemon};

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A difference of the clocks that is looked at, in seconds.
const DOUBTFUL: i64 = 10;
/// A difference with which signatures are refused, in seconds.
const WRONG: i64 = 60;
/// A certificate that ends sooner is looked at, in days.
const SOON: i64 = 21;

/// Compares our clock with the `Date` of Serval.
pub(super) async fn clock(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let url = &config.serval.base_url;
    let client = daemon::client(TIMEOUT, outbound::is_local(url))?;
    let finding = match client.get(url).send().await {
        Ok(response) => judge_clock(response.headers(), SystemClock.now()),
        Err(error) => {
            let detail = format!("Serval does not answer ({})", daemon::innermost(&error));
            Finding::new("clock", State::Unknown, detail)
        }
    };
    findings.add(finding);
    Ok(())
}

fn judge_clock(headers: &HeaderMap, now: Timestamp) -> Finding {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let Some(date) = date else {
        return Finding::new("clock", State::Unknown, "Serval's answer has no date");
    };
    let off = now.as_second() - date.timestamp().as_second();
    let word = if off < 0 { "behind" } else { "ahead of" };
    let detail = format!("{} s {word} Serval's", off.abs());
    if off.abs() <= DOUBTFUL {
        return Finding::new("clock", State::Ok, detail);
    }
    let state = if off.abs() <= WRONG {
        State::Warning
    } else {
        State::Failed
    };
    Finding::new("clock", state, detail)
        .remedy("set the clock of this machine by NTP: signed webhooks are refused by a wrong one")
}

/// Asks for the health page at the public URL, and looks at its certificate.
pub(super) async fn reach(url: &Url, findings: &mut Findings) -> Result<(), Failure> {
    let is_local = outbound::is_local(url.as_str());
    let client = outbound::client_with_certificates(daemon::limits(TIMEOUT, is_local));
    let client = client.map_err(|error| Failure::Failed(error.into()))?;
    match client.get(below(url, &["healthz"])).send().await {
        Err(error) => findings.add(
            Finding::new("public URL", State::Failed, daemon::innermost(&error)).remedy(
                "name resolution, firewall, certificate, and the proxy before server.listen",
            ),
        ),
        Ok(response) => {
            findings.add(certificate(url, &response, SystemClock.now()));
            findings.add(health(response.status().as_u16()));
        }
    }
    Ok(())
}

fn health(status: u16) -> Finding {
    let detail = format!("/healthz is answered {status}");
    if status == 200 {
        return Finding::new("public URL", State::Ok, detail);
    }
    // A proxy may pass on nothing but the webhooks.
    Finding::new("public URL", State::Warning, detail)
        .remedy("let the proxy pass /healthz and /webhooks on to server.listen")
}

fn certificate(url: &Url, response: &Response, now: Timestamp) -> Finding {
    if url.scheme() != "https" {
        return Finding::new("TLS", State::Warning, "the URL is not https")
            .remedy("put a proxy with TLS in front, or set server.tls_cert_file");
    }
    let info = response.extensions().get::<reqwest::tls::TlsInfo>();
    let end = info.and_then(|info| tls::end_of(info.peer_certificate()?));
    let Some(end) = end else {
        return Finding::new("TLS", State::Unknown, "the certificate cannot be read");
    };
    let days = (end.as_second() - now.as_second()) / 86_400;
    let detail = format!("the certificate is trusted, and ends in {days} days");
    if days < SOON {
        return Finding::new("TLS", State::Warning, detail).remedy("renew the certificate");
    }
    Finding::new("TLS", State::Ok, detail)
}

/// Sends a webhook without an event under each secret of each source.
pub(super) async fn signatures(
    config: &Config,
    base: &Url,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let client = if base.scheme() == "https" && daemon::is_loopback(base) {
        daemon::own_client(TIMEOUT, "server", config.server.tls_cert_file.as_deref())?
    } else {
        daemon::client(TIMEOUT, outbound::is_local(base.as_str()))?
    };
    for (name, source) in &config.sources {
        let url = below(base, &["webhooks", name.as_str()]);
        for probe in probe::of(source)? {
            let check = format!("signature of {name}, {}", probe.key);
            let request = client.post(url.clone()).headers(probe.headers);
            let finding = match request.body(probe.body).send().await {
                Ok(response) if response.status().is_success() => Finding::new(
                    check,
                    State::Ok,
                    "the daemon accepts it, and stores nothing",
                ),
                Ok(response) => {
                    let detail = format!("the daemon answers {}", response.status());
                    Finding::new(check, State::Failed, detail).remedy(
                        "reload the daemon if the secret is new; compare the clocks; see its log",
                    )
                }
                Err(error) => {
                    let detail = format!("no answer ({})", daemon::innermost(&error));
                    Finding::new(check, State::Failed, detail)
                        .remedy("is this the URL that leads to server.listen?")
                }
            };
            findings.add(finding);
        }
    }
    Ok(())
}

fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_by_the_second() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (date, expected) in [
            ("Sun, 01 Mar 2026 12:00:05 GMT", "Ok"),
            ("Sun, 01 Mar 2026 11:59:20 GMT", "Warning"),
            ("Sun, 01 Mar 2026 12:05:00 GMT", "Failed"),
            ("yesterday", "Unknown"),
        ] {
            let headers = HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
            let shown = format!("{:?}", judge_clock(&headers, now));
            assert!(shown.contains(&format!("state: {expected}")), "{shown}");
        }
    }

    #[test]
    fn a_path_is_added_to_the_public_url() {
        for (base, expected) in [
            ("https://h", "https://h/webhooks/a"),
            ("https://h/", "https://h/webhooks/a"),
            ("https://h/connect/", "https://h/connect/webhooks/a"),
        ] {
            let url = below(&Url::parse(base).unwrap(), &["webhooks", "a"]);
            assert_eq!(url.as_str(), expected);
        }
    }
}
