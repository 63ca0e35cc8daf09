//! A peer that remembers what it was sent, headers and all, and answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The status, headers and body of an answer.
pub(crate) type Reply = (StatusCode, Vec<(&'static str, String)>, String);

type Answer = fn(&Call) -> Reply;

#[derive(Debug, Clone)]
struct Shared {
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Answer,
}

/// Listens until dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    shared: Shared,
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::default();
        let shared = Shared { calls, answer };
        let router = Router::new().fallback(take).with_state(shared.clone());
        #[expect(clippy::disallowed_methods, reason = "it is aborted when dropped")]
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            shared,
            address,
            serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What arrived so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let call = Call {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap(),
    };
    let (status, headers, body) = (shared.answer)(&call);
    shared.calls.lock().unwrap().push(call);
    let mut response = (status, body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
