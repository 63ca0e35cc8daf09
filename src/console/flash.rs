//! What was just done, shown once on the page that follows: kept in a cookie for a minute.

use axum::http::HeaderValue;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

/// Its cookie.
pub(super) const COOKIE: &str = "serval-connect-said";
/// Longer messages are cut: a cookie holds 4 KiB.
const MAX_TEXT: usize = 1500;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flash {
    /// Whether it was done.
    pub(super) is_good: bool,
    /// What, in words.
    pub(super) text: String,
}

impl Flash {
    /// It was done.
    pub(super) fn done(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            is_good: true,
            text,
        }
    }

    /// It was not done, and why.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            is_good: false,
            text,
        }
    }

    /// Reads a cookie.
    pub(super) fn read(cookie: &str) -> Option<Self> {
        let (mark, text) = cookie.split_at_checked(1)?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self {
            is_good: mark == "+",
            text: String::from_utf8(text).ok()?,
        })
    }

    fn cookie(&self) -> HeaderValue {
        let mark = if self.is_good { "+" } else { "-" };
        let cut: String = self.text.chars().take(MAX_TEXT / 2).collect();
        let text = URL_SAFE_NO_PAD.encode(cut);
        let cookie =
            format!("{COOKIE}={mark}{text}; Path=/; HttpOnly; SameSite=Strict; Max-Age=60");
        HeaderValue::try_from(cookie).expect("Base64 is ASCII")
    }

    /// Sends the browser to `target`, which is a path of ours, with the message.
    pub(super) fn at(&self, target: &str) -> Response {
        let location = HeaderValue::try_from(target).unwrap_or(HeaderValue::from_static("/"));
        let headers = [(LOCATION, location), (SET_COOKIE, self.cookie())];
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

/// The cookie that ends the message.
pub(super) fn forget_cookie() -> HeaderValue {
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    HeaderValue::try_from(cookie).expect("it is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_fits_into_a_cookie() {
        for flash in [Flash::done("Größe; \"x\" <b>"), Flash::refused("")] {
            let cookie = flash.cookie();
            let value = cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap();
            assert_eq!(Flash::read(value), Some(flash));
        }
        let long = Flash::done("語".repeat(5000)).cookie();
        assert!(long.len() < 4096, "{}", long.len());
        for foreign in ["", "+!", "语", "-%"] {
            assert_eq!(Flash::read(foreign).filter(|f| !f.text.is_empty()), None);
        }
    }
}
