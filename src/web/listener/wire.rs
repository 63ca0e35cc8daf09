//! The socket of one connection, with the time limits for its silence.
//!
//! A peer has `read_timeout` for the TLS handshake, for the first request of the connection, and for the
//! rest of a later request of which the first byte has arrived. It has `keep_alive` to begin a later request.
//! While a request is handled, the handler limits the time. A peer that takes nothing of its answer for
//! `read_timeout` is cut off: the system wakes a writer only when a good part of its buffer is free, so a
//! peer that takes a byte now and then is cut off, too.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::causes::{Fault, OPENING};

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the TLS handshake, and again for the headers of each request.
    pub read_timeout: Duration,
    /// For the wait between two requests.
    pub keep_alive: Duration,
}

/// The wait of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The handshake, or the head of a request.
    Head { until: Instant, has_begun: bool },
    /// The end of a request that is handled.
    Busy,
    /// The next request.
    Idle { until: Instant },
}

/// State of a connection, for its socket and its requests.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    phase: Phase,
    opening: Vec<u8>,
    is_encrypted: bool,
    has_timed_out: bool,
    has_stalled: bool,
}

impl Watch {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let seen = Seen {
            phase: limits.head(false),
            opening: Vec::new(),
            is_encrypted: false,
            has_timed_out: false,
            has_stalled: false,
        };
        Arc::new(Self {
            limits,
            seen: Mutex::new(seen),
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The TLS handshake is done. Gives the peer time for the head of a request. Its further bytes are
    /// encrypted, and those of the handshake do not tell what is wrong with a request.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS needs it"))]
    pub(super) fn encrypted(&self) {
        self.with(|seen| {
            seen.phase = self.limits.head(false);
            seen.is_encrypted = true;
            seen.opening.clear();
        });
    }

    /// Leaves the time to the handler of a request.
    pub(super) fn begin(&self) {
        self.with(|seen| seen.phase = Phase::Busy);
    }

    /// Gives the peer time to begin the next request.
    pub(super) fn end(&self) {
        let until = later(self.limits.keep_alive);
        self.with(|seen| seen.phase = Phase::Idle { until });
    }

    /// The first bytes of a connection without TLS, and the time limit that the peer missed.
    pub(super) fn seen(&self) -> (Vec<u8>, Option<Fault>) {
        self.with(|seen| {
            let stalled = seen.has_stalled.then_some(Fault::Unread);
            let slow = seen.has_timed_out.then_some(Fault::Slow);
            (seen.opening.clone(), stalled.or(slow))
        })
    }

    fn arrived(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.with(|seen| {
            if !seen.is_encrypted {
                let room = OPENING.saturating_sub(seen.opening.len());
                seen.opening.extend(bytes.iter().take(room));
            }
            match &mut seen.phase {
                Phase::Head { has_begun, .. } => *has_begun = true,
                Phase::Idle { .. } => seen.phase = self.limits.head(true),
                Phase::Busy => {}
            }
        });
    }
}

impl Limits {
    fn head(self, has_begun: bool) -> Phase {
        let until = later(self.read_timeout);
        Phase::Head { until, has_begun }
    }
}

fn later(by: Duration) -> Instant {
    Instant::now() + by
}

/// A socket that ends when its peer is silent for too long.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    watch: Arc<Watch>,
    timer: Pin<Box<Sleep>>,
    /// Ends a write that waits for the peer to read; `None`: none waits.
    writing: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        let timer = Box::pin(tokio::time::sleep(watch.limits.read_timeout));
        Self {
            stream,
            watch,
            timer,
            writing: None,
        }
    }

    /// Waits for the end of the peer's time.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.watch.with(|seen| seen.phase);
        // A peer that has said nothing is refused nothing: its connection just ends.
        let (until, is_refused) = match phase {
            Phase::Head { until, has_begun } => (until, has_begun),
            Phase::Idle { until } => (until, false),
            Phase::Busy => return Poll::Pending,
        };
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        ready!(self.timer.as_mut().poll(context));
        if !is_refused {
            return Poll::Ready(Ok(()));
        }
        self.watch.with(|seen| seen.has_timed_out = true);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Passes on the result of a write. One that waits gets the time limit of its peer.
    fn poll_written<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        // The peer has read something, so its next pause gets the whole time again.
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let limit = self.watch.limits.read_timeout;
        let timer = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(context));
        self.watch.with(|seen| seen.has_stalled = true);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                this.watch.arrived(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_silence(context),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.poll_written(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.poll_written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
