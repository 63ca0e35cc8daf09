//! The bearer token: fetched once for all callers, renewed before it ends, dropped when refused.
//!
//! Invariant: at most one fetch is in flight, and a failed fetch is not repeated at once, however
//! many callers wait. No token and no secret is ever printed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::error::ServalError;
use super::exchange::{Exchange, MAX_ANSWER};
use super::route::Route;
use super::token::{Token, life};

/// A token is renewed this long before its end, or a fifth of its life before, if that is shorter.
const MARGIN: Duration = Duration::from_secs(30);

/// Time for which a refusal of the credentials is returned without another fetch.
const REFUSAL_REST: Duration = Duration::from_secs(5);

/// Time for which any other failed fetch is returned. Short, because the first retries of a delivery
/// must not be lost to it.
const FAULT_REST: Duration = Duration::from_secs(1);

/// The source of tokens.
#[derive(Debug)]
pub enum Tokens {
    /// A token from the configuration, which others keep valid.
    Fixed(Arc<Token>),
    /// Tokens for client credentials.
    OAuth(Box<OAuth>),
}

/// Fetches tokens for client credentials.
#[derive(Debug)]
pub struct OAuth {
    exchange: Exchange,
    route: Route,
    client_id: String,
    client_secret: SecretString,
    fetches: AtomicU64,
    /// Locked during a fetch.
    fetching: tokio::sync::Mutex<()>,
    /// Never locked across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    failed: Option<(Instant, ServalError)>,
}

#[derive(Debug)]
struct Cached {
    token: Arc<Token>,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    /// A number, or a number as text. Any other value counts as missing.
    #[serde(default)]
    expires_in: Value,
}

impl Tokens {
    /// Tokens for client credentials, from the endpoint at `route`.
    pub(super) fn client_credentials(
        exchange: Exchange,
        route: Route,
        client_id: String,
        client_secret: SecretString,
    ) -> Self {
        Self::OAuth(Box::new(OAuth {
            exchange,
            route,
            client_id,
            client_secret,
            fetches: AtomicU64::new(0),
            fetching: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }))
    }

    /// True if a refused token can be replaced by a new one.
    pub fn renewable(&self) -> bool {
        matches!(self, Self::OAuth(_))
    }

    /// Number of token requests since the start.
    pub fn fetches(&self) -> u64 {
        match self {
            Self::Fixed(_) => 0,
            Self::OAuth(oauth) => oauth.fetches.load(Ordering::Relaxed),
        }
    }

    /// A token that should stay valid for a while.
    pub async fn token(&self) -> Result<Arc<Token>, ServalError> {
        match self {
            Self::Fixed(token) => Ok(Arc::clone(token)),
            Self::OAuth(oauth) => oauth.token().await,
        }
    }

    /// Drops a token that was refused, unless a newer one is cached already.
    pub fn invalidate(&self, token: &Token) {
        if let Self::OAuth(oauth) = self {
            let is_other = |cached: &Cached| cached.token.generation != token.generation;
            let mut state = oauth.state();
            state.cached = state.cached.take().filter(is_other);
        }
    }
}

impl OAuth {
    async fn token(&self) -> Result<Arc<Token>, ServalError> {
        let fresh = || self.cached_before(|cached| cached.renew_at);
        let valid = || self.cached_before(|cached| cached.ends_at);
        if let Some(token) = fresh() {
            return Ok(token);
        }
        let _fetching = match self.fetching.try_lock() {
            Ok(guard) => guard,
            // Another caller renews the token. Until then the cached one serves, if it is valid.
            Err(_) => match valid() {
                Some(token) => return Ok(token),
                None => self.fetching.lock().await,
            },
        };
        // The caller that held the lock before may have got a token, or a failure.
        if let Some(token) = fresh() {
            return Ok(token);
        }
        let outcome = match self.recent_failure() {
            Some(failure) => Err(failure),
            None => self.fetch().await,
        };
        // After a failed renewal the cached token serves until its end.
        outcome.or_else(|failure| valid().ok_or(failure))
    }

    /// The cached token, until the given moment of its life.
    fn cached_before(&self, end: fn(&Cached) -> Instant) -> Option<Arc<Token>> {
        let state = self.state();
        let cached = state.cached.as_ref()?;
        (Instant::now() < end(cached)).then(|| Arc::clone(&cached.token))
    }

    fn recent_failure(&self) -> Option<ServalError> {
        let state = self.state();
        let (at, failure) = state.failed.as_ref()?;
        let rest = if matches!(failure, ServalError::CredentialsRefused(_)) {
            REFUSAL_REST
        } else {
            FAULT_REST
        };
        (at.elapsed() < rest).then(|| failure.clone())
    }

    async fn fetch(&self) -> Result<Arc<Token>, ServalError> {
        let generation = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
        // The life counts from here: the answer may have been on its way for a while.
        let asked_at = Instant::now();
        let outcome = self.request(generation).await;
        let mut state = self.state();
        match outcome {
            Ok((token, life)) => {
                tracing::debug!(life_s = life.as_secs(), "fetched a token from Serval");
                let token = Arc::new(token);
                state.failed = None;
                state.cached = Some(Cached {
                    token: Arc::clone(&token),
                    renew_at: asked_at + life.saturating_sub(MARGIN.min(life / 5)),
                    ends_at: asked_at + life,
                });
                Ok(token)
            }
            Err(failure) => {
                let error = failure.brief();
                tracing::debug!(error, "could not fetch a token from Serval");
                state.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn request(&self, generation: u64) -> Result<(Token, Duration), ServalError> {
        let no_token = |fault| ServalError::NoToken(Arc::new(fault));
        let client = &self.exchange.client;
        let request = client
            .post(self.route.url.clone())
            .header(AUTHORIZATION, self.basic())
            .form(&[("grant_type", "client_credentials")]);
        let call = format!("POST {}", self.route.name);
        let answered = self.exchange.send(request, &call, MAX_ANSWER).await;
        let answered = answered.map_err(no_token)?;
        answered.verdict(true).map_err(|fault| {
            // OAuth allows 400 beside 401 for wrong credentials (RFC 6749, section 5.2).
            let is_about_us = matches!(fault.status(), Some(400 | 401 | 403));
            if matches!(fault, ServalError::Refused(_)) && is_about_us {
                fault.into_credentials_refused()
            } else {
                no_token(fault)
            }
        })?;
        let answer: TokenAnswer = answered.json().map_err(no_token)?;
        let life = life(&answer.expires_in);
        self.exchange
            .blot
            .add_fetched(answer.access_token.expose_secret());
        let token = Token::parse(&answer.access_token, generation);
        let unfit = || no_token(answered.foreign("an access_token that no header can carry"));
        Ok((token.ok_or_else(unfit)?, life))
    }

    /// Id and secret, as they are sent.
    fn pair(&self) -> String {
        let secret = self.client_secret.expose_secret();
        STANDARD.encode(format!("{}:{secret}", self.client_id))
    }

    fn basic(&self) -> HeaderValue {
        let mut header = HeaderValue::try_from(format!("Basic {}", self.pair()))
            .expect("base64 has only characters that a header may have");
        header.set_sensitive(true);
        header
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
