//! The demo's processes: the stand-in for Serval and the real daemon; and functions to send webhooks,
//! to ask the API, and to wait.
//!
//! Invariant: no configuration file and no environment variable of the user is read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::samples::{Sample, TO_TRY};
use crate::config::{Config, Environment};
use crate::edge::clock::SystemClock;
use crate::process::App;
use crate::rehearsal::mock_serval::{
    MockConfig, MockServal, SERVICENOW_INTEGRATION, SLACK_INTEGRATION,
};
use crate::rehearsal::sender::{self, Answer};
use crate::rehearsal::signer::{Signer, Stamp};
use crate::sources::{SourceConfig, SourceKind, SourcePolicy, servicenow, slack};

/// The `ServiceNow` user in whose name Serval writes.
const INTEGRATION_USER: &str = "serval.integration";

/// Pause between two requests for the state of an event.
const PAUSE: Duration = Duration::from_millis(20);

/// Everything that runs, and its credentials.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) mock: MockServal,
    pub(super) public: Url,
    pub(super) admin: Url,
    pub(super) admin_token: String,
    pub(super) database: PathBuf,
    /// A file with the secret of the source `servicenow`.
    pub(super) secret_file: PathBuf,
    /// A file with a webhook for the user to send.
    pub(super) to_try: PathBuf,
    servicenow: Signer,
    slack: Signer,
    client: reqwest::Client,
    patience: Duration,
    /// True if each step shows headers and bodies.
    pub(super) is_verbose: bool,
    /// The last field, so that the folder is dropped last.
    folder: TempDir,
}

/// A signed webhook, which can be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) sample: Sample,
}

impl Stage {
    /// Starts the stand-in and binds the daemon, which the caller runs. `patience` limits each wait.
    pub(super) async fn set_up(
        mock: MockConfig,
        patience: Duration,
    ) -> anyhow::Result<(Self, App)> {
        let folder = tempfile::Builder::new()
            .prefix("serval-connect-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a temporary folder")?;
        let client_secret: SecretString = token()?.into();
        let mock = MockServal::start(MockConfig {
            client_id: "demo-client".to_owned(),
            client_secret: client_secret.clone(),
            ..mock
        })
        .await
        .context("cannot start the stand-in for Serval")?;

        let secret = format!("whsec_{}", STANDARD.encode(sender::random::<32>()?));
        let secret_file = write(folder.path(), "servicenow.secret", &format!("{secret}\n"))?;
        let to_try = write(folder.path(), "incident.json", TO_TRY.body)?;
        let secret: SecretString = secret.into();
        let signing_secret: SecretString = hex::encode(sender::random::<16>()?).into();
        let admin_token = token()?;
        let database = folder.path().join("serval-connect.db");

        // The built-in defaults, with free ports and random secrets; no layer of the user is read.
        let mut config = Config::load(&[], &Environment::default())
            .context("the built-in configuration")?
            .config;
        let anywhere = ([127, 0, 0, 1], 0).into();
        config.server.listen = anywhere;
        config.server.shutdown_timeout = Duration::from_secs(5);
        config.admin.listen = anywhere;
        config.admin.tokens = vec![admin_token.clone().into()];
        config.database.url = format!("sqlite://{}", database.display()).into();
        config.serval.base_url = mock.base_url();
        config.serval.client_id = Some("demo-client".to_owned());
        config.serval.client_secret = Some(client_secret);
        let servicenow = servicenow::Config {
            secrets: vec![secret.clone()],
            ignore_users: vec![INTEGRATION_USER.to_owned()],
            ..servicenow::Config::default()
        };
        let slack = slack::Config {
            signing_secrets: vec![signing_secret.clone()],
            ..slack::Config::default()
        };
        let policy = |kind: SourceKind| SourcePolicy {
            channel_target: Some(target(kind.name())),
            ..kind.policy()
        };
        let (kind, policies) = (servicenow::KIND, policy(servicenow::KIND));
        let servicenow = SourceConfig::new(kind, policies, servicenow);
        let slack = SourceConfig::new(slack::KIND, policy(slack::KIND), slack);
        for source in [servicenow, slack] {
            config.sources.insert(source.kind.name().parse()?, source);
        }
        let app = App::bind(&config, Arc::new(SystemClock)).await?;
        let public: Url = format!("http://{}/", app.public_addr()?).parse()?;
        let stage = Self {
            client: sender::client(public.as_str())?,
            admin: format!("http://{}/api/v1/", app.admin_addr()?).parse()?,
            servicenow: Signer::standard_webhooks(&secret)?,
            slack: Signer::slack(&signing_secret)?,
            mock,
            public,
            admin_token,
            database,
            secret_file,
            to_try,
            patience,
            is_verbose: false,
            folder,
        };
        Ok((stage, app))
    }

    /// Signs a sample with the present time.
    pub(super) fn sign(&self, sample: Sample) -> anyhow::Result<Delivery> {
        self.sign_with(self.signer(sample), sample)
    }

    /// Signs a sample with a key that the daemon does not know.
    pub(super) fn forge(&self, sample: Sample) -> anyhow::Result<Delivery> {
        self.sign_with(&self.signer(sample).forged(sender::random()?), sample)
    }

    fn signer(&self, sample: Sample) -> &Signer {
        match sample.source {
            "slack" => &self.slack,
            _ => &self.servicenow,
        }
    }

    fn sign_with(&self, signer: &Signer, sample: Sample) -> anyhow::Result<Delivery> {
        let stamp = Stamp {
            id: &sender::delivery_id()?,
            seconds: sender::unix_seconds(),
        };
        Ok(Delivery {
            url: self.public.join("webhooks/")?.join(sample.source)?,
            headers: signer.sign(stamp, sample.body.as_bytes())?,
            sample,
        })
    }

    /// Posts a webhook.
    pub(super) async fn post(&self, delivery: &Delivery) -> anyhow::Result<Answer> {
        let mut headers = delivery.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from_static(delivery.sample.body.as_bytes());
        sender::call(&self.client, Method::POST, &delivery.url, headers, body).await
    }

    /// Calls the admin API.
    pub(super) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = self.admin.join(path)?;
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", self.admin_token);
        headers.insert(AUTHORIZATION, HeaderValue::try_from(bearer)?);
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let answer = sender::call(&self.client, method, &url, headers, body).await?;
        let value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok((answer.status, value))
    }

    /// Waits until the event is in `state` or in a final state, at most for the patience.
    pub(super) async fn event_in(&self, id: &str, state: &str) -> anyhow::Result<Value> {
        self.poll(&format!("events/{id}"), |event| {
            let found = event["state"].as_str().unwrap_or_default();
            found == state || matches!(found, "connected" | "skipped" | "ignored" | "dead")
        })
        .await
    }

    /// Waits until no event is queued. Returns `false` after the patience.
    pub(super) async fn nothing_queued(&self) -> anyhow::Result<bool> {
        let is_empty = |stats: &Value| stats["totals"]["queued"] == 0;
        Ok(is_empty(&self.poll("stats", is_empty).await?))
    }

    async fn poll(&self, path: &str, done: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let (_, value) = self.admin(Method::GET, path, None).await?;
            if done(&value) || tokio::time::Instant::now() >= deadline {
                return Ok(value);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until a connect of this Serval ticket arrives. Returns `false` after the patience.
    pub(super) async fn connect_arrives(&self, ticket_id: &str) -> bool {
        self.mock
            .wait_for(self.patience, |journal| {
                let mut connects = journal.connects.iter();
                connects.any(|connect| connect.ticket_id == ticket_id)
            })
            .await
    }

    /// The newest event of this source.
    pub(super) async fn newest_event(&self, source: &str) -> anyhow::Result<Value> {
        let path = format!("events?source={source}&limit=1");
        let (_, list) = self.admin(Method::GET, &path, None).await?;
        Ok(list["data"][0].clone())
    }

    /// Ends the stand-in and removes the folder.
    pub(super) async fn tear_down(self) {
        self.mock.stop().await;
        drop(self.folder);
    }
}

/// The `channelTarget` that the demo configures for a source.
pub(super) fn target(source: &str) -> Value {
    match source {
        "slack" => json!({"slackChannel": {"integrationId": SLACK_INTEGRATION}}),
        _ => json!({"ticketSource": {"integrationId": SERVICENOW_INTEGRATION}}),
    }
}

/// Writes a file. Only its owner can read it, because only the owner can enter the folder.
fn write(folder: &Path, name: &str, content: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn token() -> anyhow::Result<String> {
    Ok(hex::encode(sender::random::<16>()?))
}
