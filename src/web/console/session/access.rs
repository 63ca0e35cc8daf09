//! Decides who may see a page: holders of a session, or everybody on this machine if no token is
//! configured.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

use crate::operators::Operator;
use crate::web::console::frame::{Fault, Flash, Viewer, assets, cookies, href, render, see_other};
use crate::web::console::state::Console;
use crate::web::listener;

/// Names of the session's cookie, behind TLS and without it. Browsers accept the first only from this
/// very host, over TLS.
const COOKIE_NAMES: [&str; 2] = ["__Host-serval-connect", "serval-connect"];
/// Header that our script sends when it refreshes a page.
const REFRESH: HeaderName = HeaderName::from_static("x-refresh");

/// Lets viewers pass, and sends others to the login.
pub(crate) async fn guard(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let viewer = match viewer(&console, request.headers()).await {
        Ok(Some(viewer)) => viewer,
        Ok(None) => return to_login(&request),
        // It may be somebody who is logged in.
        Err(fault) => return fault.into_response(),
    };
    listener::keep(request.extensions());
    let had_flash = viewer.flash.is_some();
    let cookies = CookieJar::from_headers(request.headers());
    request.extensions_mut().insert(viewer);
    let response = next.run(request).await;
    // An answer that sets a cookie may have the next message, which must not be removed.
    if had_flash && !response.headers().contains_key(SET_COOKIE) {
        return (Flash::shown(cookies), response).into_response();
    }
    response
}

async fn viewer(console: &Console, headers: &HeaderMap) -> Result<Option<Viewer>, Fault> {
    // A page that refreshes itself must not remove the message before it is read.
    let is_refresh = headers.contains_key(REFRESH);
    let flash = (!is_refresh).then(|| Flash::read(headers)).flatten();
    if console.operators().is_open() {
        return Ok(Some(Viewer {
            operator: Operator::local(),
            csrf: console.sessions().shared_csrf().await?,
            session: None,
            flash,
        }));
    }
    let now = console.operators().clock().monotonic();
    for secret in COOKIE_NAMES.iter().flat_map(|name| cookies(headers, name)) {
        let secret = secret.value();
        let found = console.sessions().find(secret, now, !is_refresh);
        let Some(open) = found.await? else {
            continue;
        };
        // The token may have been taken out of the configuration since.
        if let Some(operator) = console.operators().holder(&open.holder) {
            return Ok(Some(Viewer {
                operator,
                csrf: open.csrf,
                session: Some(secret.to_owned()),
                flash,
            }));
        }
        console.sessions().close(secret).await?;
    }
    Ok(None)
}

#[derive(Template)]
#[template(path = "again.html", config = "src/web/console/askama.toml")]
struct Again {
    assets: &'static assets::Names,
    path: String,
}

fn to_login(request: &Request) -> Response {
    // The script would put the login page into a part of the old page, so it gets a status to react to.
    if request.headers().contains_key(REFRESH) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let wanted = request.uri().path_and_query().map(ToString::to_string);
    let came_from = request.headers().get("sec-fetch-site");
    if came_from.is_some_and(|site| site == "cross-site") && request.method() == Method::GET {
        // After a click on a link in a chat the browser sends no strict cookie. It does once a page of
        // ours is shown.
        let again = Again {
            assets: assets::names(),
            path: wanted.unwrap_or_else(|| "/".to_owned()),
        };
        return render(&again);
    }
    let target = match wanted.filter(|_| request.method() == Method::GET) {
        Some(wanted) if wanted != "/" => format!("/login?next={}", href::encode(&wanted)),
        Some(_) | None => "/login".to_owned(),
    };
    see_other(&target)
}

/// The cookie of a session; behind TLS with the name that binds it to this host.
pub(crate) fn session_cookie(secret: String, is_secure: bool) -> Cookie<'static> {
    let [secure, plain] = COOKIE_NAMES;
    let name = if is_secure { secure } else { plain };
    Cookie::build((name, secret))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_secure)
        .build()
}

/// True if the browser speaks TLS, to us or to a proxy: the origin of its form tells. A false origin only
/// restricts the cookie of the browser that sent it.
pub(crate) fn is_secure(console: &Console, headers: &HeaderMap) -> bool {
    console.operators().speaks_tls() || says_tls(headers)
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
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn behind_tls_the_cookie_stays_behind_tls() {
        let text = |is_secure| session_cookie("ab".to_owned(), is_secure).to_string();
        assert_eq!(
            text(true),
            "__Host-serval-connect=ab; HttpOnly; SameSite=Strict; Secure; Path=/"
        );
        assert_eq!(
            text(false),
            "serval-connect=ab; HttpOnly; SameSite=Strict; Path=/"
        );
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
