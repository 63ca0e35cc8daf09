//! Connections that can be cut from inside a handler, so that a peer sees no answer at all.
//!
//! A cut connection fails its next write, which is that of the answer's first bytes; the server then
//! drops it, and the peer sees the end (or a reset) where the answer should have begun.

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

/// The way to cut one connection.
#[derive(Debug, Clone)]
pub(super) struct Cut(Arc<AtomicU8>);

impl Cut {
    /// Ends the connection in good order, instead of the answer.
    pub(super) fn close(&self) {
        self.0.store(CLOSED, Ordering::SeqCst);
    }

    /// Ends the connection with a TCP reset, instead of the answer.
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
        // The listener's own method gives errors back; this one waits them out.
        let (tcp, peer) = Listener::accept(&mut self.tcp).await;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        // Slower without, never wrong.
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
            // If it cannot be set, the peer sees an end instead of a reset.
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
