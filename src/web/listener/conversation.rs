//! One connection, from the TLS handshake to its end: hands its requests to the router, and tells why it
//! ends if that is a refusal.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::HOST;
use axum::http::{Request, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::causes::{Fault, cause};
use super::connections::Place;
use super::wire::{Watch, Wire};
use super::{HEAD_BYTES, HEADERS, Serving};
use crate::web::problem::Problem;

/// Serves a connection until its end. When it has to leave, its current request is answered first, unless
/// it is cut.
pub(super) async fn serve(
    serving: Arc<Serving>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
) {
    let watch = Watch::new(serving.limits);
    let spoken = Arc::new(AtomicBool::new(false));
    let requests = Requests {
        serving: Arc::clone(&serving),
        peer,
        place,
        watch: Arc::clone(&watch),
        spoken: Arc::clone(&spoken),
    };
    // Webhooks are small, and each waits for its answer.
    let ended = match stream.set_nodelay(true) {
        Ok(()) => talk(Wire::new(stream, Arc::clone(&watch)), requests).await,
        Err(_) => Err(Fault::Gone),
    };
    let Err(fault) = ended else { return };
    let (opening, missed) = watch.seen();
    let fault = missed.unwrap_or(fault);
    if let Some((cause, detail)) = cause(&opening, !spoken.load(Ordering::Relaxed), fault) {
        serving.refusals.connection(serving.name, cause, detail);
    }
}

#[cfg(feature = "tls")]
async fn talk(wire: Wire, requests: Requests) -> Result<(), Fault> {
    let identity = requests.serving.identity.now();
    let Some(identity) = &*identity else {
        return speak_http(wire, requests).await;
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(identity.server_config());
    let stream = tokio::select! {
        biased;
        () = requests.place.left() => return Ok(()),
        // rustls has found a fault in what the peer said, or the peer went away.
        accepted = acceptor.accept(wire) => accepted.map_err(|error| {
            if error.kind() == std::io::ErrorKind::InvalidData { Fault::Handshake } else { Fault::Gone }
        })?,
    };
    requests.watch.encrypted();
    speak_http(stream, requests).await
}

#[cfg(not(feature = "tls"))]
async fn talk(wire: Wire, requests: Requests) -> Result<(), Fault> {
    speak_http(wire, requests).await
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    requests: Requests,
) -> Result<(), Fault> {
    let place = requests.place.clone();
    let answer = service_fn(|request| requests.answer(request));
    let connection = http1::Builder::new()
        // `wire` has the time limits.
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        // A peer that has nothing more to say may still listen.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        () = place.left() => {
            if place.is_cut() {
                return Ok(());
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = connection.as_mut() => ended,
    };
    ended.map_err(|error| {
        if error.is_parse_version_h2() {
            Fault::Http2
        } else if error.is_parse_too_large() {
            Fault::TooLarge
        } else if error.is_incomplete_message() {
            Fault::Incomplete
        } else if error.is_parse() {
            Fault::NotHttp
        } else {
            Fault::Gone
        }
    })
}

/// Answers the requests of one connection.
struct Requests {
    serving: Arc<Serving>,
    peer: SocketAddr,
    place: Place,
    watch: Arc<Watch>,
    /// True once a request was read.
    spoken: Arc<AtomicBool>,
}

impl Requests {
    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Watched>, std::convert::Infallible>> + use<> {
        self.watch.begin();
        self.place.begin();
        self.spoken.store(true, Ordering::Relaxed);
        let serving = Arc::clone(&self.serving);
        let watch = Arc::clone(&self.watch);
        let place = self.place.clone();
        let peer = self.peer.ip().to_canonical();
        request.extensions_mut().insert(place.clone());
        async move {
            let path = request.uri().path().to_owned();
            let response = if has_host(&request) {
                serving
                    .router
                    .clone()
                    .oneshot(request.map(Body::new))
                    .await?
            } else {
                let detail = "HTTP/1.1 needs one Host header";
                let problem = Problem::new(StatusCode::BAD_REQUEST, detail);
                problem.because("no_host").into_response()
            };
            let (name, refusals) = (serving.name, &serving.refusals);
            refusals.request(name, peer, &path, &response);
            Ok(response.map(|body| Watched { body, watch, place }))
        }
    }
}

/// RFC 9112, section 3.2. A request of HTTP/1.0, such as some load balancers' probe, needs none.
fn has_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_old = request.version() < Version::HTTP_11;
    (hosts.next().is_some() || is_old) && hosts.next().is_none()
}

/// The body of an answer. Its end is the end of the request.
struct Watched {
    body: Body,
    watch: Arc<Watch>,
    place: Place,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.end();
        self.place.end();
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
