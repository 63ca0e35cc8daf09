//! The admin API in this process, over a database that no daemon has, or over one on a server.
//!
//! Invariant: it holds the lock of a database file from the first read to the end of the last write. It
//! asks Serval only for the ticket that an identifier names, and takes no webhook.

use std::sync::Arc;

use anyhow::Context as _;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use reqwest::Url;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use crate::config::Config;
use crate::delivery::Directory;
use crate::edge::blot::Blot;
use crate::edge::clock::{Clock as _, SystemClock};
use crate::edge::metrics::Metrics;
use crate::edge::telemetry::{self, LogConfig, LogFormat};
use crate::operators::{AdminTokens, Operators, Rules};
use crate::serval::ServalClient;
use crate::store::{Database, DatabaseLock, Store, Writer};
use crate::web::{InProcess, Pieces};

/// The admin API over a database that this process has opened.
#[derive(Debug)]
pub(crate) struct Direct {
    api: InProcess,
    store: Store,
    writer: JoinHandle<()>,
    stop: CancellationToken,
}

impl Direct {
    /// Opens a database file under its lock, bringing its schema up to date.
    pub(super) async fn open(config: &Config, lock: DatabaseLock) -> anyhow::Result<Self> {
        log_failures();
        let opened = Store::open_locked(lock, SystemClock.now()).await?;
        Ok(Self::over(config, opened))
    }

    /// Opens a database on a server, bringing its schema up to date.
    pub(super) async fn open_server(config: &Config, database: &Database) -> anyhow::Result<Self> {
        log_failures();
        let opened = Store::open_database(database, SystemClock.now()).await?;
        Ok(Self::over(config, opened))
    }

    fn over(config: &Config, (store, writer): (Store, Writer)) -> Self {
        let operators = operators(config, store.clone());
        let stop = CancellationToken::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "`close` waits for it; there is no lifecycle in a command"
        )]
        let writer = tokio::spawn(writer.run(stop.clone()));
        Self {
            api: InProcess::new(operators),
            store,
            writer,
            stop,
        }
    }

    /// Answers a call as the daemon would.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        body: Pieces,
    ) -> anyhow::Result<(StatusCode, Pieces)> {
        // The request passes the daemon's own router, without a network: so a command does the same
        // with and without a daemon, down to the error texts.
        let base = Url::parse("http://localhost").expect("it is a URL");
        let request = Request::builder()
            .method(call.method.clone())
            .uri(call.url(&base).as_str())
            .header(CONTENT_TYPE, call.content_type)
            .body(body)
            .context("the call cannot be written as a request")?;
        let answer = self.api.exchange(request).await;
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
        // The API holds the store, which must not be in use when the database is closed.
        drop(api);
        // Of an import that was refused. No daemon runs that would delete it.
        if let Err(error) = store.empty_staging().await {
            tracing::error!(%error, "rows of an import are left over; the daemon deletes them");
        }
        store.close_readers().await;
        stop.cancel();
        if writer.await.is_err() {
            tracing::error!("the store's writer did not end well");
        }
    }
}

/// Logs errors. An answer only tells that the database failed; the log has the database's own words.
fn log_failures() {
    let log = LogConfig {
        level: "error".to_owned(),
        format: LogFormat::Text,
    };
    // An error means that there is a subscriber already, which will do.
    drop(telemetry::init(&log));
}

fn operators(config: &Config, store: Store) -> Operators {
    let rules = Rules {
        // No token is needed: a caller that can open the database file may do everything.
        tokens: AdminTokens::default(),
        shows_payloads: true,
        speaks_tls: false,
        sources: config.sources.clone(),
        kinds: config.kinds,
        config_hash: config.hash.clone(),
    };
    let directory = directory(config, store.clone());
    let operators = Operators::new(store, Arc::new(SystemClock), Metrics::default(), rules);
    match directory {
        Some(directory) => operators.with_directory(directory),
        None => operators,
    }
}

/// Serval's directory, if the configuration tells how to ask.
fn directory(config: &Config, store: Store) -> Option<Directory> {
    let blot = Blot::new(&config.secrets);
    let serval = ServalClient::new(&config.serval, Arc::new(SystemClock), 1, blot).ok()?;
    Some(Directory::alone(serval, store, Arc::new(SystemClock)))
}
