//! `init` writes a file that `check` goes through, and published secrets are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli_run::{Ended, bare, ended};

const PORTS: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";

async fn run(folder: &Path, line: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = bare(line);
    command.current_dir(folder).envs(variables.iter().copied());
    ended(command).await
}

const ALL: &str = "init --servicenow --slack --serval-client-id c1 --servicenow-integration-id i1 --slack-integration-id i2";

#[tokio::test]
async fn the_file_is_ready_to_check_and_what_is_left_is_named() {
    let secret = ("SERVAL_CLIENT_SECRET", "a-client-secret-of-the-tests");
    let signing = (
        "SERVAL_CONNECT__SOURCES__SLACK__SIGNING_SECRETS",
        "0123456789abcdef0123456789abcdef",
    );
    for (line, variables, code, left) in [
        (ALL, &[secret, signing][..], 0, &[][..]),
        (ALL, &[secret], 2, &["sources.slack.signing_secrets"]),
        (
            ALL,
            &[],
            2,
            &["serval.client_secret", "sources.slack.signing_secrets"],
        ),
        (
            "init --servicenow --serval-client-id c1 --servicenow-integration-id i1",
            &[secret],
            0,
            &[],
        ),
        (
            "init --servicenow",
            &[secret],
            2,
            &["serval.client_id", "sources.servicenow.channel_target"],
        ),
        (
            "init",
            &[],
            2,
            &[
                "serval.client_id",
                "serval.client_secret",
                "sources.servicenow.channel_target",
                "sources.slack.channel_target",
                "sources.slack.signing_secrets",
            ],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let written = run(here, line, &[]).await;
        assert_eq!(written.code, 0, "{line}: {written:?}");
        let file = here.join("serval-connect.toml");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(here.join("ports.toml"), PORTS).unwrap();
        let check = "check --config serval-connect.toml --config ports.toml";
        let check = run(here, check, variables).await;
        assert_eq!(check.code, code, "{line}: {check:?}");
        let errors: Vec<_> = check
            .out
            .lines()
            .filter_map(|line| line.strip_prefix("error: "))
            .collect();
        assert_eq!(errors.len(), left.len(), "{line}: {errors:?}");
        for key in left {
            let named = errors.iter().filter(|error| error.starts_with(key)).count();
            assert_eq!(named, 1, "{line} {key}: {errors:?}");
        }
        assert_eq!(
            fs::read_dir(here).unwrap().count(),
            2,
            "nothing else is made"
        );
    }
}

#[tokio::test]
async fn nothing_is_overwritten_without_force_and_secrets_are_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let file = here.join("own.toml");
    fs::write(&file, "mine").unwrap();
    let refused = run(here, "init own.toml", &[]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("--force"), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let mut texts = Vec::new();
    for _ in 0..2 {
        assert_eq!(run(here, "init --force own.toml", &[]).await.code, 0);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("whsec_") && !texts.contains(&text));
        texts.push(text);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(here).unwrap().count(), 1);
    let nowhere = run(here, "init gone/x.toml", &[]).await;
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    assert!(nowhere.err.contains("gone/x.toml"), "{nowhere:?}");
}

#[tokio::test]
async fn a_published_secret_is_refused_by_check_and_serve_and_named_without_its_value() {
    const GOOD: [(&str, &str); 4] = [
        ("SERVAL_CLIENT_SECRET", "a-client-secret-of-the-tests"),
        (
            "SERVAL_CONNECT__ADMIN__TOKENS",
            "an-admin-token-of-the-tests",
        ),
        (
            "SERVAL_CONNECT__SOURCES__SERVICENOW__SECRETS",
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        ),
        (
            "SERVAL_CONNECT__SOURCES__SLACK__SIGNING_SECRETS",
            "0123456789abcdef0123456789abcdef",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert_eq!(run(here, ALL, &[]).await.code, 0);
    fs::write(here.join("ports.toml"), PORTS).unwrap();
    let files = "--config serval-connect.toml --config ports.toml";
    assert_eq!(run(here, &format!("check {files}"), &GOOD).await.code, 0);
    for (name, value) in [
        ("SERVAL_CLIENT_SECRET", "replace-me"),
        ("SERVAL_CLIENT_SECRET", "mock-secret"),
        ("SERVAL_CONNECT__ADMIN__TOKENS", "change-me"),
        ("SERVAL_CONNECT__ADMIN__TOKENS", "ann replace-me"),
        (
            "SERVAL_CONNECT__ADMIN__READ_ONLY_TOKENS",
            "rehearsal-token-that-everybody-knows",
        ),
        (
            "SERVAL_CONNECT__SOURCES__SERVICENOW__SECRETS",
            "whsec_cmVwbGFjZS1tZS13aXRoLTMyLXJhbmRvbS1ieXRlcyE=",
        ),
        (
            "SERVAL_CONNECT__SOURCES__SERVICENOW__BEARER_TOKENS",
            "a-token-that-nobody-can-guess",
        ),
        (
            "SERVAL_CONNECT__SOURCES__SLACK__SIGNING_SECRETS",
            "replace-me-with-the-signing-secret",
        ),
    ] {
        let variables = [&GOOD[..], &[(name, value)]].concat();
        for command in ["check", "serve"] {
            let refused = run(here, &format!("{command} {files}"), &variables).await;
            let said = format!("{}{}", refused.out, refused.err);
            assert_eq!(refused.code, 2, "{command} {value}: {said}");
            assert!(said.contains("that our documents print"), "{value}: {said}");
            assert!(said.contains(name), "{name}: {said}");
            assert!(!said.contains(value) || value == "replace-me", "{said}");
        }
    }
    assert!(!here.join("data").exists());
}

#[tokio::test]
async fn a_name_with_single_underscores_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    for (name, meant) in [
        (
            "SERVAL_CONNECT_SERVER_LISTEN",
            Some("SERVAL_CONNECT__SERVER__LISTEN"),
        ),
        (
            "SERVAL_CONNECT_ADMIN_TOKENS_FILE",
            Some("SERVAL_CONNECT__ADMIN__TOKENS_FILE"),
        ),
        (
            "SERVAL_CONNECT_DATABASE__URL",
            Some("SERVAL_CONNECT__DATABASE__URL"),
        ),
        (
            "SERVAL_CONNECT_SOURCES_SLACK_SIGNING_SECRETS",
            Some("SERVAL_CONNECT__SOURCES__SLACK__SIGNING_SECRETS"),
        ),
        ("SERVAL_CONNECT_CONFIG", None),
        ("SERVAL_CONNECT_SEND_SECRET", None),
        ("SERVAL_CONNECT_PORT", None),
        ("SERVAL_CONNECT_SERVICE_HOST", None),
        ("SERVAL_CONNECT_ADMIN_PORT_8081_TCP_ADDR", None),
    ] {
        let made = run(folder.path(), "init --force", &[]).await;
        assert_eq!(made.code, 0);
        let value = "serval-connect.toml";
        let check = run(folder.path(), "migrate", &[(name, value)]).await;
        assert_eq!(check.code, 0, "{name}: {check:?}");
        let warned = check.err.contains(&format!("{name} is not read"));
        assert_eq!(warned, meant.is_some(), "{name}: {check:?}");
        assert!(check.err.contains(meant.unwrap_or_default()), "{check:?}");
    }
}
