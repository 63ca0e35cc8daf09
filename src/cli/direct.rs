//! The admin API in this process, over a database that no daemon has.
//!
//! Invariant: it holds the database's lock from the first read to the end of the last write. It
//! makes no call to Serval and takes no webhook.

use std::sync::Arc;

use anyhow::Context as _;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backend::Call;
use crate::app::mount_one;
use crate::clock::{Clock as _, SharedClock, SystemClock};
use crate::config::{Config, LogConfig, LogFormat, ServalConfig};
use crate::delivery::{Monitor, Routes, Settings, Worker};
use crate::domain::ids::SourceKind;
use crate::http::{AppState, InProcess, Pieces, Places, Sources, policies};
use crate::metrics::Metrics;
use crate::operator::{AdminTokens, Desk, Rules};
use crate::serval::ServalClient;
use crate::sources::{Receipt, Refused, Source, Unreadable, Unverified, Verified};
use crate::store::{DatabaseLock, Store};
use crate::{reload, telemetry};

/// The database in our own hands.
#[derive(Debug)]
pub(super) struct Direct {
    api: InProcess,
    store: Store,
    writer: JoinHandle<()>,
    stop: CancellationToken,
}

impl Direct {
    /// Opens the database under its lock, bringing its schema up to date.
    pub(super) async fn open(config: &Config, lock: DatabaseLock) -> anyhow::Result<Self> {
        // An answer says that the database failed; the log says with which words.
        let log = LogConfig {
            level: "error".to_owned(),
            format: LogFormat::Text,
        };
        // An error says that there is a subscriber, which is as good.
        drop(telemetry::init(&log));
        let (store, writer) = Store::open_locked(lock, SystemClock.now()).await?;
        let state = state(config, store.clone())?;
        let stop = CancellationToken::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "`close` waits for it; there is no lifecycle in a command"
        )]
        let writer = tokio::spawn(writer.run(stop.clone()));
        Ok(Self {
            api: InProcess::new(state),
            store,
            writer,
            stop,
        })
    }

    /// Answers a call as the daemon would.
    pub(super) async fn call(&self, call: &Call) -> anyhow::Result<(StatusCode, Value)> {
        let body = call.body.as_ref().map(ToString::to_string);
        let request = request(call, "application/json", body.unwrap_or_default().into())?;
        let (status, body) = self.api.call(request).await;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// The same for bodies that are too large to be held.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        content_type: &str,
        body: Pieces,
    ) -> anyhow::Result<(StatusCode, Pieces)> {
        let answer = self.api.exchange(request(call, content_type, body)?).await;
        Ok((answer.status(), answer.into_body()))
    }

    /// Waits for the last write and closes the database, so that nothing is left to recover.
    pub(super) async fn close(self) {
        let Self {
            api,
            store,
            writer,
            stop,
        } = self;
        drop(api);
        store.close_readers().await;
        stop.cancel();
        if writer.await.is_err() {
            tracing::error!("the store's writer did not end well");
        }
    }
}

fn request<B>(call: &Call, content_type: &str, body: B) -> anyhow::Result<Request<B>> {
    let base = Url::parse("http://localhost").expect("it is a URL");
    let url = call.url(&base);
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Request::builder()
        .method(call.method.clone())
        .uri(path)
        .header(CONTENT_TYPE, content_type)
        .body(body)
        .context("the call cannot be written as a request")
}

fn state(config: &Config, store: Store) -> anyhow::Result<AppState> {
    let clock: SharedClock = Arc::new(SystemClock);
    let sources: Sources = config
        .sources
        .iter()
        .map(|(name, config)| {
            let named = Box::new(Named(config.kind()));
            (name.clone(), mount_one(named, config).0)
        })
        .collect();
    let monitor = idle(config, store.clone(), Arc::clone(&clock))?;
    // Whoever may write the file may do all.
    let rules = Rules {
        tokens: AdminTokens::default(),
        shows_payloads: true,
        speaks_tls: false,
        sources: policies(&sources),
    };
    let (desk_clock, metrics) = (Arc::clone(&clock), Metrics::default());
    Ok(AppState {
        desk: Desk::new(store.clone(), monitor.clone(), desk_clock, metrics, rules),
        monitor,
        store,
        sources: Arc::new(sources),
        clock,
        body_limit: config.server.body_limit,
        read_timeout: config.server.read_timeout,
        webhook_places: Places::new("webhooks", 0, Metrics::default()),
        admin_places: Places::new("admin", usize::MAX, Metrics::default()),
        metrics: Metrics::default(),
        // There is no daemon that could be asked.
        reloads: reload::channel().0,
    })
}

/// What the API shows of a worker, of one that never runs.
fn idle(config: &Config, store: Store, clock: SharedClock) -> anyhow::Result<Monitor> {
    let nowhere = ServalConfig {
        base_url: "http://127.0.0.1".to_owned(),
        client_id: None,
        client_secret: None,
        bearer_token: Some("unused".to_owned().into()),
        ..config.serval.clone()
    };
    let client = ServalClient::new(&nowhere, Arc::clone(&clock), 0)?;
    let settings = Settings::new(&config.delivery, config.serval.timeout);
    let worker = Worker::new(
        store,
        client,
        clock,
        Routes::new(),
        settings,
        Metrics::default(),
    );
    Ok(worker.monitor())
}

/// A source that only says of which kind it is, so that a command needs none of its secrets.
#[derive(Debug)]
struct Named(SourceKind);

impl Source for Named {
    fn kind(&self) -> SourceKind {
        self.0
    }

    fn verify<'a>(&self, _: Unverified<'a>, _: Timestamp) -> Result<Verified<'a>, Refused> {
        let expected = "nothing, no webhook is taken here";
        Err(Refused::Missing { expected })
    }

    fn interpret(&self, _: &Verified<'_>) -> Result<Receipt, Unreadable> {
        Err(Unreadable::Body("no webhook is taken here".to_owned()))
    }
}
