//! Servers and databases that cannot be used, or only with a warning.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::cli_postgres::{assert_says, site, table};
use crate::cli_run::Ended;
use crate::support::bodies::sys_id;
use crate::support::eventually;
use crate::support::postgres::{self, Server, needs_a_server};

#[tokio::test]
async fn what_cannot_be_used_is_refused_by_check_and_serve_with_the_same_words() {
    needs_a_server!();
    let (site, name) = site().await;
    let server = postgres::shared();
    let url = |database: &str| format!("url = \"{}\"", server.url(database));
    let latin = format!("{name}_latin");
    server.run(&format!(
        "CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    ));
    server.run(&format!("CREATE ROLE {name}_plain LOGIN"));
    let plain = url(&name).replace("tests@", &format!("{name}_plain@"));
    let later = format!("{name}_later");
    let last_words = ["schema version 99", "this program knows 1"];
    let rows: &[(&str, String, i32, &[&str])] = &[
        (
            "no database",
            url("nowhere"),
            1,
            &["\"nowhere\" does not exist", "CREATE DATABASE"],
        ),
        (
            "no server",
            "url = \"postgres://tests@%2Fnowhere/x\"".to_owned(),
            1,
            &["/nowhere"],
        ),
        ("encoding", url(&latin), 1, &["LATIN1", "ENCODING 'UTF8'"]),
        (
            "no rights",
            plain,
            1,
            &["may not create the tables", "GRANT CREATE"],
        ),
        (
            "no migration",
            format!("{}\nmigrate = false", url(&name)),
            1,
            &[
                "there is no schema in it",
                "database.migrate is false",
                "serval-connect migrate",
            ],
        ),
        ("later schema", url(&later), 1, &last_words),
        (
            "no name",
            "url = \"postgres://db\"".to_owned(),
            2,
            &["database.url: it names no database"],
        ),
    ];
    server.run(&format!("CREATE DATABASE {later}"));
    site.set_database(&url(&later));
    assert_eq!(site.run("migrate").await.code, 0);
    server.run_in(
        &later,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (99, 'later', TRUE, '', 0);
         UPDATE settings SET value = '99' WHERE key = 'compatible_from'",
    );
    for (what, lines, code, words) in rows {
        site.set_database(lines);
        let (check, serve) = (site.run("check").await, site.run("serve").await);
        assert_says(&check, *code, words, what);
        assert_says(&serve, *code, words, what);
        let error = |ended: &Ended| {
            let error = ended.err.lines().find(|line| line.starts_with("error: "));
            error.map(str::to_owned)
        };
        if *code == 1 {
            assert_eq!(error(&check), error(&serve), "{what}");
        }
    }
}

#[tokio::test]
async fn a_schema_of_a_later_version_that_lets_this_one_work_is_used() {
    needs_a_server!();
    let (site, name) = site().await;
    assert_eq!(site.run("migrate").await.code, 0);
    postgres::shared().run_in(
        &name,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (2, 'later', TRUE, '', 0)",
    );
    let rows: &[(&str, i32, &[&str])] = &[
        ("check", 0, &["schema version 2, 0 events"]),
        ("migrate", 0, &["schema version 2, was up to date"]),
        ("map list", 0, &["no mapping matches"]),
    ];
    table(&site, rows).await;
    site.serve().await.stop().await;
}

#[tokio::test]
async fn a_changed_password_is_taken_without_a_restart() {
    needs_a_server!();
    let server = Server::start();
    server.run("CREATE ROLE app LOGIN PASSWORD 'first'");
    server.run("CREATE DATABASE app OWNER app");
    let rules = "local all tests trust\nlocal all app scram-sha-256\n";
    fs::write(format!("{}/data/pg_hba.conf", server.socket), rules).unwrap();
    server.run("SELECT pg_reload_conf()");
    let (site, _) = site().await;
    let password = site.path("password");
    fs::write(&password, "first\n").unwrap();
    let url = server.url("app").replace("tests@", "app@");
    site.set_database(&format!(
        "url = \"{url}\"\npassword_file = \"{}\"",
        password.display()
    ));
    let daemon = site.serve().await;
    let set = format!("map set servicenow {} tkt-1", sys_id(1));
    table(&site, &[(&set, 0, &["mapped to tkt-1"])]).await;
    server.run("ALTER ROLE app PASSWORD 'second'");
    fs::write(&password, "second\n").unwrap();
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    for line in [set.as_str(), "map list"] {
        eventually("it works with the new password", async || {
            (site.run(line).await.code == 0).then_some(())
        })
        .await;
    }
    daemon.stop().await;
    fs::write(&password, "first\n").unwrap();
    let refused: &[&str] = &["password authentication failed"];
    table(&site, &[("check", 1, refused), ("map list", 1, refused)]).await;
}

/// A program that streams from a server as a standby does. It is killed when dropped.
struct Receiver(Child);

impl Receiver {
    fn of(server: &Server, folder: &Path) -> Self {
        let mut command = Command::new("pg_receivewal");
        command.args(["-h", &server.socket, "-U", "tests", "--no-loop", "-D"]);
        let receiver = command
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(receiver.spawn().unwrap())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_server_that_may_lose_acknowledged_webhooks_is_refused_or_warned_of() {
    needs_a_server!();
    let server = Server::start();
    let (site, _) = site().await;
    let url = server.url("postgres");
    site.set_database(&format!("url = \"{url}\""));
    assert_eq!(site.run("migrate").await.code, 0);
    for (setting, words) in [
        ("fsync", ["fsync = off", "set fsync = on"]),
        (
            "full_page_writes",
            ["full_page_writes = off", "set full_page_writes = on"],
        ),
    ] {
        server.run(&format!("ALTER SYSTEM SET {setting} = off"));
        server.run("SELECT pg_reload_conf()");
        for line in ["check", "serve", "migrate", "map list"] {
            let refused = eventually("the setting is in force", async || {
                let ended = site.run(line).await;
                (ended.code != 0).then_some(ended)
            })
            .await;
            assert_says(&refused, 1, &words, line);
        }
        server.run(&format!("ALTER SYSTEM RESET {setting}"));
        server.run("SELECT pg_reload_conf()");
    }
    let wal = site.path("wal");
    fs::create_dir(&wal).unwrap();
    let _receiver = Receiver::of(&server, &wal);
    server.run("CREATE ROLE plain LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO plain");
    let plain = url.replace("tests@", "plain@");
    for (url, word) in [
        (
            &url,
            "does not wait for its standby pg_receivewal: an acknowledged webhook may be lost",
        ),
        (&plain, "GRANT pg_monitor"),
    ] {
        site.set_database(&format!("url = \"{url}\""));
        let warned = eventually("the standby streams", async || {
            let check = site.run("check").await;
            check.out.contains("warning: the server").then_some(check)
        })
        .await;
        assert_says(&warned, 0, &[word], url);
    }
}
