//! The bearer token: fetched once for all callers, renewed ahead of its end, dropped on demand.
//!
//! Invariant: at most one fetch is under way, and a failed one is not repeated for a moment, however
//! many callers wait. No token and no secret is ever printed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::error::ServalError;
use super::exchange::{Exchange, MAX_ANSWER, read_json};
use super::token::{Token, life};

/// A token is renewed this long before its end, or a fifth of its life when that is shorter.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a refusal of the credentials stands before they are tried again.
const REFUSAL_REST: Duration = Duration::from_secs(5);

/// How long any other failed fetch stands. Short, because the first retries of a delivery are not
/// to be spent on it.
const FAULT_REST: Duration = Duration::from_secs(1);

/// Where tokens come from.
#[derive(Debug)]
pub struct Tokens {
    kind: Kind,
    fetches: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    Fixed(Arc<Token>),
    OAuth(Box<OAuth>),
}

#[derive(Debug)]
struct OAuth {
    exchange: Exchange,
    url: Url,
    client_id: String,
    client_secret: SecretString,
    /// Held for as long as a fetch takes.
    fetching: tokio::sync::Mutex<()>,
    /// Held for a moment only.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failed: Option<(Instant, ServalError)>,
}

#[derive(Debug, Clone)]
struct Held {
    token: Arc<Token>,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    /// A number, or a number as text; anything else counts as missing.
    #[serde(default)]
    expires_in: Value,
}

impl Tokens {
    /// A token that somebody else keeps fresh.
    pub(super) fn fixed(token: Token) -> Self {
        Self {
            kind: Kind::Fixed(Arc::new(token)),
            fetches: AtomicU64::new(0),
        }
    }

    /// Tokens for client credentials, from the endpoint at `url`.
    pub(super) fn client_credentials(
        exchange: Exchange,
        url: Url,
        client_id: String,
        client_secret: SecretString,
    ) -> Self {
        Self {
            kind: Kind::OAuth(Box::new(OAuth {
                exchange,
                url,
                client_id,
                client_secret,
                fetching: tokio::sync::Mutex::default(),
                state: Mutex::default(),
            })),
            fetches: AtomicU64::new(0),
        }
    }

    /// Whether a refused token can be replaced by a new one.
    pub fn renewable(&self) -> bool {
        matches!(self.kind, Kind::OAuth(_))
    }

    /// How many times a token was asked for since the start.
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// A token that should be good for a while.
    pub async fn token(&self) -> Result<Arc<Token>, ServalError> {
        match &self.kind {
            Kind::Fixed(token) => Ok(Arc::clone(token)),
            Kind::OAuth(oauth) => oauth.token(&self.fetches).await,
        }
    }

    /// Drops a token that was refused, unless another has taken its place already.
    pub fn invalidate(&self, token: &Token) {
        if let Kind::OAuth(oauth) = &self.kind {
            let mut state = oauth.state();
            if state
                .held
                .as_ref()
                .is_some_and(|held| held.token.generation() == token.generation())
            {
                state.held = None;
            }
        }
    }
}

impl OAuth {
    async fn token(&self, fetches: &AtomicU64) -> Result<Arc<Token>, ServalError> {
        if let Some(held) = self.held()
            && Instant::now() < held.renew_at
        {
            return Ok(held.token);
        }
        let _fetching = match self.fetching.try_lock() {
            Ok(guard) => guard,
            // Somebody renews it; until then the present one does, if there is one.
            Err(_) => match self.held() {
                Some(held) => return Ok(held.token),
                None => self.fetching.lock().await,
            },
        };
        // Whoever held the lock before may have brought a token, or a failure.
        let held = self.held();
        if let Some(held) = &held
            && Instant::now() < held.renew_at
        {
            return Ok(Arc::clone(&held.token));
        }
        let outcome = match self.recent_failure() {
            Some(failure) => Err(failure),
            None => self.fetch(fetches).await,
        };
        // A token that is not over yet makes up for a renewal that failed.
        match (outcome, self.held()) {
            (Ok(token), _) => Ok(token),
            (Err(_), Some(held)) => Ok(held.token),
            (Err(failure), None) => Err(failure),
        }
    }

    /// The present token, unless it is over.
    fn held(&self) -> Option<Held> {
        let now = Instant::now();
        let state = self.state();
        state.held.clone().filter(|held| now < held.ends_at)
    }

    fn recent_failure(&self) -> Option<ServalError> {
        let state = self.state();
        let (at, failure) = state.failed.as_ref()?;
        let rest = match failure {
            ServalError::CredentialsRefused { .. } => REFUSAL_REST,
            ServalError::NoToken(_)
            | ServalError::Refused { .. }
            | ServalError::Network { .. }
            | ServalError::BadAnswer { .. } => FAULT_REST,
        };
        (at.elapsed() < rest).then(|| failure.clone())
    }

    async fn fetch(&self, fetches: &AtomicU64) -> Result<Arc<Token>, ServalError> {
        let generation = fetches.fetch_add(1, Ordering::Relaxed) + 1;
        let asked_at = Instant::now();
        let outcome = self.ask(generation).await;
        let mut state = self.state();
        match outcome {
            Ok((token, life)) => {
                let token = Arc::new(token);
                tracing::debug!(life_s = life.as_secs(), "fetched a token from Serval");
                state.failed = None;
                state.held = Some(Held {
                    token: Arc::clone(&token),
                    renew_at: asked_at + life.saturating_sub(MARGIN.min(life / 5)),
                    ends_at: asked_at + life,
                });
                Ok(token)
            }
            Err(failure) => {
                tracing::debug!(
                    error = failure.brief(),
                    "could not fetch a token from Serval"
                );
                state.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn ask(&self, generation: u64) -> Result<(Token, Duration), ServalError> {
        let no_token = |fault| ServalError::NoToken(Arc::new(fault));
        let request = self
            .exchange
            .client
            .post(self.url.clone())
            .header(AUTHORIZATION, self.basic())
            .form(&[("grant_type", "client_credentials")]);
        let response = self.exchange.send(request).await.map_err(no_token)?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let refusal = self.refused(response).await;
                return Err(credentials_refused(refusal));
            }
            _ => {
                let refusal = self.refused(response).await;
                return Err(no_token(refusal));
            }
        }
        let status = response.status().as_u16();
        let answer: TokenAnswer = read_json(response, MAX_ANSWER).await.map_err(no_token)?;
        let life = life(&answer.expires_in);
        let token = Token::parse(answer.access_token, generation).ok_or_else(|| {
            no_token(ServalError::BadAnswer {
                status,
                detail: "its access_token cannot stand in a header".to_owned(),
            })
        })?;
        Ok((token, life))
    }

    /// Reads a refusal, which may repeat the secret as it is or as it was sent.
    async fn refused(&self, response: reqwest::Response) -> ServalError {
        let secrets = [self.client_secret.expose_secret(), &self.pair()];
        self.exchange.refused(response, &secrets).await
    }

    /// Id and secret, as they are sent.
    fn pair(&self) -> String {
        let secret = self.client_secret.expose_secret();
        STANDARD.encode(format!("{}:{secret}", self.client_id))
    }

    fn basic(&self) -> HeaderValue {
        let mut header = HeaderValue::try_from(format!("Basic {}", self.pair()))
            .expect("base64 is made of characters that a header may have");
        header.set_sensitive(true);
        header
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns a refusal into one of our credentials.
pub(super) fn credentials_refused(refusal: ServalError) -> ServalError {
    match refusal {
        ServalError::Refused {
            status,
            message,
            request_id,
            ..
        } => ServalError::CredentialsRefused {
            status,
            message,
            request_id,
        },
        other @ (ServalError::CredentialsRefused { .. }
        | ServalError::NoToken(_)
        | ServalError::Network { .. }
        | ServalError::BadAnswer { .. }) => other,
    }
}
