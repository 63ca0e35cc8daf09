//! Reads `[serval]`: the address of Serval, and the credentials.

use std::sync::Arc;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::auth::Tokens;
use super::exchange::Exchange;
use super::route::route;
use super::token::Token;
use crate::config::ServalConfig;

/// Error in `[serval]`; names the key and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum InvalidServalConfig {
    /// A value is missing or cannot be used.
    #[error("{key}: {problem}")]
    Key {
        /// The key, such as `serval.base_url`.
        key: &'static str,
        /// The problem, without the value of a secret.
        problem: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client for Serval")]
    Client(#[source] reqwest::Error),
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
    // A URL is printed in logs and by `check`, so it must hold no secret.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "must hold no user and no password; use serval.client_id and serval.client_secret"
                .to_owned(),
        ));
    }
    // The paths of the calls are appended to this URL, which is impossible behind a query.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must end with the path: no ? and no #".to_owned()));
    }
    Ok(url)
}

/// The secrets that an answer may repeat. Client credentials are sent as a pair.
pub(super) fn secrets(config: &ServalConfig) -> Vec<SecretString> {
    let ServalConfig {
        client_id,
        client_secret,
        bearer_token,
        ..
    } = config;
    let pair = client_id.as_ref().zip(client_secret.as_ref());
    let pair = pair.map(|(id, secret)| format!("{id}:{}", secret.expose_secret()).into());
    let single = [client_secret, bearer_token].into_iter().flatten().cloned();
    single.chain(pair).collect()
}

pub(super) fn tokens(
    config: &ServalConfig,
    base: &Url,
    exchange: &Exchange,
) -> Result<Tokens, InvalidServalConfig> {
    let invalid = |key: &'static str, problem: &str| {
        let problem = problem.to_owned();
        Err(InvalidServalConfig::Key { key, problem })
    };
    let has_text = |secret: &&SecretString| !secret.expose_secret().is_empty();
    let id = config.client_id.as_deref().filter(|id| !id.is_empty());
    let secret = config.client_secret.as_ref().filter(has_text);
    match (id, secret, config.bearer_token.as_ref().filter(has_text)) {
        // HTTP Basic ends the id at its first colon.
        (Some(id), Some(_), _) if id.contains(':') => {
            invalid("serval.client_id", "must hold no colon")
        }
        (Some(id), Some(secret), _) => Ok(Tokens::client_credentials(
            exchange.clone(),
            route(base, "auth/token", &[]),
            id.to_owned(),
            secret.clone(),
        )),
        (_, _, Some(bearer)) => match Token::parse(bearer, 0) {
            Some(token) => Ok(Tokens::Fixed(Arc::new(token))),
            None => invalid(
                "serval.bearer_token",
                "cannot be sent in a header; is it cut or wrapped?",
            ),
        },
        (Some(_), None, None) => invalid(
            "serval.client_secret",
            "is missing, as there is a client_id",
        ),
        (None, Some(_), None) => invalid(
            "serval.client_id",
            "is missing, as there is a client_secret",
        ),
        (None, None, None) => invalid(
            "serval.client_id",
            "no credentials: set serval.client_id and serval.client_secret, or serval.bearer_token",
        ),
    }
}
