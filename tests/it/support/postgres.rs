//! A Postgres server of the tests' own, and a database in it for each folder of a test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{LazyLock, Mutex};

use serval_connect::store::{Database, Store};

use super::script;

/// Ends a test that is about the files of SQLite, or about their one process: its start and its clock. It ends where
/// the tests run on Postgres.
macro_rules! needs_a_file {
    () => {
        if $crate::support::postgres::is_wanted() {
            return;
        }
    };
}
pub(crate) use needs_a_file;

/// Ends a test that is about a server, where none is installed.
macro_rules! needs_a_server {
    () => {
        if !$crate::support::script::has_server() {
            return;
        }
    };
}
pub(crate) use needs_a_server;

/// Starts a server, says where its socket is, and stops it when the test process ends, in whatever way: its end of the
/// pipe closes then. It syncs as a server has to, since a daemon refuses one that does not.
const SCRIPT: &str = r#"
    set -e
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
    folder=$(mktemp -d)
    "$bin/initdb" -D "$folder/data" -A trust -U tests --no-sync --locale=C -E UTF8 \
        --locale-provider=icu --icu-locale=en-US > /dev/null
    "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-c unix_socket_directories=$folder \
        -c listen_addresses= -c max_connections=500" start > /dev/null
    echo "$folder"
    cat > /dev/null
    "$bin/pg_ctl" -D "$folder/data" -m immediate stop > /dev/null
    rm -rf "$folder"
"#;

/// A running server.
pub(crate) struct Server {
    /// Folder of its socket.
    pub(crate) socket: String,
    /// The databases that are made.
    made: Mutex<BTreeSet<String>>,
    _script: Child,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// True if the tests run on Postgres.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("SERVAL_CONNECT_TEST_POSTGRES").is_some()
}

/// A database that has the schema. Each test gets a copy of it, which takes less time than to make one.
static TEMPLATE: LazyLock<&str> = LazyLock::new(|| {
    let name = "template_store";
    SERVER.run(&format!("CREATE DATABASE {name}"));
    let database = Database::at(&SERVER.url(name));
    let migrated = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(Store::migrate_server(&database)).unwrap();
    });
    migrated.join().unwrap();
    name
});

/// The URL of the database of a folder. Makes the database, with the schema.
pub(crate) fn url(folder: &Path) -> String {
    SERVER.make(folder, *TEMPLATE)
}

/// The URL of the database of a folder. Makes the database, without the schema.
pub(crate) fn url_of_empty(folder: &Path) -> String {
    SERVER.make(folder, "template1")
}

/// The server that the tests share.
pub(crate) fn shared() -> &'static Server {
    &SERVER
}

/// Every byte of the rows of a database.
pub(crate) fn rows(url: &str) -> Vec<u8> {
    let tables = psql(&[
        url,
        "-qAtc",
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    ]);
    let tables = String::from_utf8(tables).unwrap();
    let copy = |table| format!("COPY {table} TO STDOUT (FORMAT binary)");
    let copies: Vec<String> = tables.lines().map(copy).collect();
    let commands = copies.iter().flat_map(|copy| ["-c", copy]);
    psql(&[url, "-q"].into_iter().chain(commands).collect::<Vec<_>>())
}

fn psql(arguments: &[&str]) -> Vec<u8> {
    let done = Command::new("psql").arg("-X").args(arguments).output();
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    done.stdout
}

impl Server {
    /// Starts a server for one test.
    pub(crate) fn start() -> Self {
        let mut script = script::start(SCRIPT);
        let mut socket = String::new();
        let mut said = BufReader::new(script.stdout.take().unwrap());
        said.read_line(&mut socket).unwrap();
        assert!(
            !socket.is_empty(),
            "the Postgres server of the tests did not start: install Debian's `postgresql`"
        );
        Self {
            socket: socket.trim().to_owned(),
            made: Mutex::default(),
            _script: script,
        }
    }

    /// The URL of a database on it.
    pub(crate) fn url(&self, database: &str) -> String {
        let mut host = String::new();
        for byte in self.socket.bytes() {
            write!(host, "%{byte:02x}").unwrap();
        }
        format!("postgres://tests@{host}/{database}")
    }

    fn make(&self, folder: &Path, template: &str) -> String {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        let name = format!("t_{:016x}", hasher.finish());
        if self.made.lock().unwrap().insert(name.clone()) {
            self.run(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        }
        self.url(&name)
    }

    /// Runs a statement as its administrator.
    pub(crate) fn run(&self, statement: &str) {
        self.run_in("postgres", statement);
    }

    /// Runs a statement in one of its databases.
    pub(crate) fn run_in(&self, database: &str, statement: &str) {
        psql(&[&self.url(database), "-qc", statement]);
    }
}
