//! The part of `check --online` that looks at a running installation: as a sender would, as Serval would, and at the
//! daemon itself.
//!
//! Invariant: it changes nothing. A webhook that it sends is verified and answered, and holds no event.

pub(super) mod findings;
mod inside;
mod outside;

use reqwest::Url;

use self::findings::{Finding, Findings, State};
use super::backend;
use crate::config::Config;
use crate::terminal::{Failure, daemon};

/// Looks at the daemon that this configuration belongs to, if it runs.
pub(super) async fn look(
    config: &Config,
    url: Option<Url>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    outside::clock(config, findings).await?;
    if !backend::answers(config).await {
        let detail = format!("none answers at admin.listen ({})", config.admin.listen);
        findings.add(
            Finding::new("daemon", State::Unknown, detail).remedy(
                "start it with `serve`, and check again: it is looked at from outside, too",
            ),
        );
        return Ok(());
    }
    inside::look(config, findings).await?;
    let base = if let Some(url) = url {
        outside::reach(&url, findings).await?;
        url
    } else {
        let detail = "not named, so only the listener itself is asked";
        findings.add(
            Finding::new("public URL", State::Unknown, detail)
                .remedy("give the URL that the senders use, with --url"),
        );
        let is_tls = config.server.tls_cert_file.is_some();
        daemon::url_of(config.server.listen, "server.listen", is_tls)?
    };
    outside::signatures(config, &base, findings).await
}
