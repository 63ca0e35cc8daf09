//! Who may use the admin API: bearers of a configured token, within its scope.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::{AppState, Problem};
use crate::operator::{Access, AdminTokens, Operator, is_loopback_host};

/// Lets requests with a token that may do all pass, and those that look with one that may look.
pub(super) async fn for_all(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let operator = match operator(&state.tokens, &request, "admin.tokens") {
        Ok(operator) => operator,
        Err(refusal) => return refusal.into_response(),
    };
    match operator.access() {
        Access::All => run(operator, request, next).await,
        Access::Read if only_looks(&request) => run(operator, request, next).await,
        Access::Read => read_only().into_response(),
        Access::Mappings => {
            let detail =
                "this token may only read and write mappings; this needs one of admin.tokens";
            Problem::new(StatusCode::FORBIDDEN, detail).into_response()
        }
    }
}

/// Lets requests with a token for mappings pass, too.
pub(super) async fn for_mappings(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    match operator(
        &state.tokens,
        &request,
        "admin.tokens or admin.mapping_tokens",
    ) {
        Ok(operator) if operator.access() == Access::Read && !only_looks(&request) => {
            read_only().into_response()
        }
        Ok(operator) => run(operator, request, next).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn run(operator: Operator, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(operator);
    next.run(request).await
}

fn operator(tokens: &AdminTokens, request: &Request, keys: &str) -> Result<Operator, Problem> {
    let host = request.headers().get(HOST);
    let is_foreign = host.is_some_and(|host| !host.to_str().is_ok_and(is_loopback_host));
    if tokens.is_open() && is_foreign {
        let detail = "without admin.tokens only the names of this machine are answered, such as \
                      localhost; configure a token to use another";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    tokens.bearer(bearer(request)).ok_or_else(|| {
        let detail = format!("needs the header Authorization: Bearer with one of {keys}");
        Problem::new(StatusCode::UNAUTHORIZED, detail)
    })
}

fn only_looks(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn read_only() -> Problem {
    let detail = "this token may only look; this needs one of admin.tokens";
    Problem::new(StatusCode::FORBIDDEN, detail)
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
