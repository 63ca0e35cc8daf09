//! Commands that make a file or a database: exports, copies, the move, the first configuration. And times, which limit
//! what they take.

use std::fs;

use super::{Mistake, make, with_database};

const EXPORTS: [Mistake; 8] = [
    (
        "no folder",
        "map export --output no/pairs.csv",
        1,
        &["no/pairs.csv", "no folder no", "make it first"],
    ),
    (
        "no folder",
        "audit export --output no/audit.csv",
        1,
        &["no/audit.csv", "no folder no", "make it first"],
    ),
    (
        "a folder",
        "map export --output folder",
        1,
        &["folder", "directory"],
    ),
    (
        "a workbook",
        "map export --output pairs.xlsx",
        2,
        &["pairs.xlsx", ".csv", "--format"],
    ),
    (
        "a workbook",
        "audit export --output audit.xls",
        2,
        &["audit.xls", ".csv", "--format"],
    ),
    (
        "an array",
        "map export --output pairs.json",
        2,
        &["pairs.json", ".ndjson", "--format"],
    ),
    (
        "no ticket",
        "map export --ticket-id n/a",
        2,
        &["a Serval ticket id"],
    ),
    (
        "no source",
        "map export --source jira --output x.csv",
        2,
        &["jira", "configured: servicenow, slack"],
    ),
];

const TIMES: [Mistake; 9] = [
    (
        "a word",
        "events list --since yesterday",
        2,
        &["since", "24h", "2026-03-01T12:00:00Z"],
    ),
    (
        "no unit",
        "events list --since 24",
        2,
        &["since", "24h or 7d"],
    ),
    (
        "a minus",
        "events list --since -24h",
        2,
        &["since", "24h or 7d"],
    ),
    (
        "a day",
        "events list --since 2026-03-01",
        2,
        &["since", "with its offset"],
    ),
    (
        "no offset",
        "events list --until 2026-03-01T12:00:00",
        2,
        &["until", "with its offset"],
    ),
    (
        "another order",
        "events list --since 01.03.2026",
        2,
        &["since", "2026-03-01T12:00:00Z"],
    ),
    (
        "swapped",
        "events list --since 1h --until 2h",
        2,
        &["is not before until", "nothing is in between"],
    ),
    (
        "swapped",
        "audit export --since 1h --until 2h --output x.csv",
        2,
        &["is not before until"],
    ),
    (
        "a word",
        "events replay --state dead --since tomorrow",
        2,
        &["since", "24h or 7d"],
    ),
];

const COPIES: [Mistake; 8] = [
    (
        "it exists",
        "backup config.toml",
        1,
        &["config.toml exists already", "a name of its own"],
    ),
    (
        "a folder",
        "backup folder",
        1,
        &["folder exists already", "a name of its own"],
    ),
    (
        "the database",
        "backup data/x.db",
        1,
        &["exists already", "a name of its own"],
    ),
    (
        "no folder",
        "backup no/copy.db",
        1,
        &["no/copy.db", "there is no folder", "make it first"],
    ),
    (
        "no backup there",
        "restore gone.db",
        1,
        &["there is no file gone.db", "`backup` made"],
    ),
    (
        "a folder",
        "restore folder",
        1,
        &["there is no file folder", "`backup` made"],
    ),
    (
        "not lost",
        "restore config.toml",
        1,
        &["x.db exists already", "move the old database away"],
    ),
    (
        "itself",
        "restore data/x.db",
        1,
        &["x.db exists already", "move the old database away"],
    ),
];

const MOVES: [Mistake; 5] = [
    (
        "a file",
        "move --to sqlite://y.db",
        2,
        &["--to", "postgres://user@host:5432/database"],
    ),
    (
        "a path",
        "move --to y.db",
        2,
        &["--to", "postgres://user@host:5432/database"],
    ),
    (
        "nobody there",
        "move --to postgres://u@127.0.0.1:1/d",
        1,
        &["127.0.0.1:1", "Connection refused"],
    ),
    (
        "no name",
        "move --to postgres://u@127.0.0.1:1",
        2,
        &["names no database"],
    ),
    (
        "no password",
        "move --to postgres://u@127.0.0.1:1/d --password-file gone",
        1,
        &["gone", "No such file"],
    ),
];

const FIRST: [Mistake; 3] = [
    (
        "it exists",
        "init config.toml",
        1,
        &["config.toml exists already", "--force"],
    ),
    (
        "a folder",
        "init folder",
        1,
        &["folder exists already", "another name"],
    ),
    (
        "no folder",
        "init no/c.toml",
        1,
        &["no/c.toml", "No such file"],
    ),
];

const LOST: [Mistake; 2] = [
    (
        "no backup",
        "restore config.toml",
        1,
        &["config.toml is not a backup"],
    ),
    (
        "no backup there",
        "restore gone.db",
        1,
        &["there is no file gone.db"],
    ),
];

#[tokio::test]
async fn what_cannot_be_made_leaves_no_part_of_it_and_what_is_there_stays() {
    let site = with_database().await;
    fs::create_dir(site.path("folder")).unwrap();
    for mistakes in [&EXPORTS[..], &TIMES, &COPIES, &MOVES, &FIRST] {
        make(&site, mistakes).await;
    }
    fs::remove_file(site.path("data/x.db")).unwrap();
    make(&site, &LOST).await;
}
