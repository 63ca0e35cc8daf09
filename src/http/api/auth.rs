//! Who may use the admin API: bearers of a configured token, within its scope.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::http::{AppState, Problem};

/// Fingerprints of the configured tokens. With none, the listener is a loopback address and open
/// to whoever can reach it: the configuration sees to that.
pub struct AdminTokens {
    all: Fingerprints,
    mappings: Fingerprints,
}

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, mappings) = (self.all.0.len(), self.mappings.0.len());
        write!(f, "AdminTokens({all}, {mappings})")
    }
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Everything.
    All,
    /// Read and write mappings.
    Mappings,
    /// Nothing: no token, or none of ours.
    Unknown,
}

impl AdminTokens {
    /// Of the tokens that may do all.
    pub fn new(tokens: &[SecretString]) -> Self {
        Self {
            all: Fingerprints::of(tokens),
            mappings: Fingerprints::of(&[]),
        }
    }

    /// And of those that may only read and write mappings.
    #[must_use]
    pub fn with_mapping_tokens(self, tokens: &[SecretString]) -> Self {
        Self {
            mappings: Fingerprints::of(tokens),
            ..self
        }
    }

    /// Whether there is none, so that none is asked for.
    fn is_open(&self) -> bool {
        self.all.0.is_empty() && self.mappings.0.is_empty()
    }

    fn access(&self, presented: Option<&str>) -> Access {
        let is_open = self.is_open();
        let presented = presented.map(|token| Sha256::digest(token).into());
        match presented {
            _ if is_open => Access::All,
            Some(token) if self.all.hold(&token) => Access::All,
            Some(token) if self.mappings.hold(&token) => Access::Mappings,
            Some(_) | None => Access::Unknown,
        }
    }
}

/// SHA-256 of tokens.
struct Fingerprints(Vec<[u8; 32]>);

impl Fingerprints {
    fn of(tokens: &[SecretString]) -> Self {
        let fingerprint = |token: &SecretString| Sha256::digest(token.expose_secret()).into();
        Self(tokens.iter().map(fingerprint).collect())
    }

    /// Takes the same time whichever it is, or none.
    fn hold(&self, presented: &[u8; 32]) -> bool {
        let hit = |hit: Choice, token: &[u8; 32]| hit | token.ct_eq(presented);
        self.0.iter().fold(Choice::from(0), hit).into()
    }
}

/// Lets requests with a token that may do all pass.
pub(super) async fn for_all(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    match access(&state, &request) {
        Err(wait) => throttled(wait),
        Ok(Access::All) => next.run(request).await,
        Ok(Access::Mappings) => {
            let detail =
                "this token may only read and write mappings; this needs one of admin.tokens";
            Problem::new(StatusCode::FORBIDDEN, detail).into_response()
        }
        Ok(Access::Unknown) => unauthorized("admin.tokens"),
    }
}

/// Lets requests with a token for mappings pass, too.
pub(super) async fn for_mappings(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    match access(&state, &request) {
        Err(wait) => throttled(wait),
        Ok(Access::All | Access::Mappings) => next.run(request).await,
        Ok(Access::Unknown) => unauthorized("admin.tokens or admin.mapping_tokens"),
    }
}

/// What the bearer may do. An error: its address has guessed too often, and its token is not looked
/// at before this time has passed.
fn access(state: &AppState, request: &Request) -> Result<Access, Duration> {
    let presented = bearer(request);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // Without a token nothing is guessed, and within the process there is no peer.
    let (Some(ConnectInfo(peer)), Some(_), false) = (peer, presented, state.tokens.is_open())
    else {
        return Ok(state.tokens.access(presented));
    };
    let now = state.clock.now();
    if let Err(wait) = state.throttle.try_from(peer.ip(), now) {
        state.metrics.token_refused("throttled");
        return Err(wait);
    }
    let access = state.tokens.access(presented);
    if access == Access::Unknown {
        state.metrics.token_refused("unknown");
        tracing::warn!(peer = %peer.ip(), "a token was refused that is none of ours");
    } else {
        state.throttle.was_right(peer.ip(), now);
    }
    Ok(access)
}

fn throttled(wait: Duration) -> Response {
    let detail = "too many wrong tokens came from this address; it is not listened to for a while";
    let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

fn unauthorized(keys: &str) -> Response {
    let detail = format!("needs the header Authorization: Bearer with one of {keys}");
    Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_what_it_was_made_for() {
        use Access::{All, Mappings, Unknown};

        let secrets = |tokens: &[&str]| -> Vec<SecretString> {
            tokens.iter().map(|token| (*token).into()).collect()
        };
        for (all, mappings, presented, expected) in [
            (&[][..], &[][..], None, All),
            (&[], &[], Some("x"), All),
            (&["a", "b"], &["m"], Some("b"), All),
            (&["a", "b"], &["m"], Some("m"), Mappings),
            (&["a"], &["a", "m"], Some("a"), All),
            (&["a"], &[], Some("m"), Unknown),
            (&["a"], &["m"], None, Unknown),
            (&["a"], &["m"], Some(""), Unknown),
            // Tokens for mappings alone do not leave the rest open.
            (&[], &["m"], None, Unknown),
            (&[], &["m"], Some("x"), Unknown),
            (&[], &["m"], Some("m"), Mappings),
        ] {
            let tokens = AdminTokens::new(&secrets(all)).with_mapping_tokens(&secrets(mappings));
            assert_eq!(tokens.access(presented), expected, "{presented:?}");
        }
    }
}
