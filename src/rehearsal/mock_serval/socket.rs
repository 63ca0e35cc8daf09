//! Connections that a handler can cut, so that the peer gets no answer.
//!
//! The next write of a cut connection fails. That write would begin the answer, so the server drops
//! the connection, and the peer sees its end (or a reset) instead of an answer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;

/// Cuts one connection.
#[derive(Debug, Clone)]
pub(super) struct Cut(Arc<AtomicU8>);

impl Cut {
    /// Closes the connection instead of answering.
    pub(super) fn close(&self) {
        self.0.store(CLOSED, Ordering::SeqCst);
    }

    /// Resets the TCP connection instead of answering.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cut.clone()
    }
}

/// A TCP listener whose connections can be cut.
pub(super) struct CuttableListener {
    tcp: TcpListener,
    accepted: Arc<AtomicU64>,
}

impl CuttableListener {
    /// Counts the connections in `accepted`.
    pub(super) fn new(tcp: TcpListener, accepted: Arc<AtomicU64>) -> Self {
        Self { tcp, accepted }
    }
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        // Unlike the method of `TcpListener`, the one of the trait waits after an error.
        let (tcp, peer) = Listener::accept(&mut self.tcp).await;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        // If it cannot be set, answers are slower, but right.
        drop(tcp.set_nodelay(true));
        let cut = Cut(Arc::new(AtomicU8::new(WHOLE)));
        (CuttableStream { tcp, cut }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A connection that can be cut.
pub(super) struct CuttableStream {
    tcp: TcpStream,
    cut: Cut,
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        match self.cut.0.load(Ordering::SeqCst) {
            WHOLE => return Ok(()),
            // If it cannot be set, the peer sees a normal close instead of a reset.
            RESET => drop(self.tcp.set_zero_linger()),
            _ => {}
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
