//! Who may see a page: holders of a session, or everybody on this machine where no token is configured.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::fault::{Fault, render};
use super::flash::{self, Flash};
use super::{Console, assets, href};
use crate::operator::{Operator, is_loopback_host};

/// The session's cookie. Behind TLS a browser takes it from this very host only.
const COOKIE_NAMES: [&str; 2] = ["__Host-serval-connect", "serval-connect"];
/// What our script sends with a page that it fetches by itself.
const REFRESH: HeaderName = HeaderName::from_static("x-refresh");

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    /// Who it is.
    pub(super) operator: Operator,
    /// What forms carry back.
    pub(super) csrf: String,
    /// The session's secret; none where nobody logs in.
    pub(super) session: Option<String>,
    /// What was just done, to be shown once.
    pub(super) flash: Option<Flash>,
}

impl Viewer {
    /// Whether they may change anything.
    pub(super) fn may_act(&self) -> bool {
        self.operator.may_act()
    }
}

/// Lets viewers pass, and sends others to the login.
pub(super) async fn guard(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let viewer = match viewer(&console, &request) {
        Ok(Some(viewer)) => viewer,
        Ok(None) => return to_login(&request),
        Err(fault) => return fault.into_response(),
    };
    let had_flash = viewer.flash.is_some();
    request.extensions_mut().insert(viewer);
    let mut response = next.run(request).await;
    if had_flash && !response.headers().contains_key(SET_COOKIE) {
        response
            .headers_mut()
            .insert(SET_COOKIE, flash::forget_cookie());
    }
    response
}

fn viewer(console: &Console, request: &Request) -> Result<Option<Viewer>, Fault> {
    let headers = request.headers();
    // A page that refreshes itself does not take the message from under the reader's eyes.
    let is_refresh = headers.contains_key(REFRESH);
    let flash = cookie(headers, flash::COOKIE)
        .filter(|_| !is_refresh)
        .and_then(Flash::read);
    if console.desk().is_open() {
        if !headers
            .get(HOST)
            .is_none_or(|host| host.to_str().is_ok_and(is_loopback_host))
        {
            return Err(Fault::misdirected());
        }
        return Ok(Some(Viewer {
            operator: Operator::local(),
            csrf: console.sessions().shared_csrf().to_owned(),
            session: None,
            flash,
        }));
    }
    let now = console.desk().now();
    let secrets = COOKIE_NAMES
        .into_iter()
        .filter_map(|name| cookie(headers, name));
    for secret in secrets {
        let Some(open) = console.sessions().find(secret, now, !is_refresh) else {
            continue;
        };
        // The token may have been taken out of the configuration since.
        if let Some(operator) = console.desk().holder(&open.holder) {
            return Ok(Some(Viewer {
                operator,
                csrf: open.csrf,
                session: Some(secret.to_owned()),
                flash,
            }));
        }
        console.sessions().close(secret);
    }
    Ok(None)
}

#[derive(Template)]
#[template(path = "again.html", config = "src/console/askama.toml")]
struct Again {
    assets: &'static assets::Names,
    path: String,
}

fn to_login(request: &Request) -> Response {
    if request.headers().contains_key(REFRESH) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let wanted = request.uri().path_and_query().map(ToString::to_string);
    let came_from = request.headers().get("sec-fetch-site");
    if came_from.is_some_and(|site| site == "cross-site") && request.method() == Method::GET {
        // A link in a chat: the browser keeps the cookie back, and sends it once the page is ours.
        let again = Again {
            assets: assets::names(),
            path: wanted.unwrap_or_else(|| "/".to_owned()),
        };
        return render(StatusCode::OK, &again);
    }
    let target = match wanted.filter(|_| request.method() == Method::GET) {
        Some(wanted) if wanted != "/" => format!("/login?next={}", href::encode(&wanted)),
        Some(_) | None => "/login".to_owned(),
    };
    let location = HeaderValue::try_from(target).expect("an encoded path is ASCII");
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// The cookie that keeps a session, or ends it (`None`).
pub(super) fn session_cookie(secret: Option<&str>, is_secure: bool) -> HeaderValue {
    let [secure, plain] = COOKIE_NAMES;
    let (name, attribute) = if is_secure {
        (secure, "; Secure")
    } else {
        (plain, "")
    };
    let cookie = match secret {
        Some(secret) => {
            format!("{name}={secret}; Path=/; HttpOnly; SameSite=Strict{attribute}")
        }
        None => format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{attribute}"),
    };
    HeaderValue::try_from(cookie).expect("hexadecimal digits are ASCII")
}

/// Whether the browser speaks TLS, to us or to the proxy in front: it says so itself, in the origin of
/// the form that it sends. Who says so falsely only narrows the use of their own cookie.
pub(super) fn is_secure(console: &Console, headers: &HeaderMap) -> bool {
    console.desk().speaks_tls() || says_tls(headers)
}

fn says_tls(headers: &HeaderMap) -> bool {
    let says = |name: &str, what: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.starts_with(what))
    };
    says("origin", "https://") || says("x-forwarded-proto", "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; serval-connect=x=y"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie(&headers, "serval-connect"), Some("x=y"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "connect"), None);
    }

    #[test]
    fn behind_tls_the_cookie_stays_behind_tls() {
        let text = |secret, is_secure| {
            let cookie = session_cookie(secret, is_secure);
            cookie.to_str().unwrap().to_owned()
        };
        assert_eq!(
            text(Some("ab"), true),
            "__Host-serval-connect=ab; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            text(Some("ab"), false),
            "serval-connect=ab; Path=/; HttpOnly; SameSite=Strict"
        );
        assert!(text(None, false).contains("Max-Age=0"));
        for (name, value, expected) in [
            ("origin", "https://ops.example", true),
            ("origin", "http://localhost:8081", false),
            ("x-forwarded-proto", "https", true),
            ("x-forwarded-proto", "http", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(says_tls(&headers), expected, "{name}: {value}");
        }
    }
}
