//! The calls to Serval.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::auth::{Tokens, credentials_refused};
use super::code::Code;
use super::error::ServalError;
use super::exchange::{self, Exchange, MAX_ANSWER, MAX_LIST};
use super::records::{AppInstance, ExternalTicketLink, Integration, One, Page, Team, Ticket};
use super::refusal::request_id;
use super::request::{Answer, ConnectRequest};
use super::setup::{self, InvalidServalConfig};
use super::token::Token;
use crate::clock::SharedClock;
use crate::config::ServalConfig;
use crate::domain::ids::ServalTicketId;
use crate::outbound;

/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Pages of a list that are read at most; a server that never ends one must not hold us.
const MAX_PAGES: usize = 1000;

/// A client of Serval's API. Clones share connections and the token.
#[derive(Debug, Clone)]
pub struct ServalClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Url,
    exchange: Exchange,
    tokens: Tokens,
}

impl ServalClient {
    /// Builds a client that keeps up to `idle_connections` open between calls. Client credentials
    /// win over a bearer token, because they renew themselves.
    pub fn new(
        config: &ServalConfig,
        clock: SharedClock,
        idle_connections: usize,
    ) -> Result<Self, InvalidServalConfig> {
        let base = setup::base_url(&config.base_url)?;
        outbound::install_tls_provider();
        let client = outbound::client(outbound::Limits {
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            idle_connections,
            is_local: outbound::is_local(&config.base_url),
        })
        .map_err(InvalidServalConfig::Client)?;
        let exchange = Exchange { client, clock };
        let tokens = setup::tokens(config, &base, &exchange)?;
        Ok(Self(Arc::new(Inner {
            base,
            exchange,
            tokens,
        })))
    }

    /// The tokens that the client uses.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Connects a Serval ticket to an external ticket. A 2xx is a success when its body is empty
    /// or a JSON object; a portal's page with status 200 is not.
    pub async fn connect(&self, request: &ConnectRequest) -> Result<Answer, ServalError> {
        let started = Instant::now();
        let url = self.url(&["tickets", request.ticket_id.as_str(), "connect"]);
        let body = Bytes::from(request.body());
        let mut headers = HeaderMap::new();
        if let Some(traceparent) = &request.traceparent {
            let value = HeaderValue::from_str(traceparent.as_str());
            headers.insert(
                TRACEPARENT,
                value.expect("it is made of hex digits and dashes"),
            );
        }
        let response = self
            .call_with(Method::POST, &url, Some(body), headers)
            .await?;
        let status = response.status().as_u16();
        let request_id = request_id(response.headers());
        exchange::read_empty_or_json(response, MAX_ANSWER).await?;
        Ok(Answer {
            status,
            request_id,
            duration: started.elapsed(),
        })
    }

    /// The external tickets that a Serval ticket is linked to.
    pub async fn external_tickets(
        &self,
        ticket: &ServalTicketId,
    ) -> Result<Vec<ExternalTicketLink>, ServalError> {
        self.list(self.url(&["tickets", ticket.as_str(), "external-tickets"]))
            .await
    }

    /// A ticket, or `None` when Serval knows no such ticket. A 400 `invalid_argument` counts as
    /// that too: the id is the only argument.
    pub async fn ticket(&self, ticket: &ServalTicketId) -> Result<Option<Ticket>, ServalError> {
        let url = self.url(&["tickets", ticket.as_str()]);
        let outcome = self.call(Method::GET, &url, None).await;
        let response = match outcome {
            Err(
                ServalError::Refused { status: 404, .. }
                | ServalError::Refused {
                    status: 400,
                    code: Some(Code::InvalidArgument | Code::NotFound),
                    ..
                },
            ) => return Ok(None),
            outcome => outcome?,
        };
        let One { data } = exchange::read_json(response, MAX_LIST).await?;
        Ok(Some(data))
    }

    /// Whether Serval accepts our credentials.
    pub async fn check_credentials(&self) -> Result<(), ServalError> {
        if self.0.tokens.renewable() {
            self.0.tokens.token().await.map(drop)
        } else {
            self.teams().await.map(drop)
        }
    }

    /// Whether Serval takes calls with our credentials: it may well give a token that it does not
    /// accept. Any answer to the call will do, even one that a token of few rights gets.
    pub async fn check_access(&self) -> Result<(), ServalError> {
        match self.teams().await {
            Err(ServalError::Refused {
                code:
                    Some(
                        Code::PermissionDenied
                        | Code::NotFound
                        | Code::InvalidArgument
                        | Code::FailedPrecondition
                        | Code::Unimplemented,
                    ),
                ..
            }) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// The teams of the organization.
    pub async fn teams(&self) -> Result<Vec<Team>, ServalError> {
        self.list(self.url(&["teams"])).await
    }

    /// The systems that a team has connected.
    pub async fn app_instances(&self, team_id: &str) -> Result<Vec<AppInstance>, ServalError> {
        let mut url = self.url(&["app-instances"]);
        url.query_pairs_mut().append_pair("teamId", team_id);
        self.list(url).await
    }

    /// The integrations of an app instance.
    pub async fn integrations(&self, app_instance: &str) -> Result<Vec<Integration>, ServalError> {
        self.list(self.url(&["app-instances", app_instance, "integrations"]))
            .await
    }

    /// Reads a list to its end, following `nextPageToken`. No page size is asked for: not every
    /// list documents one, and every one has a default.
    pub(super) async fn list<T: DeserializeOwned>(&self, url: Url) -> Result<Vec<T>, ServalError> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let (data, token) = self.page(&url, next.as_deref()).await?;
            items.extend(data);
            if token.is_none() {
                break;
            }
            next = token;
        }
        Ok(items)
    }

    /// Reads the page of a list that a token leads to, or the first; answers the token of the next.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        url: &Url,
        token: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>), ServalError> {
        let mut page_url = url.clone();
        if let Some(token) = token {
            page_url.query_pairs_mut().append_pair("pageToken", token);
        }
        let response = self.call(Method::GET, &page_url, None).await?;
        let page: Page<T> = exchange::read_json(response, MAX_LIST).await?;
        let data = page.data.unwrap_or_default();
        let next = page.next_page_token.filter(|next| {
            // The same token again would be the same page again.
            !next.is_empty() && !data.is_empty() && token != Some(next.as_str())
        });
        Ok((data, next))
    }

    /// Makes a call with a token; after a 401 once more with a new one. Gives back 2xx only.
    pub(super) async fn call(
        &self,
        method: Method,
        url: &Url,
        body: Option<Bytes>,
    ) -> Result<Response, ServalError> {
        self.call_with(method, url, body, HeaderMap::new()).await
    }

    async fn call_with(
        &self,
        method: Method,
        url: &Url,
        body: Option<Bytes>,
        headers: HeaderMap,
    ) -> Result<Response, ServalError> {
        let Inner {
            exchange, tokens, ..
        } = &*self.0;
        let mut token = tokens.token().await?;
        let mut response = self
            .send(&method, url, body.clone(), headers.clone(), &token)
            .await?;
        if exchange::is_unauthenticated(&response) && tokens.renewable() {
            // Read the refusal to its end, so that the connection can serve again.
            drop(exchange.refused(response, &[token.expose()]).await);
            tokens.invalidate(&token);
            token = tokens.token().await?;
            response = self.send(&method, url, body, headers, &token).await?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let unauthenticated = exchange::is_unauthenticated(&response);
        let refusal = exchange.refused(response, &[token.expose()]).await;
        Err(if unauthenticated {
            credentials_refused(refusal)
        } else {
            refusal
        })
    }

    async fn send(
        &self,
        method: &Method,
        url: &Url,
        body: Option<Bytes>,
        headers: HeaderMap,
        token: &Token,
    ) -> Result<Response, ServalError> {
        let exchange = &self.0.exchange;
        let mut request = exchange
            .client
            .request(method.clone(), url.clone())
            .headers(headers)
            .header(AUTHORIZATION, token.header().clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        exchange.send(request).await
    }

    pub(super) fn url(&self, segments: &[&str]) -> Url {
        setup::endpoint(&self.0.base, segments)
    }
}
