//! A bearer token that cannot be printed, and its life.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Life of a token whose answer states none.
const UNSTATED_LIFE: Duration = Duration::from_mins(1);

/// Upper bound for a stated life.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// A bearer token.
pub struct Token {
    /// The `Authorization` header.
    pub(super) header: HeaderValue,
    /// Distinguishes tokens without comparing secrets.
    pub(super) generation: u64,
}

impl Token {
    /// `None` if the text cannot be sent in a header.
    pub(super) fn parse(secret: &SecretString, generation: u64) -> Option<Self> {
        let text = secret.expose_secret();
        if text.is_empty() {
            return None;
        }
        let mut header = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
        header.set_sensitive(true);
        Some(Self { header, generation })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token #{}", self.generation)
    }
}

/// The life that `expires_in` (seconds) states.
pub(super) fn life(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    seconds
        .filter(|seconds| *seconds > 0.0)
        .map_or(UNSTATED_LIFE, |seconds| {
            Duration::try_from_secs_f64(seconds).map_or(LONGEST_LIFE, |life| life.min(LONGEST_LIFE))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_that_breaks_a_header_is_refused_and_none_is_printed() {
        for bad in ["", "a\nb", "a\u{0}"] {
            assert!(Token::parse(&bad.into(), 1).is_none(), "{bad:?}");
        }
        let token = Token::parse(&"s3cret".into(), 7).unwrap();
        assert_eq!(token.header, "Bearer s3cret");
        assert_eq!(
            format!("{token:?} {:?}", token.header),
            "Token #7 Sensitive"
        );
    }

    #[test]
    fn a_life_that_is_missing_or_absurd_is_a_minute() {
        let minute = Duration::from_mins(1);
        for (stated, expected) in [
            (json!(3600), Duration::from_hours(1)),
            (json!("900"), Duration::from_mins(15)),
            (json!(2), Duration::from_secs(2)),
            (json!(1e300), LONGEST_LIFE),
            (json!(u64::MAX), LONGEST_LIFE),
            (json!("inf"), LONGEST_LIFE),
            (json!(null), minute),
            (json!(0), minute),
            (json!(-5), minute),
            (json!("soon"), minute),
            (json!("NaN"), minute),
            (json!({}), minute),
        ] {
            assert_eq!(life(&stated), expected, "{stated}");
        }
    }
}
