//! Who comes in: connections are counted as they are accepted, and shake hands where TLS is spoken.
//!
//! Up to the limit a connection is one like another. Some more are let in and marked as
//! [`Crowded`]: they may ask how we are, since a probe must not take a crowd for a death, and are
//! told to come back for anything else. Beyond those a connection is closed unheard.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Request;
use axum_server::accept::Accept;
use tokio::net::TcpStream;
use tower::Service;

use super::Options;
use crate::http::Crowded;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::tls::Identity;

/// Connections beyond the limit that are let in to be told so.
const SPARE: usize = 32;

/// Lets connections in.
#[derive(Debug, Clone)]
pub(super) struct Door {
    room: Arc<Room>,
    identity: Live<Option<Identity>>,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for a handshake"))]
    patience: Duration,
}

#[derive(Debug)]
struct Room {
    name: &'static str,
    limit: usize,
    taken: AtomicUsize,
    /// Whether it has been said that the limit is reached.
    is_said: AtomicBool,
    metrics: Metrics,
}

/// The place of a connection, until the last of its requests is dropped.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    is_beyond: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.room.taken.fetch_sub(1, Ordering::Relaxed);
        self.room.metrics.connection_closed(self.room.name);
        // Not at each that comes and goes at the limit.
        if before <= self.room.limit / 2 {
            self.room.is_said.store(false, Ordering::Relaxed);
        }
    }
}

impl Door {
    pub(super) fn new(
        options: &Options,
        identity: Live<Option<Identity>>,
        metrics: Metrics,
    ) -> Self {
        Self {
            room: Arc::new(Room {
                name: options.name,
                limit: options.connections,
                taken: AtomicUsize::new(0),
                is_said: AtomicBool::new(false),
                metrics,
            }),
            identity,
            patience: options.read_timeout,
        }
    }

    fn enter(&self) -> Option<Place> {
        let room = &self.room;
        let before = room.taken.fetch_add(1, Ordering::Relaxed);
        room.metrics.connection_opened(room.name);
        let place = Place {
            room: Arc::clone(room),
            is_beyond: before >= room.limit,
        };
        if place.is_beyond && !room.is_said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                listener = room.name,
                limit = room.limit,
                "connection_limit is reached: more connections are turned away"
            );
        }
        (before < room.limit.saturating_add(SPARE)).then_some(place)
    }
}

#[cfg(feature = "tls")]
type Stream = tokio_util::either::Either<tokio_rustls::server::TlsStream<TcpStream>, TcpStream>;
#[cfg(not(feature = "tls"))]
type Stream = TcpStream;

type Entering<S> = Pin<Box<dyn Future<Output = io::Result<(Stream, Seated<S>)>> + Send>>;

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = Stream;
    type Service = Seated<S>;
    type Future = Entering<S>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Some(place) = self.enter() else {
            self.room.metrics.turned_away(self.room.name, "connection");
            return Box::pin(ready(Err(io::Error::other("there is no room"))));
        };
        let service = Seated {
            service,
            place: Arc::new(place),
        };
        let stream = self.greet(stream);
        Box::pin(async move { Ok((stream.await?, service)) })
    }
}

#[cfg(feature = "tls")]
impl Door {
    fn greet(&self, stream: TcpStream) -> impl Future<Output = io::Result<Stream>> + use<> {
        use tokio_util::either::Either;

        let identity = self.identity.now();
        let patience = self.patience;
        async move {
            stream.set_nodelay(true)?;
            let Some(identity) = &*identity else {
                return Ok(Either::Right(stream));
            };
            let acceptor = tokio_rustls::TlsAcceptor::from(identity.server_config());
            let shaken = tokio::time::timeout(patience, acceptor.accept(stream)).await;
            Ok(Either::Left(shaken.map_err(|_| io::ErrorKind::TimedOut)??))
        }
    }
}

#[cfg(not(feature = "tls"))]
impl Door {
    fn greet(&self, stream: TcpStream) -> impl Future<Output = io::Result<Stream>> + use<> {
        debug_assert!(
            self.identity.now().is_none(),
            "the configuration refuses it"
        );
        ready(stream.set_nodelay(true).map(|()| stream))
    }
}

/// What answers the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct Seated<S> {
    service: S,
    place: Arc<Place>,
}

impl<S, B> Service<Request<B>> for Seated<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.place.is_beyond {
            request.extensions_mut().insert(Crowded);
        }
        self.service.call(request)
    }
}
