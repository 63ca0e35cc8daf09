//! Checks the token of a request to the API, and its scope.

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::edge::live::Live;
use crate::operators::{Access, Operator};
use crate::web::listener;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Scope that a group of routes needs. A read-only token may use GET in both groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Mappings,
}

/// Middleware: refuses requests whose token is unknown or has too small a scope.
pub(super) async fn check(
    State((state, scope)): State<(Live<AppState>, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let operator = operator(&state.now(), &request, scope)?;
    // Methods that change nothing need only the right to read.
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let detail = match operator.access() {
        Access::Read if !is_read => "this token may only view; this needs one of admin.tokens",
        Access::Mappings if scope == Scope::All => {
            "this token may only read and write mappings; this needs one of admin.tokens"
        }
        Access::All | Access::Read | Access::Mappings => {
            listener::keep(request.extensions());
            request.extensions_mut().insert(operator);
            return Ok(next.run(request).await);
        }
    };
    Err(Problem::new(StatusCode::FORBIDDEN, detail).because("scope"))
}

/// Finds the operator of a request.
fn operator(state: &AppState, request: &Request, scope: Scope) -> Result<Operator, Problem> {
    let admitted = state.operators.admit(bearer(request));
    admitted.ok_or_else(|| {
        let keys = match scope {
            Scope::All => "admin.tokens",
            Scope::Mappings => "admin.tokens or admin.mapping_tokens",
        };
        let detail = format!("needs the header Authorization: Bearer with one of {keys}");
        Problem::new(StatusCode::UNAUTHORIZED, detail).because("token")
    })
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
