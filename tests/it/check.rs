//! `check` fails where `serve` would, with the same words.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serval_connect::rehearsal::mock_serval::MockConfig;
use sqlx::Connection as _;

use crate::cli_run::{Ended, Site, ended, with_room, without_rights};

/// Asserts that both commands fail, and say the same error once, with these words in it.
async fn both_refuse(site: &Site, words: &[&str]) {
    let check = site.run("check").await;
    let serve = site.run("serve").await;
    let error = |ended: &Ended| {
        let mut lines = ended.err.lines().filter(|line| line.starts_with("error: "));
        let error = lines.next().map(str::to_owned);
        assert_eq!(lines.next(), None, "{ended:?}");
        error.unwrap()
    };
    assert_eq!((check.code, serve.code), (1, 1), "{check:?} {serve:?}");
    assert_eq!(error(&check), error(&serve));
    for word in words {
        assert_eq!(error(&check).matches(word).count(), 1, "{word}: {check:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("check").await.code, 0);
    for (key, port) in [("server.listen", site.public), ("admin.listen", site.admin)] {
        let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = taken.local_addr().unwrap().to_string();
        both_refuse(&site, &[key, &address]).await;
    }
}

#[tokio::test]
async fn the_ports_of_the_daemon_that_has_the_database_are_no_fault() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    let check = site.run("check").await;
    assert_eq!(check.code, 0, "{check:?}");
    assert_eq!(
        check.text().matches("a daemon runs").count(),
        2,
        "{check:?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_with_what_to_do() {
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("migrate").await.code, 0);
    let path = site.path("data/x.db");
    let mut database = sqlx::SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    let later =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', TRUE, x'00', 0)";
    sqlx::query(later).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    both_refuse(
        &site,
        &["x.db", "version 9999", "restore a backup", "or a later one"],
    )
    .await;
    let migrate = site.run("migrate").await;
    assert!(migrate.err.contains("version 9999"), "{migrate:?}");
    assert!(fs::read(&path).unwrap() == before, "nothing was changed");
}

#[tokio::test]
async fn a_folder_or_file_that_cannot_be_written_is_named() {
    let site = Site::new(MockConfig::default()).await;
    let mode = |path: &str, mode| {
        fs::set_permissions(site.path(path), Permissions::from_mode(mode)).unwrap();
    };
    let check = async || {
        let mut command = site.command("check");
        without_rights(&mut command);
        ended(command).await
    };
    mode("", 0o555);
    mode("config.toml", 0o444);
    let refused = check().await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("Permission denied"), "{refused:?}");
    mode("", 0o777);
    assert_eq!(check().await.code, 0, "the folder can be made");
    assert!(!site.path("data").exists(), "and a check makes none");

    assert_eq!(site.run("migrate").await.code, 0);
    assert_eq!(site.run("check").await.code, 0);
    let left = site.path("data/x.db-wal");
    assert!(!left.exists(), "it would be root's, if root checks");
    mode("data", 0o777);
    for (file, others) in [
        ("data/x.db.lock", "data/x.db"),
        ("data/x.db", "data/x.db.lock"),
    ] {
        mode(file, 0o444);
        mode(others, 0o666);
        let refused = check().await;
        assert_eq!(refused.code, 1, "{refused:?}");
        let named = format!("cannot use {}: ", site.path(file).display());
        assert_eq!(refused.err.matches(&named).count(), 1, "{refused:?}");
    }
    mode("data/x.db", 0o666);
    assert_eq!(check().await.code, 0);
}

#[tokio::test]
async fn an_io_error_is_called_one_and_said_once() {
    let site = Site::new(MockConfig::default()).await;
    for kib in [0, 8, 64] {
        let refused = ended(with_room(&site.command("migrate"), kib)).await;
        assert_eq!(refused.code, 1, "{kib} KiB: {refused:?}");
        let said = refused.err.matches("disk I/O error").count();
        assert_eq!(said, 1, "{kib} KiB: {refused:?}");
        assert!(!refused.err.contains("locked"), "{refused:?}");
    }
}

#[tokio::test]
async fn secrets_that_are_not_safe_are_warned_of_by_check_and_at_the_start() {
    let site = Site::new(MockConfig::default()).await;
    let shared = site.path("shared");
    fs::write(
        &shared,
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n",
    )
    .unwrap();
    let mode = |path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let config = site.path("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let second = format!(
        "[sources.eu]\nkind = \"servicenow\"\nsecrets_file = \"{file}\"\n\
         channel_target = {{ ticketSource = {{ integrationId = \"i\" }} }}\n\
         [sources.us]\nkind = \"servicenow\"\nsecrets_file = \"{file}\"\n\
         channel_target = {{ ticketSource = {{ integrationId = \"i\" }} }}\n",
        file = shared.display()
    );
    fs::write(&config, format!("{text}\n{second}")).unwrap();
    mode(&config, 0o600);
    mode(&shared, 0o640);
    let for_all = format!("{}: other users may read", shared.display());
    let twice = "sources.eu.secrets and sources.us.secrets hold the same secret";
    let check = site.run("check").await;
    let daemon = site.serve().await;
    let log = fs::read_to_string(site.path("log")).unwrap();
    daemon.stop().await;
    for said in [check.text(), &log] {
        for warning in [for_all.as_str(), twice] {
            assert_eq!(said.matches(warning).count(), 1, "{warning}: {said}");
        }
        assert!(!said.contains("MDEyMzQ1"), "{said}");
        assert!(!said.contains("config.toml: other users"), "{said}");
    }
    mode(&shared, 0o400);
    mode(&config, 0o644);
    let check = site.run("check").await;
    assert!(!check.text().contains(&for_all), "{check:?}");
    assert!(
        check.text().contains("config.toml: other users"),
        "{check:?}"
    );
}

#[tokio::test]
async fn a_secret_that_can_never_be_right_is_refused() {
    for (right, wrong, says) in [
        (
            "signing-secret-of-the-tests",
            "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy",
            "sources.slack.signing_secrets: entry 1 is a token of Slack",
        ),
        (
            "signing-secret-of-the-tests",
            "x",
            "sources.slack.signing_secrets: entry 1 is too short",
        ),
        (
            "webhook-bearer-token-of-the-tests",
            "x",
            "sources.servicenow.bearer_tokens: entry 1 can be guessed",
        ),
    ] {
        let site = Site::new(MockConfig::default()).await;
        let config = site.path("config.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(right, wrong)).unwrap();
        for command in ["check", "serve"] {
            let refused = site.run(command).await;
            let said = format!("{}{}", refused.out, refused.err);
            assert_eq!(refused.code, 2, "{command}: {said}");
            assert!(said.contains(says), "{command}: {said}");
            assert!(!said.contains("17653672481"), "{said}");
        }
    }
}
