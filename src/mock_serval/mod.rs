//! A stand-in for Serval, for rehearsals and tests: strict about requests, with faults to switch on.
//!
//! It answers what Serval's public API documents and keeps what arrived. It is no part of the daemon:
//! nothing but `mock-serval`, `demo` and tests starts one, and its `/_…` paths ask for no credential.

mod access;
mod connect;
mod control;
mod directory;
mod fault;
mod links;
mod observe;
mod reply;
mod socket;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use directory::{SERVICENOW_INTEGRATION, SLACK_INTEGRATION, TEAM};
pub use fault::{Effect, Endpoint, Fault, InvalidFault, RetryAfter};
pub use links::{Link, Message};
pub use reply::Dialect;
pub use state::{Journal, RecordedConnect, RecordedRequest};

use state::Shared;

/// How the stand-in behaves. The default is a Serval where all is well.
#[derive(Debug, Clone)]
pub struct MockConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The client id that the token endpoint accepts.
    pub client_id: String,
    /// The client secret that the token endpoint accepts.
    pub client_secret: SecretString,
    /// A bearer token that is always good.
    pub bearer_token: Option<SecretString>,
    /// The life of the tokens it gives, in seconds. `None`: an hour, but the answer does not say.
    pub expires_in: Option<u64>,
    /// How errors are written.
    pub dialect: Dialect,
    /// What connecting a pair again answers.
    pub repeat: Repeat,
    /// When set, the only tickets that exist. Otherwise every id is one.
    pub known_tickets: Option<BTreeSet<String>>,
    /// Tickets that do not exist, whatever else is set.
    pub unknown_tickets: BTreeSet<String>,
    /// The messages of tickets, by ticket id.
    pub messages: BTreeMap<String, Vec<Message>>,
    /// Faults from the start.
    pub faults: Vec<Fault>,
    /// Requests, and connects, that are remembered; older ones are only counted.
    pub keep: usize,
    /// Fixes the dice of faults with a `rate`.
    pub seed: Option<u64>,
}

/// What connecting a pair again answers. Serval does not document it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// 200, as the first time.
    #[default]
    Accepted,
    /// 409 `already_exists`.
    Conflict,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            client_id: "mock-client".to_owned(),
            client_secret: "mock-secret".to_owned().into(),
            bearer_token: None,
            expires_in: Some(3600),
            dialect: Dialect::default(),
            repeat: Repeat::default(),
            known_tickets: None,
            unknown_tickets: BTreeSet::new(),
            messages: BTreeMap::new(),
            faults: Vec::new(),
            keep: 10_000,
            seed: None,
        }
    }
}

/// A running stand-in. It ends when dropped.
#[derive(Debug)]
pub struct MockServal {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl MockServal {
    /// Starts one. Needs a tokio runtime.
    pub async fn start(config: MockConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config));
        let serving = serve(listener, Arc::clone(&shared));
        #[expect(
            clippy::disallowed_methods,
            reason = "the stand-in is no part of the daemon; it ends with its handle"
        )]
        let task = tokio::spawn(serving);
        Ok(Self {
            addr,
            shared,
            task: Some(task),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What `serval.base_url` should be.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Looks at what arrived, under a lock: `look` should be short.
    pub fn look<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.shared.state().journal)
    }

    /// The connect calls that arrived and are remembered, oldest first.
    pub fn connects(&self) -> Vec<RecordedConnect> {
        self.look(|journal| journal.connects.iter().cloned().collect())
    }

    /// The requests that arrived and are remembered, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.look(|journal| journal.requests.iter().cloned().collect())
    }

    /// The links of all tickets, oldest first.
    pub fn links(&self) -> Vec<Link> {
        self.shared.state().links.all()
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Adds a link, as Serval's own synchronisation might.
    pub fn add_link(&self, ticket_id: &str, external_id: &str, source_type: &str) {
        self.shared
            .state()
            .links
            .add(ticket_id, external_id, source_type, "native");
    }

    /// The name for people, such as `ACM-10`, that a ticket has here.
    pub fn friendly_identifier(ticket_id: &str) -> String {
        links::friendly(ticket_id)
    }

    /// Sets the messages of a ticket.
    pub fn set_messages(&self, ticket_id: &str, messages: Vec<Message>) {
        self.shared
            .state()
            .messages
            .insert(ticket_id.to_owned(), messages);
    }

    /// Makes tickets unknown from now on.
    pub fn forget_ticket(&self, ticket_id: &str) {
        self.shared
            .state()
            .unknown_tickets
            .insert(ticket_id.to_owned());
    }

    /// Makes a ticket known from now on.
    pub fn add_ticket(&self, ticket_id: &str) {
        let mut state = self.shared.state();
        state.unknown_tickets.remove(ticket_id);
        if let Some(known) = &mut state.known_tickets {
            known.insert(ticket_id.to_owned());
        }
    }

    /// Replaces the faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.state().faults = faults;
    }

    /// Makes every token given so far worthless.
    pub fn revoke_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Forgets what arrived, the counts too. Links stay.
    pub fn clear_journal(&self) {
        self.shared.state().journal.clear();
        self.shared.changed();
    }

    /// Waits until `predicate` holds of what arrived; `false` when `timeout` came first.
    #[must_use = "a wait that timed out proves nothing"]
    pub async fn wait_for(
        &self,
        timeout: Duration,
        mut predicate: impl FnMut(&Journal) -> bool,
    ) -> bool {
        let mut changes = self.shared.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if self.look(&mut predicate) {
                    return;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(timeout, wait).await.is_ok()
    }

    /// Ends it, and waits until its connections are closed and its port is free.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        if let Some(task) = self.task.take() {
            // The task neither panics nor is it aborted.
            drop(task.await);
        }
    }

    /// Waits until it ends by itself, which it does only when its listener fails.
    pub async fn ended(&mut self) {
        if let Some(task) = &mut self.task {
            drop(task.await);
            self.task = None;
        }
    }
}

impl Drop for MockServal {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let stop: CancellationToken = shared.stop.clone();
    let listener = socket::CuttableListener::new(listener, Arc::clone(&shared.accepted));
    let app: Router = control::routes()
        .merge(observe::watched(api(), &shared))
        .with_state(shared);
    let served = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<socket::Cut>(),
    )
    .with_graceful_shutdown(stop.cancelled_owned())
    .await;
    if let Err(error) = served {
        tracing::error!(%error, "the Serval stand-in ended");
    }
}

/// The paths that Serval has, without what watches over them.
fn api() -> Router<Arc<Shared>> {
    access::routes()
        .merge(connect::routes())
        .merge(links::routes())
        .merge(directory::routes())
}
