//! The daemon: its lives on one disk.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use serval_connect::config::{Config, Environment};
use serval_connect::edge::clock::SystemClock;
use serval_connect::process::App;
use serval_connect::sources::BUILT_IN;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;

/// The token of the admin API.
pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-of-the-simulation";
/// The key of the `ServiceNow` sources.
pub(crate) const SERVICENOW_KEY: &[u8] = b"a key of the simulation: 32 byte";
/// The Slack source's signing secret.
pub(crate) const SLACK_SECRET: &str = "signing-secret-of-the-simulation";

/// Where the daemon can be found now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Addresses {
    pub(crate) webhooks: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Said {
    addresses: Addresses,
    end: Option<Result<(), String>>,
}

/// One life of the daemon.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) id: usize,
    stop: CancellationToken,
    said: Arc<Mutex<Said>>,
}

impl Life {
    /// Starts the daemon on the database in `folder`.
    pub(crate) fn start(config: PathBuf) -> Self {
        let said: Arc<Mutex<Said>> = Arc::default();
        let stop = CancellationToken::new();
        let (tell, until) = (Arc::clone(&said), stop.clone());
        let id = sim_machine::life(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let end = runtime.block_on(async {
                let app = bind(config).await.map_err(|error| format!("{error:#}"))?;
                tell.lock().expect("nobody panics").addresses = Addresses {
                    webhooks: app.public_addr().ok(),
                    admin: app.admin_addr().ok(),
                };
                let run = app.run(until.cancelled_owned());
                run.await.map_err(|error| format!("{error:#}"))
            });
            drop(runtime);
            tell.lock().expect("nobody panics").end = Some(end);
        });
        Self { id, stop, said }
    }

    /// Where it listens, once it does.
    pub(crate) fn addresses(&self) -> Addresses {
        self.said.lock().expect("nobody panics").addresses
    }

    /// How it ended, if it ended by itself.
    pub(crate) fn end(&self) -> Option<Result<(), String>> {
        self.said.lock().expect("nobody panics").end.clone()
    }

    /// As SIGTERM.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// True until it was killed, crashed or came to its end.
    pub(crate) fn is_alive(&self) -> bool {
        sim_machine::is_alive(self.id)
    }

    /// Waits for its end. True: it came in time.
    pub(crate) async fn ended(&self, patience: Duration) -> bool {
        let ends = async {
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, ends).await.is_ok()
    }

    /// Waits until it listens. False: it died, or does not listen in time.
    pub(crate) async fn listens(&self) -> bool {
        let listens = async {
            while self.is_alive() && self.addresses().admin.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(5), listens).await;
        in_time.is_ok() && self.is_alive()
    }
}

async fn bind(config: PathBuf) -> anyhow::Result<App> {
    let loaded = Config::load_with(BUILT_IN, &[config], &Environment::default())?;
    loaded.validate_for_serve()?;
    App::bind(&loaded.config, Arc::new(SystemClock)).await
}

/// Writes the configuration into `folder`.
pub(crate) fn configure(folder: &Path, serval: SocketAddr, plan: &Plan) -> PathBuf {
    let key = base64::engine::general_purpose::STANDARD.encode(SERVICENOW_KEY);
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
shutdown_timeout = "5s"

[admin]
listen = "127.0.0.1:0"
tokens = ["{ADMIN_TOKEN}"]

[database]
url = "sqlite://{folder}/inbox.db"

[serval]
base_url = "http://{serval}"
bearer_token = "token-of-the-simulation"
connect_timeout = "2s"
timeout = "5s"

[delivery]
rate = {rate}
concurrency = {slots}
breaker_threshold = {breaker}

[sources.servicenow]
disconnect_on_remap = {unlinks}
secrets = ["whsec_{key}"]
channel_target = {{ ticketSource = {{ integrationId = "int-1" }} }}

[sources.again]
kind = "servicenow"
reconnect = "on_change"
secrets = ["whsec_{key}"]
channel_target = {{ ticketSource = {{ integrationId = "int-2" }} }}

[sources.slack]
signing_secrets = ["{SLACK_SECRET}"]
channel_target = {{ slackChannel = {{ integrationId = "int-3" }} }}
"#,
        folder = folder.display(),
        unlinks = plan.unlinks,
        rate = plan.rate,
        slots = plan.slots,
        breaker = plan.breaker,
    );
    let file = folder.join("config.toml");
    std::fs::write(&file, text).expect("the folder takes files");
    drop(std::fs::set_permissions(
        &file,
        std::fs::Permissions::from_mode(0o600),
    ));
    file
}
