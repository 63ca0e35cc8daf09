//! The handlers in processes of their own: the null handler, and a stand-in for Serval that does nothing but count.

use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::args::HandlerArgs;
use crate::child::Seen;
use crate::least;

/// Serves until standard input ends.
pub(crate) fn run(args: &HandlerArgs) -> anyhow::Result<()> {
    // The null handler has the threads that the daemon has; Serval is no concern of this machine's.
    let mut runtime = if args.serval {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    // It ends with the bench, however that ends.
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0)
    });
    runtime.enable_all().build()?.block_on(async {
        let router = if args.serval {
            serval(Duration::from_millis(args.delay_ms))
        } else if let Some(folder) = &args.least {
            least::router(folder).await?
        } else {
            Router::new().fallback(|_body: Bytes| async { StatusCode::OK })
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, router).await?;
        Ok(())
    })
}

#[derive(Default)]
struct Counts {
    calls: u64,
    tickets: Vec<bool>,
    different: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

#[derive(Clone)]
struct Shared {
    delay: Duration,
    counts: Arc<Mutex<Counts>>,
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serval(delay: Duration) -> Router {
    Router::new()
        .route("/v2/tickets/{id}/connect", post(connect))
        .route("/_seen", get(seen))
        .route("/_tickets", get(tickets))
        .route("/_reset", post(reset))
        .fallback(|_body: Bytes| async { Json(json!({ "data": [] })) })
        .with_state(Shared {
            delay,
            counts: Arc::default(),
        })
}

async fn connect(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    _body: Bytes,
) -> Json<Value> {
    if !shared.delay.is_zero() {
        tokio::time::sleep(shared.delay).await;
    }
    let number = id
        .strip_prefix("tkt-")
        .and_then(|n| n.parse::<usize>().ok());
    let mut counts = shared.counts();
    counts.calls += 1;
    if let Some(number) = number {
        if counts.tickets.len() <= number {
            counts.tickets.resize(number + 1, false);
        }
        if !counts.tickets[number] {
            counts.tickets[number] = true;
            counts.different += 1;
        }
    }
    let now = Instant::now();
    counts.first.get_or_insert(now);
    counts.last = Some(now);
    Json(json!({}))
}

async fn seen(State(shared): State<Shared>) -> Json<Seen> {
    let counts = shared.counts();
    let span = counts
        .first
        .zip(counts.last)
        .map(|(first, last)| last - first);
    let ms = |time: Option<Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
    Json(Seen {
        calls: counts.calls,
        tickets: counts.different,
        span_ms: ms(span),
        first_ms_ago: ms(counts.first.map(|first| first.elapsed())),
    })
}

async fn tickets(State(shared): State<Shared>) -> Vec<u8> {
    let counts = shared.counts();
    counts
        .tickets
        .iter()
        .map(|seen| if *seen { b'1' } else { b'0' })
        .collect()
}

async fn reset(State(shared): State<Shared>) {
    *shared.counts() = Counts::default();
}
