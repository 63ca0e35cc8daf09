//! A daemon inside of the test's process, with its stand-in for Serval.

use std::sync::Arc;

use serval_connect::config::{Config, Environment};
use serval_connect::edge::clock::SystemClock;
use serval_connect::process::{App, Reloading};
use serval_connect::rehearsal::mock_serval::{Fault, MockConfig, MockServal, RecordedRequest};
use serval_connect::sources::{BUILT_IN, Kinds};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::{self, Settings};
use super::{Admin, Answer, Senders, client, database};

/// Describes a daemon to come.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    settings: Settings,
    serval: MockConfig,
    allow_pending: bool,
}

impl Builder {
    /// Further configuration, in TOML; it wins over the usual.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        self.settings.toml.push_str(toml);
        self.settings.toml.push('\n');
        self
    }

    /// Calls Serval with this bearer token, in the place of client credentials.
    pub(crate) fn bearer_token(mut self, token: &str) -> Self {
        self.settings.bearer_token = Some(token.to_owned());
        self
    }

    /// Knows these kinds of sources.
    pub(crate) fn kinds(mut self, kinds: Kinds) -> Self {
        self.settings.kinds = Some(kinds);
        self
    }

    /// Keeps its inbox at this URL, which others may share.
    pub(crate) fn database(mut self, url: &str) -> Self {
        self.settings.database = Some(url.to_owned());
        self
    }

    /// A stand-in of another kind.
    pub(crate) fn serval(self, serval: MockConfig) -> Self {
        Self { serval, ..self }
    }

    /// Events may be left in the queue at the end.
    pub(crate) fn allow_pending(self) -> Self {
        let allow_pending = true;
        Self {
            allow_pending,
            ..self
        }
    }

    /// Starts it.
    pub(crate) async fn start(self) -> TestApp {
        let mock = MockServal::start(self.serval).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let running = Running::start(&folder, &mock, &self.settings).await;
        TestApp {
            webhooks: running.webhooks.clone(),
            admin: running.admin.clone(),
            mock,
            folder,
            settings: self.settings,
            allow_pending: self.allow_pending,
            running: Some(running),
        }
    }
}

/// A daemon with its peers. A test ends with [`TestApp::stop`].
#[derive(Debug)]
pub(crate) struct TestApp {
    /// Who sends webhooks.
    pub(crate) webhooks: Senders,
    /// The operator.
    pub(crate) admin: Admin,
    /// Serval.
    pub(crate) mock: MockServal,
    folder: TempDir,
    settings: Settings,
    allow_pending: bool,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    webhooks: Senders,
    admin: Admin,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(folder: &TempDir, mock: &MockServal, settings: &Settings) -> Self {
        let files = config::write(folder.path(), &mock.base_url(), settings);
        let kinds = settings.kinds.unwrap_or(BUILT_IN);
        let loaded = Config::load_with(kinds, &files, &Environment::default()).unwrap();
        loaded.validate_for_serve().unwrap();
        let client = client();
        let app = App::bind(&loaded.config, Arc::new(SystemClock))
            .await
            .unwrap();
        let app = app.reloading(Reloading {
            running: loaded,
            load: Arc::new(move || Config::load_with(kinds, &files, &Environment::default())),
            set_level: Box::new(|_| Ok(())),
            hangups: None,
        });
        let webhooks = Senders::new(client.clone(), app.public_addr().unwrap());
        let admin = Admin::new(client, app.admin_addr().unwrap());
        let stop = CancellationToken::new();
        let running = app.run(stop.clone().cancelled_owned());
        #[expect(
            clippy::disallowed_methods,
            reason = "the test waits for it when it stops the daemon"
        )]
        let task = tokio::spawn(running);
        Self {
            webhooks,
            admin,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

impl TestApp {
    /// The usual daemon, to be changed.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// The usual daemon.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// Where the inbox is.
    pub(crate) fn database_url(&self) -> String {
        config::database_url(self.folder.path())
    }

    /// Makes calls to Serval fail from now on, each in its text form.
    pub(crate) fn faults(&self, faults: &[&str]) {
        let faults = faults.iter().map(|fault| fault.parse::<Fault>().unwrap());
        self.mock.set_faults(faults.collect());
    }

    /// How many requests arrived with this method and path.
    pub(crate) fn requests(&self, method: &str, path: &str) -> usize {
        self.mock.look(|journal| {
            let requests = journal.requests.iter();
            let is_it = |r: &&RecordedRequest| r.method == method && r.path == path;
            requests.filter(is_it).count()
        })
    }

    /// Stores a record of the source `servicenow`; answers the event's id.
    pub(crate) async fn save(&self, record: impl Into<Vec<u8>>) -> String {
        self.webhooks.servicenow(record).send().await.id()
    }

    /// The Serval tickets of all connects that arrived, in their order.
    pub(crate) fn connected_to(&self) -> Vec<String> {
        let connects = self.mock.connects().into_iter();
        connects.map(|connect| connect.ticket_id).collect()
    }

    /// Makes all mappings older than the time in which Serval may not find a new ticket.
    pub(crate) async fn age_mappings(&self) {
        self.alter("UPDATE external_tickets SET updated_at = updated_at - 300000")
            .await;
    }

    /// How many events are stored.
    pub(crate) async fn stored(&self) -> i64 {
        database::value(&self.database_url(), "SELECT COUNT(*) FROM events").await
    }

    /// Runs statements on the database of the running daemon.
    pub(crate) async fn alter(&self, statements: &'static str) {
        database::run(&self.database_url(), statements).await;
    }

    /// Writes other further configuration, in TOML; a reload reads it.
    pub(crate) fn rewrite(&mut self, toml: &str) {
        self.settings.toml = format!("{toml}\n");
        config::write(self.folder.path(), &self.mock.base_url(), &self.settings);
    }

    /// Asks for a reload; answers what it says.
    pub(crate) async fn reload(&self) -> Answer {
        self.admin.post("/reload", &serde_json::Value::Null).await
    }

    /// Stops the daemon in good order and starts another on the same database.
    pub(crate) async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        let running = Running::start(&self.folder, &self.mock, &self.settings).await;
        self.webhooks = running.webhooks.clone();
        self.admin = running.admin.clone();
        self.running = Some(running);
    }

    /// Ends the test: waits for the queue unless it may keep something, then for the daemon.
    pub(crate) async fn stop(mut self) {
        if !self.allow_pending {
            self.admin.drained().await;
        }
        self.running.take().unwrap().stop().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let is_stopped = self.running.is_none() || std::thread::panicking();
        assert!(is_stopped, "a test of a daemon ends with stop().await");
    }
}
