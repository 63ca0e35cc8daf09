//! The commands over a database on a Postgres server.

use std::fs;

use serval_connect::rehearsal::mock_serval::MockConfig;
use sqlx::{Connection as _, PgConnection};

use crate::cli_run::{Ended, Site};
use crate::support::bodies::sys_id;
use crate::support::eventually;
use crate::support::postgres::{self, needs_a_server};

/// A password that nobody asks for, and that must not be seen.
const CANARY: &str = "canary-of-the-database";

/// A site on a database of its own, without a schema, and the name of that.
pub(crate) async fn site() -> (Site, String) {
    let site = Site::new(MockConfig::default()).await;
    let url = postgres::url_of_empty(&site.path("."));
    site.set_database(&format!("url = \"{url}\""));
    let (_, name) = url.rsplit_once('/').unwrap();
    (site, name.to_owned())
}

pub(crate) fn assert_says(ended: &Ended, code: i32, words: &[&str], what: &str) {
    assert_eq!(ended.code, code, "{what}: {ended:?}");
    for word in words {
        let said = ended.out.contains(word) || ended.err.contains(word);
        assert!(said, "{what}: {word} is not in {ended:?}");
    }
}

/// Runs commands, and compares their exit codes and words.
pub(crate) async fn table(site: &Site, rows: &[(&str, i32, &[&str])]) {
    for (line, code, words) in rows {
        assert_says(&site.run(line).await, *code, words, line);
    }
}

#[tokio::test]
async fn every_command_says_what_it_finds_on_a_server() {
    needs_a_server!();
    let (site, name) = site().await;
    let shown = format!("postgres://{}/{name}", postgres::shared().socket);
    let set = format!("map set servicenow {} tkt-1", sys_id(1));
    let file = site.path("x.csv").display().to_string();
    let export = format!("map export --output {file}");
    let import = format!("map import {file}");
    let erase = format!("erase --external-id {}", sys_id(1));
    let rows: &[(&str, i32, &[&str])] = &[
        (
            "check",
            0,
            &[&shown, "PostgreSQL 1", "no schema yet; `serve` creates it"],
        ),
        (
            "map list",
            1,
            &["there is nothing of serval-connect in", &shown],
        ),
        ("migrate", 0, &[&shown, "created, with schema version 1"]),
        ("migrate", 0, &["schema version 1, was up to date"]),
        ("check", 0, &["is usable", "schema version 1, 0 events"]),
        ("check --integrity", 0, &["pg_amcheck"]),
        ("map list", 0, &["no mapping matches"]),
        (&set, 0, &["mapped to tkt-1"]),
        ("map list", 0, &["tkt-1"]),
        (&export, 0, &[]),
        (&import, 0, &["1 mapping imported"]),
        ("connects pause", 0, &["are paused"]),
        ("connects resume", 0, &["go on"]),
        ("events list", 0, &["no event matches"]),
        (
            &erase,
            0,
            &[
                "1 removed from mappings",
                "no row has the id any more",
                "until VACUUM",
            ],
        ),
        (&erase, 1, &["nothing was stored about it"]),
        ("backup x", 2, &[&shown, "pg_dump"]),
        (
            "restore x",
            2,
            &[&shown, "pg_restore", "INSERT INTO settings"],
        ),
    ];
    table(&site, rows).await;
    let erased = site.run(&format!("{erase} --json")).await;
    let erased: serde_json::Value = serde_json::from_str(&erased.out).unwrap();
    assert!(erased["places_in_file"].is_null() && erased["erased"][0]["log_emptied"].is_null());
    assert!(!site.path("x").exists() && !site.path("data").exists());
}

#[tokio::test]
async fn several_processes_may_migrate_at_once() {
    needs_a_server!();
    let (site, _) = site().await;
    let each = ["migrate"; 4].map(|line| site.run(line));
    for ended in futures_util::future::join_all(each).await {
        assert_says(&ended, 0, &["with schema version 1"], "migrate");
    }
    let after = site.run("migrate").await;
    assert_says(&after, 0, &["was up to date"], "migrate");
}

#[tokio::test]
async fn no_command_but_migrate_and_serve_makes_a_schema() {
    needs_a_server!();
    let (site, _) = site().await;
    let set = site
        .run(&format!("map set servicenow {} tkt-1", sys_id(1)))
        .await;
    let says = &["there is nothing of serval-connect in", "`migrate`"];
    assert_says(&set, 1, says, "map set");
    let says = &["no schema yet"];
    assert_says(&site.run("check").await, 0, says, "check");
}

#[tokio::test]
async fn commands_go_through_the_daemon_of_this_machine_or_to_the_server() {
    needs_a_server!();
    let (site, name) = site().await;
    let daemon = site.serve().await;
    let id = site.incident(&sys_id(1)).await;
    let set = format!("map set servicenow {} tkt-1", sys_id(1));
    let rows: &[(&str, i32, &[&str])] = &[
        ("migrate", 0, &["was up to date"]),
        (
            "check",
            0,
            &["schema version 1, 1 events", "is taken, and a daemon runs"],
        ),
        (&set, 0, &["mapped to tkt-1"]),
    ];
    table(&site, rows).await;
    site.wait_for(&id, "connected").await;
    // Through the daemon: with other tokens it refuses.
    let config = fs::read_to_string(site.path("config.toml")).unwrap();
    fs::write(
        site.path("config.toml"),
        config.replace("first-token", "other-token"),
    )
    .unwrap();
    let refused = site.run("map list").await;
    assert_says(
        &refused,
        1,
        &["started with other admin.tokens"],
        "other tokens",
    );
    // Beside a daemon that it does not know.
    let elsewhere = format!("127.0.0.1:{}", crate::cli_run::free_port());
    let own = format!("127.0.0.1:{}", site.admin);
    fs::write(site.path("config.toml"), config.replace(&own, &elsewhere)).unwrap();
    let listed = site.run("map list").await;
    assert_says(&listed, 0, &["tkt-1"], "beside");
    fs::write(site.path("config.toml"), &config).unwrap();
    assert_eq!(
        site.run("events list").await.code,
        0,
        "the daemon is none the worse for it"
    );
    daemon.stop().await;
    assert_says(&site.run("map list").await, 0, &["tkt-1"], "direct");
    let mut database = PgConnection::connect(&postgres::shared().url(&name))
        .await
        .unwrap();
    let claims: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM claims")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(claims, 0);
}

#[tokio::test]
async fn the_password_is_seen_nowhere() {
    needs_a_server!();
    let (site, name) = site().await;
    let url = postgres::shared().url(&name);
    let (_, host) = url.split_once('@').unwrap();
    let secret = format!("postgres://tests:{CANARY}@{host}");
    fs::write(site.path("url"), &secret).unwrap();
    fs::write(site.path("password"), CANARY).unwrap();
    let in_file = |key: &str, file: &str| format!("{key} = \"{}\"", site.path(file).display());
    for lines in [
        format!("url = \"{secret}\""),
        in_file("url_file", "url"),
        format!("url = \"{url}\"\n{}", in_file("password_file", "password")),
        format!("url = \"{url}\"\ndirect_url = \"{secret}\""),
    ] {
        site.set_database(&lines);
        for line in ["check", "migrate", "map list", "backup x", "restore x"] {
            let ended = site.run(line).await;
            assert!(ended.code != 1, "{line}: {ended:?}");
            assert!(!format!("{ended:?}").contains(CANARY), "{line}: {ended:?}");
        }
        let check = site.run("check").await;
        let shown = format!("postgres://{}/{name}", postgres::shared().socket);
        assert_says(&check, 0, &[&format!("url = \"{shown}\"")], "check");
        let mut command = site.command("serve");
        command.env("SERVAL_CONNECT__LOG__LEVEL", "trace");
        let log = site.path("log");
        command.stderr(fs::File::create(&log).unwrap());
        let mut daemon = command.spawn().unwrap();
        let said = eventually("the daemon says what it serves", async || {
            let said = fs::read_to_string(&log).unwrap();
            said.contains("serving").then_some(said)
        })
        .await;
        daemon.kill().await.unwrap();
        assert!(said.contains(&shown) && !said.contains(CANARY), "{said}");
    }
}

#[tokio::test]
async fn a_password_file_is_read_and_its_loss_is_named() {
    needs_a_server!();
    let (site, name) = site().await;
    let url = postgres::shared().url(&name);
    site.set_database(&format!(
        "url = \"{url}\"\npassword_file = \"/nowhere/password\""
    ));
    let missing = site.run("migrate").await;
    assert_says(
        &missing,
        1,
        &["database.password_file /nowhere/password"],
        "missing",
    );
}

#[tokio::test]
async fn the_host_that_takes_writes_is_found_and_named() {
    needs_a_server!();
    let (site, name) = site().await;
    let url = postgres::shared().url(&name);
    let hosts = url.replace("tests@", "tests@127.0.0.1:1,[::1]:1,");
    site.set_database(&format!("url = \"{hosts}\""));
    let socket = &postgres::shared().socket;
    let shown = format!("postgres://127.0.0.1:1,[::1]:1,{socket}/{name}");
    let at = format!("at {socket},");
    assert_says(&site.run("check").await, 0, &[&shown, &at], "check");
    // Migrations go to the server itself, whatever stands before it.
    let wrong = "url = \"postgres://tests@127.0.0.1:1,127.0.0.1:2/x\"";
    site.set_database(&format!("{wrong}\ndirect_url = \"{url}\""));
    assert_eq!(site.run("migrate").await.code, 0);
    let words = [
        "127.0.0.1:1: Connection refused",
        "127.0.0.1:2: Connection refused",
    ];
    assert_says(&site.run("check").await, 1, &words, "check");
}

#[tokio::test]
async fn after_a_restore_serval_is_asked_first() {
    needs_a_server!();
    let (site, name) = site().await;
    let daemon = site.serve().await;
    site.incident(&sys_id(1)).await;
    daemon.stop().await;
    let restore = site.run("restore x").await.err;
    let (_, statement) = restore.split_once("INSERT").unwrap();
    let (statement, _) = statement.split_once(';').unwrap();
    postgres::shared().run_in(&name, &format!("INSERT{statement}"));
    let daemon = site.serve().await;
    let mut database = PgConnection::connect(&postgres::shared().url(&name))
        .await
        .unwrap();
    let doubts = eventually("the event is in doubt", async || {
        let doubts: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM doubts")
            .fetch_one(&mut database)
            .await
            .unwrap();
        (doubts > 0).then_some(doubts)
    })
    .await;
    assert_eq!(doubts, 1);
    daemon.stop().await;
}
