//! A Postgres server with a synchronous standby.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Row as _};

use super::script;

/// Starts both, says where their sockets are, and does what it is told, a line each. It stops them when its input
/// ends.
///
/// They sync: `kill` leaves the pages of the system alone, but a commit takes as long as on a real disk.
const SCRIPT: &str = r#"
    set -e
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
    folder=$(mktemp -d)
    {
        "$bin/initdb" -D "$folder/0" -A trust -U tests --no-sync --locale=C -E UTF8
        cat >> "$folder/0/postgresql.conf" <<END
unix_socket_directories = '$folder'
listen_addresses = ''
max_connections = 100
wal_retrieve_retry_interval = 100ms
END
        "$bin/pg_ctl" -D "$folder/0" -w -l "$folder/log" -o "-p 5432" start
        "$bin/pg_basebackup" -h "$folder" -p 5432 -U tests -D "$folder/1" -R -X stream -c fast --no-sync
        "$bin/pg_ctl" -D "$folder/1" -w -l "$folder/log" -o "-p 5433" start
        echo "synchronous_standby_names = '*'" >> "$folder/0/postgresql.conf"
        "$bin/pg_ctl" -D "$folder/0" reload
    } > /dev/null 2>> "$folder/script.log"
    echo "$folder"
    primary=0
    while read -r command; do
        case "$command" in
        restart) "$bin/pg_ctl" -D "$folder/$primary" -w -l "$folder/log" -m immediate restart ;;
        promote)
            "$bin/pg_ctl" -D "$folder/0" -w -m immediate stop
            "$bin/pg_ctl" -D "$folder/1" -w promote
            primary=1 ;;
        esac >> "$folder/script.log" 2>&1 || echo failed
        echo "$command"
    done
    "$bin/pg_ctl" -D "$folder/0" -m immediate stop > /dev/null 2>&1 || true
    "$bin/pg_ctl" -D "$folder/1" -m immediate stop > /dev/null 2>&1 || true
    rm -rf "$folder"
"#;

/// The servers. They end when it is dropped.
pub(crate) struct Cluster {
    folder: PathBuf,
    primary: u16,
    /// `None`: it was told to end.
    told: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    script: Child,
}

impl Cluster {
    /// Starts the servers. `None`: Postgres is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut script = script::start(SCRIPT);
        let told = script.stdin.take();
        let mut cluster = Self {
            folder: PathBuf::new(),
            primary: 0,
            told,
            said: BufReader::new(script.stdout.take().expect("it is piped")),
            script,
        };
        cluster.folder = cluster.line().into();
        cluster.folder.exists().then_some(cluster)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("it speaks UTF-8");
        line.trim().to_owned()
    }

    fn run(&mut self, command: &str) {
        let told = self.told.as_mut().expect("it has not ended");
        writeln!(told, "{command}").expect("the script runs");
        let said = self.line();
        let folder = self.folder.display();
        assert_eq!(said, command, "see {folder}/script.log and {folder}/log");
    }

    /// Crashes the server that takes writes, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.run("restart");
    }

    /// Crashes the server that takes writes for good, and lets the standby take its place.
    pub(crate) fn promote(&mut self) {
        self.run("promote");
        self.primary = 1;
    }

    /// The sockets of the two servers.
    pub(crate) fn sockets(&self) -> [PathBuf; 2] {
        [5432, 5433].map(|port| socket(&self.folder, port))
    }

    /// Connects to the server that takes writes.
    pub(crate) async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::new()
            .socket(&self.folder)
            .port(5432 + self.primary)
            .username("tests")
            .database("postgres");
        options.connect().await.expect("the server runs")
    }

    /// Waits until commits wait for the standby.
    pub(crate) async fn is_synchronous(&self) {
        const STATE: &str = "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let mut connection = self.connect().await;
        loop {
            let row = sqlx::query(STATE).fetch_one(&mut connection).await;
            let standbys: i64 = row.and_then(|row| row.try_get(0)).unwrap_or_default();
            if standbys == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

fn socket(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.told.take());
        drop(self.script.wait());
    }
}
