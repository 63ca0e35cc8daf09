//! A Postgres server of the bench's own, as Debian sets one up: it syncs each commit.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::distance;
use crate::procfs;
use crate::script;
use crate::webhooks::{Kind, ticket_id};

/// Starts a server, says where it is and its process id, and stops it when its input ends.
const SCRIPT: &str = r#"
    set -e
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
    folder=$(mktemp -d)
    "$bin/initdb" -D "$folder/data" -A trust -U bench --locale=C -E UTF8 > /dev/null
    port=$(shuf -i 20000-29999 -n 1)
    "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
        -o "-p $port -c unix_socket_directories=$folder -c listen_addresses=127.0.0.1" start > /dev/null
    echo "$folder $port $(head -1 "$folder/data/postmaster.pid")"
    cat > /dev/null
    "$bin/pg_ctl" -D "$folder/data" -m immediate stop > /dev/null
    rm -rf "$folder"
"#;

/// Rows of one statement.
const STEP: u64 = 50_000;

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: String,
    port: u16,
    pid: u32,
    script: Child,
}

impl Postgres {
    pub(crate) fn start() -> anyhow::Result<Self> {
        anyhow::ensure!(
            script::has_server(),
            "this needs Debian's package postgresql"
        );
        let mut postgres = Self {
            folder: String::new(),
            port: 0,
            pid: 0,
            script: script::start(SCRIPT),
        };
        let stdout = postgres.script.stdout.take();
        let mut line = String::new();
        BufReader::new(stdout.context("stdout is piped")?).read_line(&mut line)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [folder, port, pid] = words[..] else {
            anyhow::bail!("Postgres did not start");
        };
        folder.clone_into(&mut postgres.folder);
        (postgres.port, postgres.pid) = (port.parse()?, pid.parse()?);
        Ok(postgres)
    }

    /// The URL of the database, whose round trips take `distance` in addition. It goes over TCP, as in life.
    pub(crate) fn url(&self, distance: Duration) -> anyhow::Result<String> {
        let port = if distance.is_zero() {
            self.port
        } else {
            distance::pass_on(self.port, distance / 2)?
        };
        Ok(format!("postgres://bench@127.0.0.1:{port}/postgres"))
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::new()
            .socket(&self.folder)
            .port(self.port)
            .username("bench")
            .database("postgres");
        Ok(options.connect().await?)
    }

    /// Processor time of all its processes so far, also of those that have ended.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = procfs::cpu(self.pid)? + procfs::cpu_of_ended_children(self.pid)?;
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid))?;
        for child in children.split_whitespace() {
            // It may end meanwhile.
            sum += procfs::cpu(child.parse()?).unwrap_or_default();
        }
        Ok(sum)
    }

    /// Maps the webhooks numbered from 0 to their Serval tickets. The tables must be there.
    pub(crate) async fn mappings(&self, kind: Kind, number: u64) -> anyhow::Result<()> {
        const INSERT: &str = "\
            INSERT INTO external_tickets (id, source, external_id, ticket_id, accounted_for, origin, created_at,
                updated_at)
            SELECT n, $1, external_id, ticket_id, '[]', 'import', 0, 0
            FROM unnest($2::bigint[], $3::text[], $4::text[]) AS rows (n, external_id, ticket_id)";
        let mut connection = self.connect().await?;
        for from in (0..number).step_by(usize::try_from(STEP)?) {
            let rows = from..(from + STEP).min(number);
            let ids: Vec<i64> = rows.clone().map(|n| n.cast_signed() + 1).collect();
            let externals: Vec<String> = rows.clone().map(|n| kind.external_id(n)).collect();
            let tickets: Vec<String> = rows.map(ticket_id).collect();
            sqlx::query(INSERT)
                .bind(kind.source())
                .bind(ids)
                .bind(externals)
                .bind(tickets)
                .execute(&mut connection)
                .await?;
        }
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        drop(self.script.wait());
    }
}
