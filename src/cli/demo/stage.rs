//! What the demo plays on: the stand-in for Serval, the real daemon, and the means to send, to ask
//! and to wait.
//!
//! Invariant: nothing of the user's is read: no configuration file, no variable.

use std::path::PathBuf;
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

use super::folder::Folder;
use super::samples::{Sample, TO_TRY};
use crate::app::App;
use crate::cli::sender::{self, Answer};
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::mock_serval::{MockConfig, MockServal, SERVICENOW_INTEGRATION, SLACK_INTEGRATION};
use crate::signer::{Signer, Stamp};
use crate::sources::{SourceConfig, servicenow, slack};

/// The `ServiceNow` user whose updates are Serval's own.
const INTEGRATION_USER: &str = "serval.integration";

/// Between two looks at an event.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// All that is running, and the keys to it.
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
    /// Last, so that the folder goes after all else.
    folder: Folder,
}

/// A webhook that is signed and can be sent, more than once.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) sample: Sample,
}

impl Stage {
    /// Starts the stand-in and binds the daemon, which the caller runs. `patience` is how long a
    /// condition may take to come true.
    pub(super) async fn set_up(
        mock: MockConfig,
        patience: Duration,
    ) -> anyhow::Result<(Self, App)> {
        let folder = Folder::create(sender::random()?)?;
        let client_secret: SecretString = token()?.into();
        let mock = MockServal::start(MockConfig {
            client_id: "demo-client".to_owned(),
            client_secret: client_secret.clone(),
            ..mock
        })
        .await
        .context("cannot start the stand-in for Serval")?;

        let secret = format!("whsec_{}", STANDARD.encode(sender::random::<32>()?));
        let secret_file = folder.write("servicenow.secret", &format!("{secret}\n"))?;
        let to_try = folder.write("incident.json", TO_TRY.body)?;
        let secret: SecretString = secret.into();
        let signing_secret: SecretString = hex::encode(sender::random::<16>()?).into();
        let admin_token = token()?;
        let database = folder.path().join("serval-connect.db");

        let mut config = Config::load(&[], &Environment::default())
            .context("the built-in configuration")?
            .config;
        let anywhere = ([127, 0, 0, 1], 0).into();
        config.server.listen = anywhere;
        config.server.shutdown_timeout = Duration::from_secs(5);
        config.admin.listen = anywhere;
        config.admin.tokens = vec![admin_token.clone().into()];
        config.database.url = format!("sqlite://{}", database.display());
        config.serval.base_url = mock.base_url();
        config.serval.client_id = Some("demo-client".to_owned());
        config.serval.client_secret = Some(client_secret);
        let servicenow = servicenow::Config {
            secrets: vec![secret.clone()],
            channel_target: Some(target("servicenow")),
            ignore_users: vec![INTEGRATION_USER.to_owned()],
            ..servicenow::Config::default()
        };
        let slack = slack::Config {
            signing_secrets: vec![signing_secret.clone()],
            channel_target: Some(target("slack")),
            ..slack::Config::default()
        };
        for (name, source) in [
            ("servicenow", SourceConfig::ServiceNow(servicenow)),
            ("slack", SourceConfig::Slack(slack)),
        ] {
            config.sources.insert(name.parse()?, source);
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
            folder,
        };
        Ok((stage, app))
    }

    /// Signs a sample, now. A forged one is signed with a key that the daemon does not know.
    pub(super) fn sign(&self, sample: Sample, forged: bool) -> anyhow::Result<Delivery> {
        let signer = match sample.source {
            "slack" => &self.slack,
            _ => &self.servicenow,
        };
        let signer = if forged {
            signer.forged(sender::random()?)
        } else {
            signer.clone()
        };
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

    /// The event when it is in `state`, or in another that it will not leave by itself, or when
    /// the patience is over.
    pub(super) async fn event_in(&self, id: &str, state: &str) -> anyhow::Result<Value> {
        self.poll(&format!("events/{id}"), |event| {
            let found = event["state"].as_str().unwrap_or_default();
            found == state || matches!(found, "connected" | "skipped" | "ignored" | "dead")
        })
        .await
    }

    /// Waits until no event is queued; `false` when the patience was over first.
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
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a connect of this Serval ticket has arrived; `false` when the patience was over.
    pub(super) async fn connect_arrives(&self, ticket_id: &str) -> bool {
        self.mock
            .wait_for(self.patience, |journal| {
                let mut connects = journal.connects.iter();
                connects.any(|connect| connect.ticket_id == ticket_id)
            })
            .await
    }

    /// The newest event of this source, whatever it is about.
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

fn token() -> anyhow::Result<String> {
    Ok(hex::encode(sender::random::<16>()?))
}
