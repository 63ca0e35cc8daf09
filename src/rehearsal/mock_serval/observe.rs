//! Runs before every path of the API: keeps the journal, applies faults, checks the token.

use std::collections::HashMap;
use std::sync::Arc;

use axum::RequestExt;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use super::fault::{Effect, Endpoint, Fault};
use super::socket::Cut;
use super::state::{Fate, RecordedRequest, Shared};
use super::{access, connect};
use crate::edge::clock::{Clock, SystemClock};
use crate::serval::Code;

/// Size limit of a body.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Puts the checks before the routes of the API.
pub(super) fn watched(routes: Router<Arc<Shared>>, shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    routes.route_layer(from_fn_with_state(Arc::clone(shared), observe))
}

async fn observe(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    mut request: Request,
    next: Next,
) -> Response {
    let ticket = ticket(&mut request).await;
    let endpoint = endpoint(&request);
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let authorised = match endpoint {
        Endpoint::Token => access::knows(&shared, &parts.headers),
        Endpoint::Connect
        | Endpoint::ExternalTickets
        | Endpoint::Tickets
        | Endpoint::Messages
        | Endpoint::Directory => bearer(&parts.headers).is_some_and(|token| shared.accepts(token)),
    };
    // The request is recorded before any fault: tests count also the calls that get no answer.
    let (latency, fault) = {
        let mut state = shared.state();
        state.journal.add_request(RecordedRequest {
            number: 0,
            at: SystemClock.now(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            endpoint,
            ticket_id: ticket.clone(),
            authorised,
            body: if endpoint == Endpoint::Token {
                Bytes::new()
            } else {
                body.clone()
            },
        });
        state.strike(endpoint, ticket.as_deref())
    };
    shared.changed();
    if !latency.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(latency) => {}
            () = shared.stop.cancelled() => {}
        }
    }

    let is_connect = endpoint == Endpoint::Connect && parts.method == http::Method::POST;
    let call = Call {
        shared: &shared,
        cut: &cut,
        connect: ticket.as_deref().filter(|_| is_connect && authorised),
        body: &body,
    };
    // These faults end the call before its token is checked, as a proxy in front of Serval would.
    let effect = fault.as_ref().map_or(Effect::None, |fault| fault.effect);
    match (effect, fault) {
        (Effect::Status(status), Some(fault)) => return call.refuse(status, &fault),
        (Effect::Reset, _) => return call.reset(),
        (Effect::Hang, _) => return call.hang().await,
        (Effect::None | Effect::Drop | Effect::Status(_), _) => {}
    }
    if !authorised && endpoint != Endpoint::Token {
        return shared.refuse(
            Code::Unauthenticated,
            "the bearer token is missing, unknown or expired",
        );
    }
    // `drop` carries the call out, and cuts the connection only afterwards.
    let fate = if effect == Effect::Drop {
        Fate::Lost
    } else {
        Fate::Answered
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(fate);
    let response = next.run(request).await;
    if fate == Fate::Lost {
        cut.close();
    }
    response
}

/// A call that a fault concerns.
struct Call<'a> {
    shared: &'a Shared,
    cut: &'a Cut,
    /// The Serval ticket, if the call is an authorised connect.
    connect: Option<&'a str>,
    body: &'a Bytes,
}

impl Call<'_> {
    fn refuse(&self, status: u16, fault: &Fault) -> Response {
        self.record(Some(status));
        let dialect = fault.dialect.unwrap_or(self.shared.config.dialect);
        let code = code_of(status);
        let mut response = dialect.error(status, code, "a fault was asked for");
        if let Some(retry_after) = fault.retry_after {
            retry_after.add_to(&mut response);
        }
        response
    }

    fn reset(&self) -> Response {
        self.record(None);
        self.cut.reset();
        StatusCode::NO_CONTENT.into_response()
    }

    async fn hang(&self) -> Response {
        self.record(None);
        self.shared.stop.cancelled().await;
        self.cut.close();
        StatusCode::NO_CONTENT.into_response()
    }

    fn record(&self, answered: Option<u16>) {
        if let Some(ticket) = self.connect {
            let mut record = connect::record(ticket, self.body);
            record.answered = answered;
            self.shared.state().journal.add_connect(record);
            self.shared.changed();
        }
    }
}

/// The code that Serval would most likely give with a status.
fn code_of(status: u16) -> Option<Code> {
    match status {
        408 => Some(Code::DeadlineExceeded),
        500 => Some(Code::Internal),
        502 => Some(Code::Unavailable),
        status => Code::ALL
            .into_iter()
            .find(|code| code.http_status() == status),
    }
}

async fn ticket(request: &mut Request) -> Option<String> {
    let Path(mut names) = request
        .extract_parts::<Path<HashMap<String, String>>>()
        .await
        .ok()?;
    names.remove("ticket_id")
}

fn endpoint(request: &Request) -> Endpoint {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    match path.rsplit('/').next().unwrap_or_default() {
        "token" => Endpoint::Token,
        "connect" | "{source_id}" => Endpoint::Connect,
        "external-tickets" => Endpoint::ExternalTickets,
        "messages" | "external-messages" => Endpoint::Messages,
        "tickets" | "{ticket_id}" => Endpoint::Tickets,
        _ => Endpoint::Directory,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}
