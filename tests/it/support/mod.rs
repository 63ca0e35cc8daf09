//! What the tests stand on: a daemon with its peers, signed senders, an operator's client, waiting.

mod admin;
mod app;
pub(crate) mod bodies;
pub(crate) mod browser;
mod config;
pub(crate) mod database;
mod node;
mod peer;
pub(crate) mod postgres;
mod process;
pub(crate) mod script;
mod senders;

use std::time::Duration;

use reqwest::Client;
use serval_connect::edge::outbound::{self, Limits};
use tokio::time::Instant;

pub(crate) use admin::{ADMIN_TOKEN, Admin};
pub(crate) use app::TestApp;
pub(crate) use browser::Browser;
pub(crate) use config::{Settings, database_url};
pub(crate) use database::Database;
pub(crate) use node::{Engine, node, play};
pub(crate) use peer::{Call, Peer, Reply};
pub(crate) use postgres::needs_a_file;
pub(crate) use process::{Daemon, run};
pub(crate) use senders::{Answer, BASIC, BEARER, Delivery, SERVICENOW_KEY, Senders, whsec};

/// How long a condition may take. Generous: a machine under load must not fail a test.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Waits until `probe` has an answer; panics with `what` when it takes too long.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A client for the daemon's listeners.
fn client() -> Client {
    outbound::install_tls_provider();
    outbound::client(Limits {
        connect_timeout: Duration::from_secs(10),
        timeout: PATIENCE,
        idle_connections: 4,
        is_local: true,
    })
    .unwrap()
}

/// Every byte of a database's files. On Postgres, whose files keep what is deleted for a while: every byte of its rows.
pub(crate) fn database_bytes(url: &str) -> Vec<u8> {
    let Some(path) = url.strip_prefix("sqlite://") else {
        return postgres::rows(url);
    };
    let mut bytes = std::fs::read(path).unwrap();
    // There is none once the last connection is closed.
    bytes.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
    bytes
}
