//! The admin API of a running daemon on this machine.
//!
//! Invariant: the token goes to the address of `admin.listen` and nowhere else, and is never shown.

use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Client, Url};
use secrecy::ExposeSecret as _;

use super::call::Call;
use crate::config::AdminConfig;
use crate::domain::token;
use crate::terminal::Failure;
use crate::terminal::daemon::{PROBE_TIMEOUT, innermost, own_client, probe, url_of};
use crate::web::Pieces;

/// The admin API of a running daemon.
pub(crate) struct Remote {
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({self})")
    }
}

/// Shows the URL without the path.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

impl Remote {
    /// The API at `admin.listen`, with the first of `admin.tokens`.
    pub(super) fn new(admin: &AdminConfig) -> Result<Self, Failure> {
        // Without tokens the listener is open to this machine, and needs no header.
        let authorization = match admin.tokens.first() {
            None => None,
            Some(entry) => {
                let entry = entry.expose_secret();
                let token = token::split(entry).map_or(entry, |split| split.token);
                let value = HeaderValue::try_from(format!("Bearer {token}"));
                let mut value = value.map_err(|_| {
                    let what = "admin.tokens: the first token cannot be sent in a header";
                    Failure::Usage(what.to_owned())
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            client: own_client(PROBE_TIMEOUT, "admin", admin.tls_cert_file.as_deref())?,
            base: url_of(admin.listen, "admin.listen", admin.tls_cert_file.is_some())?,
            authorization,
        })
    }

    /// Asks whether a daemon answers. The error is the reason why not.
    pub(super) async fn probe(&self) -> Result<(), String> {
        let url = self.base.join("healthz").expect("it is a path");
        probe(&self.client, url).await
    }

    /// Makes a call. Neither the body nor the answer is held in memory.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        body: Pieces,
    ) -> Result<(StatusCode, Pieces), Failure> {
        let mut request = self
            .client
            .request(call.method.clone(), call.url(&self.base))
            .timeout(call.timeout)
            .header(CONTENT_TYPE, call.content_type)
            .body(Body::wrap_stream(body));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        // The outer errors of the HTTP library repeat the URL and say little. The innermost one has
        // the cause.
        let why = |error: reqwest::Error| innermost(&error).into();
        Ok((status, response.bytes_stream().map_err(why).boxed()))
    }

    fn failed(&self, error: &reqwest::Error) -> Failure {
        let why = innermost(error);
        Failure::failed(format_args!(
            "the daemon's admin API at {self} did not answer ({why}); it may have carried out the \
             request all the same"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

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
