//! A bearer token that cannot be printed.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// A bearer token.
pub struct Token {
    header: HeaderValue,
    secret: SecretString,
    /// Tells tokens apart without comparing secrets.
    generation: u64,
}

impl Token {
    /// The `Authorization` header.
    pub(super) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The token itself, to blot it out of answers.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Tells it from other tokens.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// `None` when the text cannot stand in a header.
    pub(super) fn parse(secret: SecretString, generation: u64) -> Option<Self> {
        let text = secret.expose_secret();
        if text.is_empty() {
            return None;
        }
        let mut header = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
        header.set_sensitive(true);
        Some(Self {
            header,
            secret,
            generation,
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token #{}", self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_breaks_a_header_is_refused_and_none_is_printed() {
        for bad in ["", "a\nb", "a\u{0}"] {
            assert!(Token::parse(bad.to_owned().into(), 1).is_none(), "{bad:?}");
        }
        let token = Token::parse("s3cret".to_owned().into(), 7).unwrap();
        assert_eq!(token.header(), "Bearer s3cret");
        assert_eq!(
            format!("{token:?} {:?}", token.header()),
            "Token #7 Sensitive"
        );
    }
}
