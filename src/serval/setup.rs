//! Reads `[serval]`: where Serval is, and with what credentials.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::auth::Tokens;
use super::exchange::Exchange;
use super::token::Token;
use crate::config::ServalConfig;

/// Why a client cannot be built from `[serval]`; names the key and what to do.
#[derive(Debug, thiserror::Error)]
pub enum InvalidServalConfig {
    /// A value is missing or cannot be used.
    #[error("{key}: {problem}")]
    Key {
        /// The key, such as `serval.base_url`.
        key: &'static str,
        /// What is wrong, without the value of a secret.
        problem: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client for Serval")]
    Client(#[source] reqwest::Error),
}

/// `{base}/v2/{segments}`, each segment percent-encoded.
pub(super) fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("an http URL has a path")
        .pop_if_empty()
        .push("v2")
        .extend(segments);
    url
}

pub(super) fn base_url(text: &str) -> Result<Url, InvalidServalConfig> {
    let invalid = |problem: String| InvalidServalConfig::Key {
        key: "serval.base_url",
        problem,
    };
    let url = Url::parse(text.trim()).map_err(|error| invalid(format!("not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("must begin with https:// or http://".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "must hold no user and no password; use serval.client_id and serval.client_secret"
                .to_owned(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must end with the path: no ? and no #".to_owned()));
    }
    Ok(url)
}

pub(super) fn tokens(
    config: &ServalConfig,
    base: &Url,
    exchange: &Exchange,
) -> Result<Tokens, InvalidServalConfig> {
    let missing = |key: &'static str, problem: &str| InvalidServalConfig::Key {
        key,
        problem: problem.to_owned(),
    };
    let has_text = |secret: &&SecretString| !secret.expose_secret().is_empty();
    let id = config.client_id.as_deref().filter(|id| !id.is_empty());
    let secret = config.client_secret.as_ref().filter(has_text);
    match (id, secret, config.bearer_token.as_ref().filter(has_text)) {
        (Some(id), Some(_), _) if id.contains(':') => {
            Err(missing("serval.client_id", "must hold no colon"))
        }
        (Some(id), Some(secret), _) => Ok(Tokens::client_credentials(
            exchange.clone(),
            endpoint(base, &["auth", "token"]),
            id.to_owned(),
            secret.clone(),
        )),
        (_, _, Some(bearer)) => Token::parse(bearer.clone(), 0)
            .map(Tokens::fixed)
            .ok_or_else(|| {
                missing(
                    "serval.bearer_token",
                    "cannot stand in a header; is it cut or wrapped?",
                )
            }),
        (Some(_), None, None) => Err(missing(
            "serval.client_secret",
            "is missing, as there is a client_id",
        )),
        (None, Some(_), None) => Err(missing(
            "serval.client_id",
            "is missing, as there is a client_secret",
        )),
        (None, None, None) => Err(missing(
            "serval.client_id",
            "no credentials: set serval.client_id and serval.client_secret, or serval.bearer_token",
        )),
    }
}
