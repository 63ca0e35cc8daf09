//! `check --online` beside a running daemon looks at it as a sender, by its own account and at its disk.

use std::fs;

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::{MockConfig, SLACK_INTEGRATION};

use crate::cli_run::{Ended, Site, ended};

/// A site whose targets Serval knows, and whose ServiceNow signs.
async fn site() -> Site {
    let site = Site::new(MockConfig::default()).await;
    change(&site, "\"elsewhere\"", &format!("\"{SLACK_INTEGRATION}\""));
    let secret =
        "secrets = [\"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\nbearer_tokens";
    change(&site, "bearer_tokens", secret);
    site
}

fn change(site: &Site, from: &str, to: &str) {
    let text = fs::read_to_string(site.path("config.toml")).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    fs::write(site.path("config.toml"), text.replacen(from, to, 1)).unwrap();
}

/// The state of each check, of a run whose standard output is nothing but JSON.
fn states(check: &Ended) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(&check.out).unwrap();
    assert_eq!(json["ok"], check.code == 0, "{check:?}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = json["checks"].as_array().unwrap().iter();
    all.map(|one| (text(&one["check"]), text(&one["state"])))
        .collect()
}

fn state<'a>(states: &'a [(String, String)], check: &str) -> &'a str {
    let found = states.iter().find(|(name, _)| name == check);
    &found
        .unwrap_or_else(|| panic!("{check} is not in {states:?}"))
        .1
}

#[tokio::test]
async fn a_running_installation_is_looked_at_from_all_sides_and_nothing_is_left_behind() {
    let site = site().await;
    let daemon = site.serve().await;
    let url = format!("http://127.0.0.1:{}", site.public);
    let line = format!("check --online --json --url {url}");
    let check = site.run(&line).await;
    assert_eq!(check.code, 0, "{check:?}");
    let first = states(&check);
    for (name, expected) in [
        ("configuration", "ok"),
        ("database", "ok"),
        ("ports", "ok"),
        ("serval", "ok"),
        ("clock", "ok"),
        ("backlog", "ok"),
        ("feed servicenow", "warning"),
        ("feed slack", "warning"),
        ("disk", "ok"),
        ("backup", "warning"),
        ("TLS", "warning"),
        ("public URL", "ok"),
        ("signature of servicenow, secrets 1", "ok"),
        ("signature of servicenow, bearer_tokens 1", "ok"),
        ("signature of slack, signing_secrets 1", "ok"),
    ] {
        assert_eq!(state(&first, name), expected, "{name}: {check:?}");
    }
    for secret in [
        "mock-secret",
        "MDEyMzQ1",
        "signing-secret-of",
        "bearer-token-of",
        "first-token",
    ] {
        assert!(
            !check.out.contains(secret) && !check.err.contains(secret),
            "{check:?}"
        );
    }
    let events = site.run("events list --json").await.json();
    assert_eq!(events["data"].as_array().unwrap().len(), 0, "{events}");
    assert_eq!(site.serval.connects().len(), 0);

    let copy = site.path("copy.db").display().to_string();
    assert_eq!(site.run(&format!("backup {copy}")).await.code, 0);
    let again = states(&site.run(&line).await);
    assert_eq!(state(&again, "backup"), "ok");
    // What a check sends is no sign of life of a sender.
    for name in ["feed servicenow", "feed slack"] {
        assert_eq!(state(&again, name), "warning", "{name}");
    }
    // People read the same, one line each with the remedy.
    let text = site.run("check --online").await;
    assert!(
        text.text()
            .contains("ok       signature of slack, signing_secrets 1: "),
        "{text:?}"
    );
    assert!(text.text().contains("unknown  public URL: "), "{text:?}");
    assert!(text.text().contains("; what to do: "), "{text:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_does_not_work_is_named_and_fails() {
    let site = site().await;
    let daemon = site.serve().await;
    let nowhere = "check --online --json --url http://127.0.0.1:1";
    let refused = site.run(nowhere).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let found = states(&refused);
    assert_eq!(state(&found, "public URL"), "failed");
    assert_eq!(
        state(&found, "signature of slack, signing_secrets 1"),
        "failed"
    );
    assert!(refused.err.contains("failed: public URL"), "{refused:?}");
    // A secret that the daemon has not read yet.
    change(
        &site,
        "signing-secret-of-the-tests",
        "another-secret-of-the-tests",
    );
    let stale = site.run("check --online --json").await;
    let found = states(&stale);
    assert_eq!(stale.code, 1, "{stale:?}");
    assert_eq!(
        state(&found, "signature of slack, signing_secrets 1"),
        "failed"
    );
    assert_eq!(state(&found, "signature of servicenow, secrets 1"), "ok");
    daemon.stop().await;
    // Without a daemon there is nothing to look at, and that is no fault.
    let alone = site.run("check --online --json").await;
    assert_eq!(alone.code, 0, "{alone:?}");
    assert_eq!(state(&states(&alone), "daemon"), "unknown");
}

#[tokio::test]
async fn a_faulty_configuration_is_json_too() {
    let site = site().await;
    change(&site, "\"mock-client\"", "\"replace-me\"");
    let mut command = site.command("check --json");
    command.current_dir(site.path("."));
    let refused = ended(command).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(state(&states(&refused), "configuration"), "failed");
    assert!(refused.out.contains("serval.client_id"), "{refused:?}");
}
