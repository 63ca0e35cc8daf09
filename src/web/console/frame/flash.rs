//! The message about the last action. It travels in a cookie to the page that follows, which shows it once.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::cookies::cookies;
use super::fault::{Fault, sentence};
use super::render::see_other;
use crate::operators::Refusal;

const COOKIE: &str = "serval-connect-said";
/// Characters of a message; longer ones are cut, since a cookie holds 4 KiB.
const MAX_TEXT: usize = 750;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    /// True if the action was done.
    pub(crate) is_good: bool,
    pub(crate) text: String,
}

impl Flash {
    /// The action was done.
    pub(crate) fn done(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            is_good: true,
            text,
        }
    }

    /// The action was not done, and why.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            is_good: false,
            text,
        }
    }

    /// The message for the result of an action: `done` makes it for a success, a refusal is put into a
    /// sentence. A failed store is a page of its own.
    pub(crate) fn of<T>(
        result: Result<T, Refusal>,
        done: impl FnOnce(T) -> Self,
    ) -> Result<Self, Fault> {
        match result {
            Ok(value) => Ok(done(value)),
            Err(refusal) => Self::of_refusal(refusal),
        }
    }

    /// The message for a refusal.
    pub(crate) fn of_refusal(refusal: Refusal) -> Result<Self, Fault> {
        match refusal {
            refusal @ Refusal::Store(_) => Err(refusal.into()),
            Refusal::Malformed(_)
            | Refusal::Missing(_)
            | Refusal::Invalid(_)
            | Refusal::Conflict(_)
            | Refusal::NoAnswer(_)
            | Refusal::Stale => Ok(Self::refused(sentence(&refusal.to_string()))),
        }
    }

    /// Reads the message of a request.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let cookie = cookies(headers, COOKIE).next()?;
        Self::parse(cookie.value())
    }

    fn parse(value: &str) -> Option<Self> {
        let (mark, text) = value.split_at_checked(1)?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self {
            is_good: mark == "+",
            text: String::from_utf8(text).ok()?,
        })
    }

    fn value(&self) -> String {
        let mark = if self.is_good { "+" } else { "-" };
        let cut: String = self.text.chars().take(MAX_TEXT).collect();
        format!("{mark}{}", URL_SAFE_NO_PAD.encode(cut))
    }

    /// Sends the browser to `target`, which is a path of ours, with the message.
    pub(crate) fn at(&self, target: &str) -> Response {
        let cookies = CookieJar::new().add(cookie(self.value()));
        (cookies, see_other(target)).into_response()
    }

    /// Removes the message from the browser that sent `cookies`: it was shown.
    pub(crate) fn shown(cookies: CookieJar) -> CookieJar {
        cookies.remove(cookie(String::new()))
    }
}

fn cookie(value: String) -> Cookie<'static> {
    Cookie::build((COOKIE, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_fits_into_a_cookie() {
        for flash in [Flash::done("Größe; \"x\" <b>"), Flash::refused("")] {
            assert_eq!(Flash::parse(&flash.value()), Some(flash));
        }
        let long = Flash::done("語".repeat(5000)).value();
        assert!(long.len() < 4000, "{}", long.len());
        for foreign in ["", "+!", "语", "-%"] {
            assert_eq!(Flash::parse(foreign).filter(|f| !f.text.is_empty()), None);
        }
    }
}
