//! The calls to Serval.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{RequestBuilder, Url};

use super::auth::Tokens;
use super::code::Code;
use super::error::{Refusal, ServalError};
use super::exchange::{Answered, Exchange, MAX_ANSWER, MAX_LIST};
use super::records::{
    AppInstance, ExternalTicketLink, Integration, Listed, One, Page, Team, Ticket, UNNAMED,
};
use super::request::{Answer, ConnectRequest};
use super::route::{Route, route};
use super::setup::{self, InvalidServalConfig};
use super::token::Token;
use crate::config::ServalConfig;
use crate::domain::ids::{ExternalId, ServalTicketId};
use crate::edge::blot::Blot;
use crate::edge::clock::SharedClock;
use crate::edge::outbound;

/// The header of W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Most pages that are read of a list: a server that never ends one must not occupy us forever.
const MAX_PAGES: usize = 1000;

/// A client of Serval's API. Clones share the connections and the token.
#[derive(Debug, Clone)]
pub struct ServalClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Url,
    exchange: Exchange,
    tokens: Tokens,
}

/// A request, and its name in errors.
pub(super) struct Call {
    pub(super) request: RequestBuilder,
    name: String,
}

impl ServalClient {
    /// Builds a client that keeps up to `idle_connections` open between calls. If the configuration
    /// has both client credentials and a bearer token, it uses the client credentials, because they
    /// are renewed. The credentials are added to the secrets of `blot`, which no error repeats.
    pub fn new(
        config: &ServalConfig,
        clock: SharedClock,
        idle_connections: usize,
        blot: Blot,
    ) -> Result<Self, InvalidServalConfig> {
        let base = setup::base_url(&config.base_url)?;
        // The TLS library panics in the first handshake if no provider is installed, so this comes
        // before any client is built. A second call does nothing.
        outbound::install_tls_provider();
        let client = outbound::client(outbound::Limits {
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            idle_connections,
            is_local: outbound::is_local(&config.base_url),
        })
        .map_err(InvalidServalConfig::Client)?;
        blot.add(&setup::secrets(config));
        let exchange = Exchange {
            client,
            clock,
            blot,
        };
        let tokens = setup::tokens(config, &base, &exchange)?;
        Ok(Self(Arc::new(Inner {
            base,
            exchange,
            tokens,
        })))
    }

    /// The client's source of tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Connects a Serval ticket to an external ticket, if `is_wanted` says so just before the request is
    /// sent: a token may take seconds. `None`: nothing was sent.
    pub async fn connect<Wanted: Future<Output = bool>>(
        &self,
        request: &ConnectRequest,
        is_wanted: impl Fn() -> Wanted,
    ) -> Result<Option<Answer>, ServalError> {
        let route = self.route("tickets/{ticket}/connect", &[request.ticket_id.as_str()]);
        let mut call = self.post(route, Bytes::from(request.body()));
        if let Some(traceparent) = &request.traceparent {
            let value = HeaderValue::from_str(traceparent.as_str());
            let value = value.expect("only hex digits and dashes");
            call.request = call.request.header(TRACEPARENT, value);
        }
        let answered = self.call_if(call, MAX_ANSWER, is_wanted).await?;
        Ok(answered.map(|answered| Answer {
            status: answered.status.as_u16(),
            request_id: answered.request_id(),
        }))
    }

    /// The external tickets that a Serval ticket is linked to. Serval documents no pages for this list;
    /// they are followed nevertheless.
    pub async fn external_tickets(
        &self,
        ticket: &ServalTicketId,
    ) -> Result<Vec<ExternalTicketLink>, ServalError> {
        self.list(self.route("tickets/{ticket}/external-tickets", &[ticket.as_str()]))
            .await
    }

    /// True if Serval links one of these external ids to this ticket.
    pub async fn is_linked(
        &self,
        ticket: &ServalTicketId,
        external_ids: &[ExternalId],
    ) -> Result<bool, ServalError> {
        let links = self.external_tickets(ticket).await?;
        Ok(links.iter().any(|link| {
            let mut wanted = external_ids.iter().map(ExternalId::as_str);
            wanted.any(|id| link.external_ticket_id.eq_ignore_ascii_case(id))
        }))
    }

    /// A ticket, or `None` if Serval does not know it. `invalid_argument` counts as that, too: the id is
    /// the only argument.
    pub async fn ticket(&self, ticket: &ServalTicketId) -> Result<Option<Ticket>, ServalError> {
        let route = self.route("tickets/{ticket}", &[ticket.as_str()]);
        match self.call(self.get(route), MAX_LIST).await {
            Err(ServalError::Refused(Refusal {
                // An id that Serval cannot parse names no ticket. To the caller that is the same as
                // an unknown one.
                code: Code::InvalidArgument | Code::NotFound,
                ..
            })) => Ok(None),
            Err(error) => Err(error),
            Ok(answered) => {
                let One { data } = answered.json()?;
                // A gateway may answer 200 with JSON of its own. A ticket always has an id, so an
                // answer without one is not Serval's.
                if Listed::is_named(&data) {
                    Ok(Some(data))
                } else {
                    Err(answered.foreign(UNNAMED))
                }
            }
        }
    }

    /// Checks that Serval accepts our credentials.
    pub async fn check_credentials(&self) -> Result<(), ServalError> {
        if self.0.tokens.renewable() {
            self.0.tokens.token().await.map(drop)
        } else {
            self.teams().await.map(drop)
        }
    }

    /// Checks that Serval accepts calls with our credentials: the token endpoint may give a token
    /// that calls are refused with. Any answer to a call proves it, also that the token's rights do
    /// not suffice.
    pub async fn check_access(&self) -> Result<(), ServalError> {
        match self.teams().await {
            Err(ServalError::Refused(Refusal {
                code:
                    Code::PermissionDenied
                    | Code::NotFound
                    | Code::InvalidArgument
                    | Code::FailedPrecondition
                    | Code::Unimplemented,
                ..
            })) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// The teams of the organization.
    pub async fn teams(&self) -> Result<Vec<Team>, ServalError> {
        self.list(self.route("teams", &[])).await
    }

    /// The systems that a team has connected.
    pub async fn app_instances(&self, team_id: &str) -> Result<Vec<AppInstance>, ServalError> {
        let mut route = self.route("app-instances", &[]);
        route.url.query_pairs_mut().append_pair("teamId", team_id);
        self.list(route).await
    }

    /// The integrations of an app instance.
    pub async fn integrations(&self, app_instance: &str) -> Result<Vec<Integration>, ServalError> {
        self.list(self.route("app-instances/{app}/integrations", &[app_instance]))
            .await
    }

    /// Reads a list to its end, following `nextPageToken`. Asks for no page size: not every list
    /// documents one, and every list has a default.
    pub(super) async fn list<T: Listed>(&self, route: Route) -> Result<Vec<T>, ServalError> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        for n in 1.. {
            let (data, token) = self.page(&route, next.as_deref(), n >= MAX_PAGES).await?;
            items.extend(data);
            if token.is_none() {
                break;
            }
            next = token;
        }
        Ok(items)
    }

    /// Reads one page of a list: the first, or the one that `token` names. Returns also the token of
    /// the next page. `is_last`: no further page would be read, so a page that names one is an error.
    pub(super) async fn page<T: Listed>(
        &self,
        route: &Route,
        token: Option<&str>,
        is_last: bool,
    ) -> Result<(Vec<T>, Option<String>), ServalError> {
        let mut route = route.clone();
        if let Some(token) = token {
            let mut query = route.url.query_pairs_mut();
            query.append_pair("pageToken", token);
        }
        let answered = self.call(self.get(route), MAX_LIST).await?;
        let page: Page<T> = answered.json()?;
        let next = page.next_page_token.clone();
        let data = page.items().map_err(|what| answered.foreign(what))?;
        // What such a page leaves out is unknown, and it would be read over and over. An empty page may have a next one.
        let next = next.filter(|next| !next.is_empty());
        if next.is_some() && next.as_deref() == token {
            return Err(answered.foreign("a page that names itself as the next one"));
        }
        if next.is_some() && is_last {
            return Err(answered.foreign("a list that does not end"));
        }
        Ok((data, next))
    }

    pub(super) fn get(&self, route: Route) -> Call {
        self.request(&Method::GET, route)
    }

    pub(super) fn post(&self, route: Route, body: Bytes) -> Call {
        let mut call = self.request(&Method::POST, route);
        let request = call.request.header(CONTENT_TYPE, "application/json");
        call.request = request.body(body);
        call
    }

    pub(super) fn delete(&self, route: Route) -> Call {
        self.request(&Method::DELETE, route)
    }

    fn request(&self, method: &Method, route: Route) -> Call {
        let Route { url, name } = route;
        Call {
            request: self.0.exchange.client.request(method.clone(), url),
            name: format!("{method} {name}"),
        }
    }

    /// Makes a call. Returns only a success.
    pub(super) async fn call(&self, call: Call, limit: usize) -> Result<Answered, ServalError> {
        let answered = self.call_if(call, limit, || async { true }).await?;
        Ok(answered.expect("it is always wanted"))
    }

    /// Makes a call with a token; after a 401 once more with a new token, unless the answer asks to wait.
    /// Returns only a success, or `None` if the call is not wanted any more.
    pub(super) async fn call_if<Wanted: Future<Output = bool>>(
        &self,
        call: Call,
        limit: usize,
        is_wanted: impl Fn() -> Wanted,
    ) -> Result<Option<Answered>, ServalError> {
        let tokens = &self.0.tokens;
        let is_unauthenticated = |answered: &Answered| answered.status == StatusCode::UNAUTHORIZED;
        let mut token = tokens.token().await?;
        if !is_wanted().await {
            return Ok(None);
        }
        let mut answered = self.send(&call, &token, limit).await?;
        if is_unauthenticated(&answered) && tokens.renewable() {
            tokens.invalidate(&token);
            if !answered.asks_to_wait() {
                token = tokens.token().await?;
                if !is_wanted().await {
                    return Ok(None);
                }
                answered = self.send(&call, &token, limit).await?;
            }
        }
        match answered.verdict(false) {
            Ok(()) => Ok(Some(answered)),
            // A 401 for a fresh token, for one that cannot be replaced, or one that asks to wait.
            Err(error) if is_unauthenticated(&answered) => Err(error.into_credentials_refused()),
            // Such a call names nothing that may be missing: the server does not have the call.
            Err(ServalError::Refused(refusal))
                if refusal.code == Code::NotFound && !call.name.contains('{') =>
            {
                let code = Code::Unimplemented;
                Err(ServalError::Refused(Refusal { code, ..refusal }))
            }
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        call: &Call,
        token: &Token,
        limit: usize,
    ) -> Result<Answered, ServalError> {
        let request = call.request.try_clone().expect("the body is in memory");
        let request = request.header(AUTHORIZATION, token.header.clone());
        self.0.exchange.send(request, &call.name, limit).await
    }

    pub(super) fn route(&self, path: &str, ids: &[&str]) -> Route {
        route(&self.0.base, path, ids)
    }
}
