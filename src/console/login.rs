//! Logging in with a token, and out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use askama::Template;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::access::{is_secure, session_cookie};
use super::fault::{Fault, render};
use super::form::{Form, fields};
use super::{Console, assets, href};
use crate::operator::{Access, fingerprint};
use crate::store::Action as Done;

#[derive(Template)]
#[template(path = "login.html", config = "src/console/askama.toml")]
struct LoginPage {
    assets: &'static assets::Names,
    error: Option<String>,
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginQuery {
    next: String,
}

/// The form. Where no token is configured there is nothing to log in with.
pub(super) async fn show(
    State(console): State<Console>,
    Query(LoginQuery { next }): Query<LoginQuery>,
) -> Response {
    if console.desk().is_open() {
        return go(href::own_path(&next).unwrap_or("/"));
    }
    form(StatusCode::OK, None, next)
}

fn form(status: StatusCode, error: Option<&str>, next: String) -> Response {
    let page = LoginPage {
        assets: assets::names(),
        error: error.map(str::to_owned),
        next,
    };
    render(status, &page)
}

/// Opens a session for the holder of a token.
pub(super) async fn log_in(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Fault> {
    let is_secure = is_secure(&console, request.headers());
    let peer = peer(&request);
    let fields = fields(request, &console).await?;
    let next = fields.get("next").unwrap_or_default().to_owned();
    if console.desk().is_open() {
        return Ok(go("/"));
    }
    let token = fields.get("token").unwrap_or_default();
    let operator = match console.desk().admit_login(peer, token) {
        Ok(Some(operator)) => operator,
        Ok(None) => {
            let error = "This is none of the configured tokens. Look for admin.tokens in the \
                         configuration of serval-connect, or ask whoever runs it.";
            return Ok(form(StatusCode::UNAUTHORIZED, Some(error), next));
        }
        Err(wait) => return Ok(throttled(wait, next)),
    };
    if operator.access() == Access::Mappings {
        let error = "This token is for mappings through the API. The console takes one of \
                     admin.tokens or admin.read_only_tokens.";
        return Ok(form(StatusCode::FORBIDDEN, Some(error), next));
    }
    let now = console.desk().now();
    console
        .desk()
        .note(&operator, Done::LogIn, None, None)
        .await?;
    let secret = console
        .sessions()
        .open(fingerprint(token), now)
        .map_err(|_| {
            Fault::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The system has no random bytes.",
            )
        })?;
    tracing::info!(operator = operator.name(), "logged in to the console");
    let mut response = go(href::own_path(&next).unwrap_or("/"));
    let cookie = session_cookie(Some(&secret), is_secure);
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

fn throttled(wait: Duration, next: String) -> Response {
    let seconds = wait.as_secs() + 1;
    let error = format!("Too many tries. Wait {seconds} seconds, then try again.");
    let mut response = form(StatusCode::TOO_MANY_REQUESTS, Some(&error), next);
    let retry_after = HeaderValue::from(seconds);
    response.headers_mut().insert(RETRY_AFTER, retry_after);
    response
}

/// Ends the session.
pub(super) async fn log_out(
    State(console): State<Console>,
    headers: HeaderMap,
    Form { viewer, .. }: Form,
) -> Result<Response, Fault> {
    let mut response = go("/login");
    if let Some(secret) = &viewer.session {
        console.sessions().close(secret);
        let cookie = session_cookie(None, is_secure(&console, &headers));
        response.headers_mut().insert(SET_COOKIE, cookie);
        let desk = console.desk();
        desk.note(&viewer.operator, Done::LogOut, None, None)
            .await?;
    }
    Ok(response)
}

/// Who is at the other end. In a test without a socket, nobody in particular.
fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip())
}

fn go(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}
