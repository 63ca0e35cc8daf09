//! Who may use the admin API: bearers of a configured token.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::http::{AppState, Problem};

/// Fingerprints of the configured tokens. With none, the listener is a loopback address and open
/// to whoever can reach it: the configuration sees to that.
pub struct AdminTokens(Vec<[u8; 32]>);

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminTokens({})", self.0.len())
    }
}

impl AdminTokens {
    /// Of the configured tokens.
    pub fn new(tokens: &[SecretString]) -> Self {
        Self(
            tokens
                .iter()
                .map(|token| Sha256::digest(token.expose_secret()).into())
                .collect(),
        )
    }

    /// Whether `presented` is one of them. Takes the same time whichever it is, or none.
    fn accepts(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let hit = |hit: Choice, token: &[u8; 32]| hit | token.ct_eq(&presented);
        self.0.iter().fold(Choice::from(0), hit).into()
    }
}

/// Lets requests with a token pass.
pub(super) async fn require_token(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    if state.tokens.0.is_empty() || bearer(&request).is_some_and(|t| state.tokens.accepts(t)) {
        return next.run(request).await;
    }
    let detail = "needs the header Authorization: Bearer with one of admin.tokens";
    Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
