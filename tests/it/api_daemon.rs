//! A daemon in the test's process for tests of the admin API: no Serval answers it, which is all
//! the same to them.

use std::sync::Arc;

use http::Method;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use serval_connect::config::{Config, Environment};
use serval_connect::edge::clock::SystemClock;
use serval_connect::edge::outbound::{self, Limits};
use serval_connect::process::{App, Reloading};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// May do all.
pub(crate) const ADMIN: &str = "an-admin-token-of-these-tests";
/// May read and write mappings.
pub(crate) const MAPPER: &str = "a-mapping-token-of-these-tests";
/// Authenticates webhooks.
const SENDER: &str = "a-sender-token-of-these-tests";

/// A running daemon. A test ends with [`Daemon::stop`].
#[derive(Debug)]
pub(crate) struct Daemon {
    /// `http://…` of `server.listen`.
    pub(crate) public: String,
    /// `http://…` of `admin.listen`.
    pub(crate) admin: String,
    client: Client,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

impl Daemon {
    /// With a token of each scope.
    pub(crate) async fn start() -> Self {
        Self::start_with(&format!(
            "tokens = ['{ADMIN}']\nmapping_tokens = ['{MAPPER}']"
        ))
        .await
    }

    /// With other keys in `[admin]`.
    pub(crate) async fn start_with(admin: &str) -> Self {
        outbound::install_tls_provider();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let database = folder.path().join("inbox.db");
        let toml = format!(
            "[server]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n{admin}
            [database]\nurl = 'sqlite://{}'
            [serval]\nbase_url = 'http://127.0.0.1:9'\nbearer_token = 'none'
            [sources.servicenow]\nbearer_tokens = ['{SENDER}']
            several_per_ticket = true
            channel_target = {{ ticketSource = {{ integrationId = 'i' }} }}
            [sources.slack]\nsigning_secrets = ['5f0e6c1d2b3a49788796a5b4c3d2e1f0']
            channel_target = {{ slackChannel = {{ integrationId = 'i' }} }}",
            database.display()
        );
        std::fs::write(&file, toml).unwrap();
        let files = [file];
        let loaded = Config::load(&files, &Environment::default()).unwrap();
        loaded.validate_for_serve().unwrap();
        let app = App::bind(&loaded.config, Arc::new(SystemClock))
            .await
            .unwrap();
        let app = app.reloading(Reloading {
            running: loaded,
            load: Arc::new(move || Config::load(&files, &Environment::default())),
            set_level: Box::new(|_| Ok(())),
            hangups: None,
        });
        let (public, admin) = (app.public_addr().unwrap(), app.admin_addr().unwrap());
        let limits = Limits {
            connect_timeout: std::time::Duration::from_secs(10),
            timeout: std::time::Duration::from_mins(5),
            idle_connections: 4,
            is_local: true,
        };
        let stop = CancellationToken::new();
        let running = app.run(stop.clone().cancelled_owned());
        #[expect(clippy::disallowed_methods, reason = "`stop` waits for it")]
        let task = tokio::spawn(running);
        Self {
            public: format!("http://{public}"),
            admin: format!("http://{admin}"),
            client: outbound::client(limits).unwrap(),
            stop,
            task,
            _folder: folder,
        }
    }

    /// A request to a path below `/api/v1`, with the token that may do all.
    pub(crate) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.admin(method, &format!("/api/v1{path}"))
            .bearer_auth(ADMIN)
    }

    /// A request to the admin listener, without a token.
    pub(crate) fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin))
    }

    /// An authentic webhook about a record, to `/webhooks/servicenow` and the rest of the path.
    pub(crate) fn webhook(&self, rest: &str, body: String) -> RequestBuilder {
        let url = format!("{}/webhooks/servicenow{rest}", self.public);
        self.client.post(url).bearer_auth(SENDER).body(body)
    }

    /// Imports a file.
    pub(crate) async fn import(
        &self,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self
            .api(Method::POST, "/mappings/import")
            .header("content-type", content_type);
        json(request.body(body).send().await.unwrap()).await
    }

    /// `GET` of a path below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = json(self.api(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Ends it in good order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// Status and body, `null` where it is no JSON.
pub(crate) async fn json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// An incident as ServiceNow sends it.
pub(crate) fn incident(sys_id: &str) -> String {
    serde_json::json!({
        "sys_class_name": "incident", "sys_id": sys_id, "number": "INC0010042",
        "sys_mod_count": "1", "sys_updated_on": "2026-05-18 09:00:00",
    })
    .to_string()
}

/// The n-th `sys_id`.
pub(crate) fn sys_id(n: usize) -> String {
    // An odd factor scatters them, and maps no two to the same.
    let n = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{n:032x}")
}
