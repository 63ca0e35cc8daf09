//! The command line: what it says, and its exit codes.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::run;

const GOOD: &str = r#"
[server]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[database]
url = "sqlite://data/inbox.db"

[serval]
client_id = "client"
client_secret = "a-secret-that-must-not-show"

[sources.servicenow]
secrets = ["whsec_YSBzZWNyZXQgdGhhdCBtdXN0IG5vdCBzaG93ISE="]
channel_target = { ticketSource = { integrationId = "int-1" } }
"#;

/// Runs a command with this configuration in an empty folder.
async fn with_config(config: &str, command: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.toml"), config).unwrap();
    run(folder.path(), &[command, "--config", "c.toml"]).await
}

fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}

#[tokio::test]
async fn check_accepts_a_good_configuration_and_shows_no_secret() {
    let output = with_config(GOOD, "check").await;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("int-1"), "{said}");
    for secret in ["must-not-show", "YSBzZWNyZXQ"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn check_advises_to_name_the_instance_where_a_clone_could_be_taken_for_it() {
    let named = GOOD.replace("channel_target", "instance = \"acme\"\nchannel_target");
    let other = GOOD.replace(
        "[sources.servicenow]",
        "[sources.dev]\nkind = \"servicenow\"",
    );
    for (config, advice) in [
        (GOOD, Some("advice: sources.servicenow.instance: ")),
        (&other, Some("advice: sources.dev.instance: ")),
        (&named, None),
    ] {
        let output = with_config(config, "check").await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let found = said.lines().find(|line| line.starts_with("advice: "));
        assert_eq!(found.is_some(), advice.is_some(), "{said}");
        assert!(
            found.unwrap_or("").starts_with(advice.unwrap_or("")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn the_example_configuration_lacks_nothing_but_what_it_leaves_to_fill_in() {
    let folder = tempfile::tempdir().unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/example.toml");
    // Its ports may be in use on this machine.
    let ports = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"";
    fs::write(folder.path().join("ports.toml"), ports).unwrap();
    let files = ["check", "--config", example, "--config", "ports.toml"];
    let output = run(folder.path(), &files).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let said = said(&output);
    let mut errors = said.lines().filter(|line| line.starts_with("error: s"));
    assert!(
        errors.all(|error| error.contains("our documents")),
        "{said}"
    );
    assert!(
        !folder.path().join("data").exists(),
        "a check creates nothing"
    );
}

#[tokio::test]
async fn the_config_option_may_stand_before_the_command() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.toml"), GOOD).unwrap();
    let output = run(folder.path(), &["--config", "c.toml", "check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_refused_with_exit_code_2_and_what_to_do() {
    let without = |line: &str| GOOD.replace(line, "");
    let open_admin = GOOD.replace(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        "[admin]\nlisten = \"0.0.0.0:8081\"",
    );
    for (config, named) in [
        (
            GOOD.replace("client_secret", "client_secrett"),
            "client_secret",
        ),
        (GOOD.replace("[database]", "[databse]"), "database"),
        (GOOD.replace("sqlite://", "mysql://"), "database.url"),
        (
            GOOD.replace("client_id = \"client\"", "client_id = 7"),
            "serval.client_id",
        ),
        (
            without("client_secret = \"a-secret-that-must-not-show\""),
            "client_secret",
        ),
        (
            without("secrets = [\"whsec_YSBzZWNyZXQgdGhhdCBtdXN0IG5vdCBzaG93ISE=\"]"),
            "secrets",
        ),
        (
            without("channel_target = { ticketSource = { integrationId = \"int-1\" } }"),
            "channel_target",
        ),
        (GOOD.replace("whsec_", "whsec_%"), "secrets"),
        (open_admin, "admin.tokens"),
        ("[serval".to_owned(), "c.toml"),
        (String::new(), "source"),
    ] {
        for command in ["serve", "check"] {
            let output = with_config(&config, command).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{command} {named}: {said}");
            assert!(said.contains(named), "{command} {named}: {said}");
            assert!(!said.contains("must-not-show"), "{said}");
        }
    }
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_file_and_the_nearest_known_key() {
    let config = GOOD.replace("client_secret", "client_secrett");
    let said = said(&with_config(&config, "serve").await);
    for part in ["client_secrett", "c.toml", "did you mean"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2_and_help_is_0() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (vec![], 2),
        (vec!["dance"], 2),
        (vec!["serve", "--port", "80"], 2),
        (vec!["check", "--config", "missing.toml"], 2),
        (vec!["--help"], 0),
        (vec!["serve", "--help"], 0),
        (vec!["--version"], 0),
    ] {
        let output = run(folder.path(), &arguments).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    assert_eq!(files_in(folder.path()), 0);
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_file_that_is_no_database_is_exit_code_1_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.toml"), GOOD).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let database = folder.path().join("data/inbox.db");
    fs::write(&database, "no database at all, but some notes of mine").unwrap();
    for command in ["serve", "check"] {
        let output = run(folder.path(), &[command, "--config", "c.toml"]).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("inbox.db"), "{command}: {said}");
    }
    let kept = fs::read_to_string(&database).unwrap();
    assert_eq!(kept, "no database at all, but some notes of mine");
}
