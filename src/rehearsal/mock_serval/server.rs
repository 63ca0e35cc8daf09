//! The running stand-in, and the handle with which tests see and change it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::MockConfig;
use super::fault::Fault;
use super::pairs::{self, Link, Message};
use super::state::{Journal, RecordedConnect, RecordedRequest, Shared};
use super::{access, connect, control, directory, links, observe, socket};

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

    /// Address of the listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The value for `serval.base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Calls `look` with the journal, under a lock: `look` should be short.
    pub fn look<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.shared.state().journal)
    }

    /// The connect calls that are kept, oldest first.
    pub fn connects(&self) -> Vec<RecordedConnect> {
        self.look(|journal| journal.connects.iter().cloned().collect())
    }

    /// The requests that are kept, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.look(|journal| journal.requests.iter().cloned().collect())
    }

    /// The links of all tickets, oldest first.
    pub fn links(&self) -> Vec<Link> {
        self.shared.state().links.all()
    }

    /// Number of connections that were opened to it.
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

    /// The friendly identifier of a ticket, such as `ACM-10`.
    pub fn friendly_identifier(ticket_id: &str) -> String {
        pairs::friendly(ticket_id)
    }

    /// Sets the messages of a ticket.
    pub fn set_messages(&self, ticket_id: &str, messages: Vec<Message>) {
        self.shared
            .state()
            .messages
            .insert(ticket_id.to_owned(), messages);
    }

    /// Makes a ticket unknown.
    pub fn forget_ticket(&self, ticket_id: &str) {
        self.shared
            .state()
            .unknown_tickets
            .insert(ticket_id.to_owned());
    }

    /// Makes a ticket known.
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

    /// Revokes all tokens.
    pub fn revoke_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Clears the journal and its counts. Links stay.
    pub fn clear_journal(&self) {
        self.shared.state().journal.clear();
        self.shared.changed();
    }

    /// Waits until `predicate` holds for the journal. Returns `false` after `timeout`.
    #[must_use = "a wait that timed out proves nothing"]
    pub async fn wait_for(
        &self,
        timeout: Duration,
        mut predicate: impl FnMut(&Journal) -> bool,
    ) -> bool {
        let mut changes = self.shared.changes();
        let wait = async {
            loop {
                // Marked before the look: a change during the look must not be missed.
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

    /// Stops it, and waits until its connections are closed and its port is free.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        if let Some(task) = self.task.take() {
            // The task neither panics nor is it aborted.
            drop(task.await);
        }
    }

    /// Waits until it ends by itself, which happens only if its listener fails.
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

/// The paths of Serval, without the journal and the faults.
fn api() -> Router<Arc<Shared>> {
    access::routes()
        .merge(connect::routes())
        .merge(links::routes())
        .merge(directory::routes())
}
