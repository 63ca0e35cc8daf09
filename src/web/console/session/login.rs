//! Logging in with a token, and out.

use askama::Template;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;

use super::access::{is_secure, session_cookie};
use crate::operators::{Access, fingerprint};
use crate::store::Action as Done;
use crate::web::console::frame::{Fault, Fields, Form, assets, href, render_with, see_other};
use crate::web::console::state::Console;
use crate::web::problem::RefusedFor;

#[derive(Template)]
#[template(path = "login.html", config = "src/web/console/askama.toml")]
struct LoginPage {
    assets: &'static assets::Names,
    error: Option<String>,
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoginQuery {
    next: String,
}

/// Shows the form. Without configured tokens nobody needs to log in.
pub(crate) async fn show(
    State(console): State<Console>,
    Query(LoginQuery { next }): Query<LoginQuery>,
) -> Response {
    if console.operators().is_open() {
        return see_other(href::own_path(&next).unwrap_or("/"));
    }
    form(StatusCode::OK, None, next)
}

fn form(status: StatusCode, error: Option<&str>, next: String) -> Response {
    let page = LoginPage {
        assets: assets::names(),
        error: error.map(str::to_owned),
        next,
    };
    render_with(status, &page)
}

/// Opens a session for the holder of a token.
pub(crate) async fn log_in(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Fault> {
    let is_secure = is_secure(&console, request.headers());
    let fields = Fields::of_form(request, &console).await?;
    let next = fields.get("next").unwrap_or_default().to_owned();
    if console.operators().is_open() {
        return Ok(see_other("/"));
    }
    let token = fields.get("token").unwrap_or_default();
    let Some(operator) = console.operators().admit(Some(token)) else {
        let error = "This is not one of the configured tokens. Look for admin.tokens in the \
                     configuration of serval-connect, or ask its administrator.";
        let mut response = form(StatusCode::UNAUTHORIZED, Some(error), next);
        let detail = "a login with an unknown token".into();
        let cause = "token";
        response
            .extensions_mut()
            .insert(RefusedFor { cause, detail });
        return Ok(response);
    };
    // Programs use these tokens. A session with one could not open any page.
    if operator.access() == Access::Mappings {
        let error = "This token is for mappings through the API. The console takes one of \
                     admin.tokens or admin.read_only_tokens.";
        return Ok(form(StatusCode::FORBIDDEN, Some(error), next));
    }
    let now = console.operators().clock().monotonic();
    console
        .operators()
        .note(&operator, Done::LogIn, None, None)
        .await?;
    let secret = console.sessions().open(fingerprint(token), now).await?;
    tracing::info!(operator = operator.name(), "logged in to the console");
    let cookies = CookieJar::new().add(session_cookie(secret, is_secure));
    let target = href::own_path(&next).unwrap_or("/");
    Ok((cookies, see_other(target)).into_response())
}

/// Ends the session.
pub(crate) async fn log_out(headers: HeaderMap, Form(view): Form) -> Result<Response, Fault> {
    let mut cookies = CookieJar::from_headers(&headers);
    let (console, operators) = (&view.console, view.operators());
    // Without configured tokens there is no session to end.
    if let Some(secret) = view.viewer.session.clone() {
        console.sessions().close(&secret).await?;
        cookies = cookies.remove(session_cookie(secret, is_secure(console, &headers)));
        operators.note(view.who(), Done::LogOut, None, None).await?;
    }
    Ok((cookies, see_other("/login")).into_response())
}
