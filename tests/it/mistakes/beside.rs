//! Commands without a database, and beside a daemon that is not the one that was meant.

use std::fs;
use std::net::TcpListener;

use serval_connect::rehearsal::mock_serval::MockConfig;

use super::{Mistake, make, make_with, with_database};
use crate::cli_run::Site;

const NO_DATABASE: [Mistake; 4] = [
    (
        "an export",
        "audit export --output audit.csv",
        1,
        &["no database", "--config", "`serve` and `migrate`"],
    ),
    (
        "an export",
        "map export --output pairs.csv",
        1,
        &["no database", "--config", "`serve` and `migrate`"],
    ),
    (
        "a person",
        "erase --mentions anna@example.com",
        1,
        &["no database", "--config"],
    ),
    (
        "no daemon",
        "healthcheck",
        1,
        &["not healthy", "Connection refused"],
    ),
];

const TOKENS: &[&str] = &["admin.tokens", "--config"];

const WRONG_TOKEN: [Mistake; 10] = [
    ("a list", "events list", 1, TOKENS),
    (
        "a mapping",
        "map set servicenow 3b9e41d7c0f24a18857d6e02fa91b3c6 T_1",
        1,
        TOKENS,
    ),
    (
        "a mapping",
        "map remove servicenow 3b9e41d7c0f24a18857d6e02fa91b3c6",
        1,
        TOKENS,
    ),
    ("an export", "map export --output pairs.csv", 1, TOKENS),
    ("an export", "audit export --output audit.csv", 1, TOKENS),
    ("one event", "events replay evt_1", 1, TOKENS),
    ("events", "events replay --state dead", 1, TOKENS),
    (
        "an erasure",
        "erase --external-id 3b9e41d7c0f24a18857d6e02fa91b3c6",
        1,
        TOKENS,
    ),
    (
        "a person",
        "erase --mentions anna@example.com --yes",
        1,
        TOKENS,
    ),
    ("a pause", "connects pause", 1, TOKENS),
];

const OTHER: &[&str] = &["another database", "y.db", "--config"];

const OTHER_DATABASE: [Mistake; 6] = [
    (
        "a mapping",
        "map set servicenow 3b9e41d7c0f24a18857d6e02fa91b3c6 T_1",
        1,
        OTHER,
    ),
    ("a file", "map import pairs.csv", 1, OTHER),
    ("an export", "audit export --output audit.csv", 1, OTHER),
    ("an export", "map export --output out.csv", 1, OTHER),
    (
        "an erasure",
        "erase --external-id 3b9e41d7c0f24a18857d6e02fa91b3c6",
        1,
        OTHER,
    ),
    ("a pause", "connects pause", 1, OTHER),
];

const IN_USE: [Mistake; 4] = [
    (
        "a second daemon",
        "serve",
        1,
        &["in use", "stop the other one"],
    ),
    ("the schema", "migrate", 1, &["in use", "stop it first"]),
    (
        "a restore",
        "restore pairs.csv",
        1,
        &["in use", "stop the other one"],
    ),
    (
        "a move",
        "move --to postgres://u@127.0.0.1:1/d",
        1,
        &["in use", "stop the daemon first"],
    ),
];

const RUNNING: [Mistake; 6] = [
    (
        "nobody named it",
        "map set servicenow INC0099999 T_1",
        2,
        &["INC0099999", "sys_id"],
    ),
    (
        "no such event",
        "events replay evt_99",
        1,
        &["evt_99", "no such event"],
    ),
    (
        "a word",
        "events list --since yesterday",
        2,
        &["since", "24h or 7d"],
    ),
    (
        "it exists",
        "backup pairs.csv",
        1,
        &["exists already", "a name of its own"],
    ),
    (
        "no file",
        "map import gone.csv",
        1,
        &["gone.csv", "No such file"],
    ),
    (
        "nobody mentions it",
        "erase --mentions anna@example.com",
        1,
        &["spelling"],
    ),
];

#[tokio::test]
async fn without_a_database_a_command_makes_none_and_says_who_does() {
    let site = Site::new(MockConfig::default()).await;
    make(&site, &NO_DATABASE).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_what_to_do() {
    let site = Site::new(MockConfig::default()).await;
    let taken = TcpListener::bind(("127.0.0.1", site.public)).unwrap();
    let words: &[&str] = &[
        "server.listen",
        "another program listens there",
        "another port",
    ];
    make(&site, &[("it is taken", "check", 1, words)]).await;
    drop(taken);
}

#[tokio::test]
async fn beside_a_daemon_a_command_says_which_of_the_two_has_other_settings() {
    let site = with_database().await;
    fs::write(site.path("pairs.csv"), "source,external_id,ticket_id\n").unwrap();
    let other = format!("sqlite://{}", site.path("data/y.db").display());
    let other = [("SERVAL_CONNECT__DATABASE__URL", other.as_str())];
    let mut migrate = site.command("migrate");
    migrate.envs(other);
    assert_eq!(crate::cli_run::ended(migrate).await.code, 0);
    let daemon = site.serve().await;
    let wrong = [("SERVAL_CONNECT__ADMIN__TOKENS", "a-token-of-somebody-else")];
    make_with(&site, &wrong, &WRONG_TOKEN).await;
    let none = [("SERVAL_CONNECT__ADMIN__TOKENS", "[]")];
    make_with(&site, &none, &WRONG_TOKEN[..1]).await;
    make_with(&site, &other, &OTHER_DATABASE).await;
    make(&site, &IN_USE).await;
    make(&site, &RUNNING).await;
    daemon.stop().await;
}
