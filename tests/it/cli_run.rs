//! Runs the real binary with a configuration of its own, with and without the daemon.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal, SERVICENOW_INTEGRATION};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const BEARER: &str = "webhook-bearer-token-of-the-tests";

/// A configuration with its folder, and a Serval to talk to.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) serval: MockServal,
    pub(crate) public: u16,
    pub(crate) admin: u16,
}

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The printed JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// What was printed, of a command that went well.
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }
}

// Commands that open the database by themselves know no server yet.
fn database_url(folder: &TempDir) -> String {
    format!("sqlite://{}/data/x.db", folder.path().display())
}

impl Site {
    /// A site with nothing in it, whose daemon does not run.
    pub(crate) async fn new(mock: MockConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let serval = MockServal::start(mock).await.unwrap();
        let [public, admin] = free_ports();
        let config = format!(
            r#"
            [server]
            listen = "127.0.0.1:{public}"
            [admin]
            listen = "127.0.0.1:{admin}"
            tokens = ["first-token-of-the-tests", "second-token-of-the-tests"]
            [database]
            url = "{database}"
            [serval]
            base_url = "http://{serval}"
            client_id = "mock-client"
            client_secret = "mock-secret"
            [sources.servicenow]
            bearer_tokens = ["{BEARER}"]
            channel_target = {{ ticketSource = {{ integrationId = "{SERVICENOW_INTEGRATION}" }} }}
            [sources.slack]
            signing_secrets = ["signing-secret-of-the-tests"]
            channel_target = {{ slackChannel = {{ integrationId = "elsewhere" }} }}
            "#,
            database = database_url(&folder),
            serval = serval.addr(),
        );
        let path = folder.path().join("config.toml");
        std::fs::write(&path, config).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        Self {
            folder,
            serval,
            public,
            admin,
        }
    }

    /// Puts other lines into `[database]`.
    pub(crate) fn set_database(&self, lines: &str) {
        let path = self.path("config.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = config.split_once("[database]\n").unwrap();
        let (_, after) = rest.split_once("[serval]\n").unwrap();
        let config = format!("{before}[database]\n{lines}\n[serval]\n{after}");
        std::fs::write(&path, config).unwrap();
    }

    /// Where the daemon keeps its inbox.
    pub(crate) fn database_url(&self) -> String {
        database_url(&self.folder)
    }

    /// A file of the site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with this site's configuration, and no environment of ours.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = bare(line);
        command.arg("--config").arg(self.path("config.toml"));
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, line: &str) -> Ended {
        ended(self.command(line)).await
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) async fn serve(&self) -> Daemon {
        let mut command = self.command("serve");
        let log = std::fs::File::create(self.path("log")).unwrap();
        command.stderr(log).stdout(Stdio::null());
        let daemon = Daemon(command.spawn().unwrap());
        let up = async {
            while self.run("healthcheck").await.code != 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let is_up = tokio::time::timeout(PATIENCE, up).await.is_ok();
        let log = std::fs::read_to_string(self.path("log")).unwrap();
        assert!(is_up, "{log}");
        daemon
    }

    /// Has `ServiceNow` send an incident; answers the event's id.
    pub(crate) async fn incident(&self, sys_id: &str) -> String {
        let record = json!({
            "sys_id": sys_id, "sys_class_name": "incident", "number": "INC0010001",
            "short_description": "The printer on the second floor prints in green only",
        });
        self.webhook(&record.to_string()).await
    }

    /// Has `ServiceNow` send a record; answers the event's id.
    pub(crate) async fn webhook(&self, record: &str) -> String {
        let answer = self.post(record, BEARER).await;
        assert_eq!(answer.status(), 202);
        let answer: Value = answer.json().await.unwrap();
        answer["events"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Sends a webhook with a token that is not the right one.
    pub(crate) async fn refused_webhook(&self) {
        assert_eq!(self.post("{}", "wrong").await.status(), 401);
    }

    async fn post(&self, record: &str, token: &str) -> reqwest::Response {
        serval_connect::edge::outbound::install_tls_provider();
        let client =
            serval_connect::edge::outbound::client(serval_connect::edge::outbound::Limits {
                connect_timeout: PATIENCE,
                timeout: PATIENCE,
                idle_connections: 0,
                is_local: true,
            })
            .unwrap();
        client
            .post(format!(
                "http://127.0.0.1:{}/webhooks/servicenow",
                self.public
            ))
            .bearer_auth(token)
            .body(record.to_owned())
            .send()
            .await
            .unwrap()
    }

    /// Waits until an event is in a state.
    pub(crate) async fn wait_for(&self, id: &str, state: &str) {
        let there = async {
            loop {
                let event = self.run(&format!("events show {id} --json")).await.json();
                if event["state"] == state {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, there).await;
        assert!(waited.is_ok(), "{id} did not become {state}");
    }
}

/// A running daemon. It is killed when dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Asks it to read its configuration again (SIGHUP).
    pub(crate) async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.0.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.signal("-TERM").await;
        let status = tokio::time::timeout(PATIENCE, self.0.wait()).await;
        assert!(status.unwrap().unwrap().success());
    }
}

/// The program without a configuration and without any environment.
pub(crate) fn bare(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serval-connect"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The same command, with no file of its own beyond this size, as if the disk ended there.
pub(crate) fn with_room(command: &Command, kib: u32) -> Command {
    let command = command.as_std();
    let mut limited = Command::new("bash");
    limited
        .args(["-c", r#"trap '' XFSZ; ulimit -f "$0"; exec "$@""#])
        .arg(kib.to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    limited
}

/// Has root run the command as a user without rights. Returns the user.
pub(crate) fn without_rights(command: &mut Command) -> u32 {
    const NOBODY: u32 = 65534;
    let mine = std::fs::metadata("/proc/self").unwrap().uid();
    if mine != 0 {
        return mine;
    }
    command.uid(NOBODY);
    NOBODY
}

/// Runs a command to its end.
pub(crate) async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("the command ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

pub(crate) fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// Ports that differ, and that no other test gets: they are below those that the system gives away.
fn free_ports<const N: usize>() -> [u16; N] {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    [(); N].map(|()| {
        loop {
            let given = GIVEN.fetch_add(1, Ordering::Relaxed);
            let port = 12_000 + std::process::id().wrapping_mul(61).wrapping_add(given) % 16_000;
            let port = u16::try_from(port).unwrap();
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}
