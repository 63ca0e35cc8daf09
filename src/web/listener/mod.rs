//! A listener: its socket, its limits and its timeouts.
//!
//! Invariant: a peer that is silent or slow keeps a connection no longer than its time limits, and keeps
//! nobody else out meanwhile. The limits below bound the memory that one connection can use.
//!
//! Why not axum's or another ready server: none tells why a connection ended, so what a load balancer sends
//! wrongly would leave no line in the log; and none has one limit for idle connections and another for
//! slow peers.

mod causes;
mod connections;
mod conversation;
mod wire;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::edge::tls::Identity;
use crate::web::refusals::Refusals;
pub use causes::ALL as CAUSES;
use connections::Counter;
pub(super) use connections::{Place, keep, screened};
pub use wire::Limits;

/// Read buffer of a connection, in bytes. It limits the request line with the headers (at most twice
/// this size if they arrive in one piece), and how much of a body is read ahead.
const HEAD_BYTES: usize = 16 * 1024;
/// Headers of a request. A request with more is answered 431.
const HEADERS: usize = 100;

/// Settings of a listener.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// Its time limits for peers.
    pub limits: Limits,
    /// Time limit for open requests to end at a stop.
    pub grace: Duration,
    /// Limit of concurrent connections.
    pub connections: usize,
}

/// A listener that is bound but does not serve yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    options: Options,
    identity: Live<Option<Identity>>,
    metrics: Metrics,
    refusals: Refusals,
}

/// Why nothing can listen on `addr`, which is the value of the setting `key`.
pub fn cannot_listen(key: &str, addr: SocketAddr, error: &std::io::Error) -> String {
    let remedies = [
        (
            ErrorKind::AddrInUse,
            "; another program listens there: stop it, or take another port",
        ),
        (
            ErrorKind::AddrNotAvailable,
            "; this machine has no such address: 0.0.0.0 means all it has",
        ),
        (
            ErrorKind::PermissionDenied,
            "; a port below 1024 is for root: take a higher one",
        ),
    ];
    let remedy = remedies.iter().find(|(kind, _)| *kind == error.kind());
    let remedy = remedy.map_or("", |(_, remedy)| remedy);
    format!("cannot listen on {key} {addr}: {error}{remedy}")
}

impl Listener {
    /// Binds `addr`, which is the value of the setting `key`.
    pub fn bind(
        addr: SocketAddr,
        key: &str,
        options: Options,
        identity: Option<Identity>,
        metrics: Metrics,
        refusals: Refusals,
    ) -> anyhow::Result<Self> {
        let socket =
            TcpListener::bind(addr).map_err(|error| anyhow!(cannot_listen(key, addr, &error)))?;
        Ok(Self {
            socket,
            options,
            identity: Live::new(identity),
            metrics,
            refusals,
        })
    }

    /// Address of the socket.
    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Certificate and key for new connections; `None`: no TLS.
    pub fn identity(&self) -> Live<Option<Identity>> {
        self.identity.clone()
    }

    /// Serves until `soft`; then waits for open requests until the grace period or `hard` ends.
    pub async fn serve(
        self,
        router: Router,
        soft: CancellationToken,
        hard: CancellationToken,
    ) -> std::io::Result<()> {
        let Options {
            name,
            limits,
            grace,
            connections,
        } = self.options;
        let counter = Counter::new(name, connections, self.metrics, self.refusals.clone());
        let serving = Arc::new(Serving {
            name,
            limits,
            router,
            identity: self.identity,
            refusals: self.refusals,
        });
        self.socket.set_nonblocking(true)?;
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let open = TaskTracker::new();
        let cut = hard.child_token();
        // Connections end with this task, however it ends.
        let _cut = cut.clone().drop_guard();
        loop {
            let accepted = tokio::select! {
                biased;
                () = soft.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    let detail = format!("a connection could not be accepted: {error}");
                    serving.refusals.connection(name, "accept", &detail);
                    // The cause may last, such as a lack of file descriptors.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let place = counter.open(soft.child_token());
            let (serving, cut) = (Arc::clone(&serving), cut.clone());
            open.spawn(async move {
                let served = conversation::serve(serving, stream, peer, place);
                cut.run_until_cancelled_owned(served).await;
            });
        }
        // What is not accepted yet is refused by the system.
        drop(socket);
        open.close();
        tokio::select! {
            () = open.wait() => {}
            () = tokio::time::sleep(grace) => {}
            () = hard.cancelled() => {}
        }
        cut.cancel();
        open.wait().await;
        Ok(())
    }
}

/// All that the connections of a listener share.
#[derive(Debug)]
struct Serving {
    name: &'static str,
    limits: Limits,
    router: Router,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS needs it"))]
    identity: Live<Option<Identity>>,
    refusals: Refusals,
}
