//! A listener: its socket, who may come in, and how long they may take to speak.
//!
//! Invariant: nobody holds a place without using it for longer than the read timeout, and what a
//! stranger can make us keep in memory is bounded by the limits below.

mod door;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum_server::Handle;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::metrics::Metrics;
use crate::tls::Identity;
use door::Door;

/// Bytes of the line and the headers of a request, of which twice as many may come in one piece; also
/// how much of a body is read ahead.
const HEAD_BYTES: usize = 32 * 1024;
/// Headers of a request. More are answered 431.
const HEADERS: usize = 100;

/// What a listener is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// How long a peer may take for its hands' shake, and for the headers of each request.
    pub read_timeout: Duration,
    /// How long open exchanges may take to end at a stop.
    pub grace: Duration,
    /// Connections at once.
    pub connections: usize,
}

/// A listener that has its address and does not serve yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    options: Options,
    identity: Live<Option<Identity>>,
    metrics: Metrics,
}

impl Listener {
    /// Binds `addr`, which stands in the configuration as `key`.
    pub fn bind(
        addr: SocketAddr,
        key: &str,
        options: Options,
        identity: Option<Identity>,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let socket =
            TcpListener::bind(addr).with_context(|| format!("cannot listen on {key} {addr}"))?;
        Ok(Self {
            socket,
            options,
            identity: Live::new(identity),
            metrics,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What it proves itself with to whoever connects from now on; `None`: it speaks no TLS.
    pub fn identity(&self) -> Live<Option<Identity>> {
        self.identity.clone()
    }

    /// Serves until `soft`, then lets open exchanges end within the grace period, or until `hard`.
    pub async fn serve(
        self,
        router: Router,
        soft: CancellationToken,
        hard: CancellationToken,
    ) -> std::io::Result<()> {
        let options = self.options;
        let handle = Handle::new();
        let door = Door::new(&options, self.identity, self.metrics);
        let mut server = axum_server::from_tcp(self.socket)?
            .acceptor(door)
            .http1_only()
            .first_request_timeout(options.read_timeout)
            .handle(handle.clone());
        server
            .http_builder()
            .http1()
            // It runs while a connection waits for its next request, too.
            .header_read_timeout(options.read_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES);
        let stop = async {
            soft.cancelled().await;
            handle.graceful_shutdown(Some(options.grace));
            hard.cancelled().await;
            handle.shutdown();
            std::future::pending::<()>().await;
        };
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::select! {
            result = server.serve(service) => result,
            () = stop => Ok(()),
        }
    }
}
