//! The way of senders and operators to a daemon, wherever it listens after its last start, or to any of several.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serval_connect::edge::clock::{Clock, SystemClock};
use serval_connect::sources::auth::signature;
use tokio::sync::watch;

use super::daemon::Addresses;

/// What the senders sign with.
pub(super) const KEY: &[u8] = b"a key of the senders in the tests";

/// A sender of webhooks of one source, and an operator.
#[derive(Clone)]
pub(crate) struct Sender {
    client: reqwest::Client,
    /// Where each daemon listens. They are asked in turn.
    daemons: Vec<watch::Receiver<Option<Addresses>>>,
    turn: Arc<AtomicUsize>,
    source: &'static str,
}

/// An answer: status, whether it says when to try again, body. `None`: there was none.
pub(crate) type Answer = Option<(u16, bool, Value)>;

impl Sender {
    pub(super) fn new(
        client: reqwest::Client,
        daemons: Vec<watch::Receiver<Option<Addresses>>>,
    ) -> Self {
        Self {
            client,
            daemons,
            turn: Arc::default(),
            source: "servicenow",
        }
    }

    /// The same for another source.
    pub(crate) fn of(&self, source: &'static str) -> Self {
        Self {
            source,
            ..self.clone()
        }
    }

    /// The next daemon that listens.
    fn addresses(&self) -> Option<Addresses> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut daemons = self.daemons.iter().cycle().skip(turn % self.daemons.len());
        let mut daemons = daemons.by_ref().take(self.daemons.len());
        daemons.find_map(|daemon| daemon.borrow().clone())
    }

    /// Posts a signed webhook.
    pub(crate) async fn webhook(&self, id: &str, body: &str) -> Answer {
        self.webhook_at(SystemClock.now().as_second(), id, body)
            .await
    }

    /// The same, signed at a given second.
    pub(crate) async fn webhook_at(&self, second: i64, id: &str, body: &str) -> Answer {
        let address = self.addresses()?.webhooks;
        let second = second.to_string();
        let parts = [id, ".", &second, ".", body].map(str::as_bytes);
        let signature = STANDARD.encode(signature::mac(KEY, &parts));
        let request = self
            .client
            .post(format!("http://{address}/webhooks/{}", self.source))
            .header("webhook-id", id)
            .header("webhook-timestamp", second)
            .header("webhook-signature", format!("v1,{signature}"))
            .body(body.to_owned());
        answer(request).await
    }

    /// Maps an external ticket.
    pub(crate) async fn map(&self, external_id: &str, ticket_id: &str) -> Answer {
        let body = serde_json::json!({ "ticket_id": ticket_id });
        let path = format!("mappings/{}/{external_id}", self.source);
        let request = self.client.put(self.api(&path)?);
        answer(request.json(&body)).await
    }

    /// Imports a file, however long that takes.
    pub(crate) async fn import(&self, csv: String) -> Answer {
        let request = self.client.post(self.api("mappings/import")?);
        let request = request.timeout(Duration::from_mins(5));
        answer(request.header("content-type", "text/csv").body(csv)).await
    }

    /// `POST` to the admin API.
    pub(crate) async fn act(&self, path: &str) -> Answer {
        answer(self.client.post(self.api(path)?)).await
    }

    /// `GET` from the admin API.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let Some(url) = self.api(path) else {
            return Value::Null;
        };
        answer(self.client.get(url))
            .await
            .map_or(Value::Null, |(_, _, body)| body)
    }

    /// The status of `/readyz`.
    pub(crate) async fn ready(&self) -> Answer {
        let address = self.addresses()?.admin;
        answer(self.client.get(format!("http://{address}/readyz"))).await
    }

    fn api(&self, path: &str) -> Option<String> {
        let address = self.addresses()?.admin;
        Some(format!("http://{address}/api/v1/{path}"))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.ok()?;
    let says_when = response.headers().contains_key("retry-after");
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    Some((
        status,
        says_when,
        serde_json::from_slice(&body).unwrap_or_default(),
    ))
}
