//! The senders: requests signed as `ServiceNow` and Slack would, by code of the tests' own, with
//! every part open to forgery.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method};
use reqwest::Client;
use serde_json::Value;
use serval_connect::edge::clock::{Clock as _, SystemClock};
use sha2::Sha256;

/// The key behind the `ServiceNow` sources' Standard Webhooks secret.
pub(crate) const SERVICENOW_KEY: &[u8] = b"a key of thirty-two bytes, right";
/// The Slack source's signing secret.
pub(crate) const SLACK_SECRET: &str = "signing-secret-of-the-tests-own-1";
/// A bearer token of `servicenow-eu`.
pub(crate) const BEARER: &str = "static-token-of-servicenow-eu";
/// User and password of `servicenow-eu`.
pub(crate) const BASIC: &str = "rest.user:p@ss:word";

/// A key as a Standard Webhooks secret.
pub(crate) fn whsec(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

/// What a daemon's webhook listener can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Senders {
    client: Client,
    base: String,
}

impl Senders {
    pub(super) fn new(client: Client, addr: SocketAddr) -> Self {
        Self {
            client,
            base: format!("http://{addr}"),
        }
    }

    /// A delivery of `ServiceNow`, signed with a fresh id when sent.
    pub(crate) fn servicenow(&self, body: impl Into<Vec<u8>>) -> Delivery {
        self.delivery(Scheme::StandardWebhooks, "/webhooks/servicenow", body)
            .key(SERVICENOW_KEY)
    }

    /// A delivery of Slack, signed when sent.
    pub(crate) fn slack(&self, body: impl Into<Vec<u8>>) -> Delivery {
        self.delivery(Scheme::Slack, "/webhooks/slack", body)
            .key(SLACK_SECRET.as_bytes())
            .header("content-type", "application/json")
    }

    /// Where a path is, for senders that are programs of their own.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request without any signature.
    pub(crate) fn plain(&self, method: Method, path: &str) -> Delivery {
        Delivery {
            method,
            ..self.delivery(Scheme::None, path, Vec::new())
        }
    }

    fn delivery(&self, scheme: Scheme, path: &str, body: impl Into<Vec<u8>>) -> Delivery {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let body = body.into();
        Delivery {
            client: self.client.clone(),
            base: self.base.clone(),
            path: path.to_owned(),
            method: Method::POST,
            scheme,
            id: format!("msg_{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            timestamp: SystemClock.now().as_second().to_string(),
            key: Vec::new(),
            signed: body.clone(),
            body,
            changes: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    None,
    StandardWebhooks,
    Slack,
}

/// A request to come. It is signed when it is sent, over whatever it was changed to.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    client: Client,
    base: String,
    path: String,
    method: Method,
    scheme: Scheme,
    id: String,
    timestamp: String,
    key: Vec<u8>,
    signed: Vec<u8>,
    body: Vec<u8>,
    changes: Vec<(String, Option<String>)>,
}

impl Delivery {
    /// To another path.
    pub(crate) fn to(self, path: &str) -> Self {
        let path = path.to_owned();
        Self { path, ..self }
    }

    /// With this `webhook-id`.
    pub(crate) fn id(self, id: &str) -> Self {
        let id = id.to_owned();
        Self { id, ..self }
    }

    /// Signed so many seconds ago.
    pub(crate) fn aged(self, seconds: i64) -> Self {
        self.at(&(SystemClock.now().as_second() - seconds).to_string())
    }

    /// With this timestamp, which is signed.
    pub(crate) fn at(self, timestamp: &str) -> Self {
        let timestamp = timestamp.to_owned();
        Self { timestamp, ..self }
    }

    /// Signed with this key.
    pub(crate) fn key(self, key: &[u8]) -> Self {
        let key = key.to_vec();
        Self { key, ..self }
    }

    /// With another body than the one that was signed.
    pub(crate) fn altered(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { body, ..self }
    }

    /// Without a signature.
    pub(crate) fn unsigned(self) -> Self {
        let scheme = Scheme::None;
        Self { scheme, ..self }
    }

    /// With this header, in the place of a signed one of the same name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.changes.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Without this header of the signature.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.changes.push((name.to_owned(), None));
        self
    }

    /// Sends it.
    pub(crate) async fn send(&self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// The bytes of the request, for a bare socket. The connection is to be closed after the answer.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let (method, path, length) = (&self.method, &self.path, self.body.len());
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n"
        );
        for (name, value) in &self.headers() {
            write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// Sends it to a daemon that may die meanwhile.
    pub(crate) async fn try_send(&self) -> reqwest::Result<Answer> {
        let url = format!("{}{}", self.base, self.path);
        let request = self.client.request(self.method.clone(), url);
        let request = request.headers(self.headers()).body(self.body.clone());
        Answer::read(request.send().await?).await
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.signature();
        for (name, value) in &self.changes {
            let name: http::HeaderName = name.parse().unwrap();
            match value {
                Some(value) => drop(headers.insert(name, value.parse().unwrap())),
                None => drop(headers.remove(name)),
            }
        }
        headers
    }

    fn signature(&self) -> HeaderMap {
        let (at, body) = (self.timestamp.as_bytes(), self.signed.as_slice());
        let pairs = match self.scheme {
            Scheme::None => Vec::new(),
            Scheme::StandardWebhooks => {
                let mac = mac(&self.key, &[self.id.as_bytes(), b".", at, b".", body]);
                vec![
                    ("webhook-id", self.id.clone()),
                    ("webhook-timestamp", self.timestamp.clone()),
                    ("webhook-signature", format!("v1,{}", STANDARD.encode(mac))),
                ]
            }
            Scheme::Slack => {
                let mac = mac(&self.key, &[b"v0:", at, b":", body]);
                vec![
                    ("x-slack-request-timestamp", self.timestamp.clone()),
                    ("x-slack-signature", format!("v0={}", hex::encode(mac))),
                ]
            }
        };
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// What the daemon answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(super) async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The events of an acknowledgement.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, 202, "{self:?}");
        let mut answer = self.json();
        serde_json::from_value(answer["events"].take()).unwrap()
    }

    /// The one event of an acknowledgement.
    pub(crate) fn event(&self) -> Value {
        let [event] = <[Value; 1]>::try_from(self.events()).unwrap();
        event
    }

    /// The id of the one event of an acknowledgement.
    pub(crate) fn id(&self) -> String {
        self.event()["id"].as_str().unwrap().to_owned()
    }

    /// A header as text; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The problem document, after checking that it is one of this status.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        for text in ["type", "title", "detail"] {
            let text = problem[text].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{problem}");
        }
        problem
    }
}
