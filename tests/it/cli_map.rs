//! `map` and `migrate` from the outside, with the daemon down and with the daemon running.

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::{Site, bare, ended, free_port};

const INCIDENT: &str = "3b9e41d7c0f24a18857d6e02fa91b3c6";
const THREAD: &str = "C9DDYQ1B4:1779146751.061339";

/// Times differ between two ways of doing the same.
fn without_times(mut mapping: Value) -> Value {
    for name in ["created_at", "updated_at"] {
        assert!(mapping[name].take().is_string(), "{name}");
    }
    mapping
}

/// Does everything that `map` can do and answers what it printed.
async fn tour(site: &Site) -> Vec<Value> {
    // A running daemon has made the database already.
    site.run("migrate").await;
    let upper = INCIDENT.to_uppercase();
    let line =
        format!("map set servicenow {upper} T-1 --accounted-for m1 --accounted-for m2 --json");
    let set = site.run(&line).await.json();
    assert_eq!(set["external_id"], INCIDENT);
    assert_eq!(set["origin"], "cli");
    let changed = site.run(&format!("map set slack {THREAD} T-2")).await;
    assert!(changed.text().contains("mapped to T-2"), "{changed:?}");
    let get = site
        .run(&format!("map get servicenow {INCIDENT} --json"))
        .await;
    let mut mapping = set.clone();
    for name in ["still_connected", "waiting", "idle", "warning"] {
        mapping.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(get.json(), mapping);
    let text = site.run(&format!("map get servicenow {INCIDENT}")).await;
    assert!(text.text().contains("m1, m2"), "{text:?}");

    let list = site.run("map list --json").await.json();
    let mappings = list["data"].as_array().unwrap().iter();
    let ids: Vec<_> = mappings.map(|m| m["ticket_id"].clone()).collect();
    assert_eq!(ids, ["T-1", "T-2"]);
    let one = site.run("map list --limit 1 --json").await.json();
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    assert!(one["next_cursor"].is_string());
    let all = site
        .run("map list --all --ticket-id T-2 --json")
        .await
        .json();
    assert_eq!(all["data"][0]["source"], "slack");
    let table = site.run("map list --source slack").await;
    assert_eq!(table.text().lines().count(), 2, "{table:?}");

    let removed = site.run(&format!("map remove slack {THREAD}")).await;
    assert_eq!(removed.code, 0, "{removed:?}");
    for line in ["remove", "get"] {
        let gone = site.run(&format!("map {line} slack {THREAD}")).await;
        assert_eq!(gone.code, 1, "{gone:?}");
        assert!(gone.err.contains("no mapping"), "{gone:?}");
        assert!(gone.err.contains(THREAD), "{gone:?}");
    }
    vec![without_times(set), without_times(list["data"][0].clone())]
}

#[tokio::test]
async fn the_mapping_table_is_the_same_with_and_without_the_daemon() {
    let down = Site::new(MockConfig::default()).await;
    let directly = tour(&down).await;
    let up = Site::new(MockConfig::default()).await;
    let daemon = up.serve().await;
    let through_the_daemon = tour(&up).await;
    assert_eq!(directly, through_the_daemon);

    // What one way has written, the other reads.
    daemon.stop().await;
    let left = up.run("map list --json").await.json();
    assert_eq!(left["data"][0]["ticket_id"], "T-1");
}

#[tokio::test]
async fn a_mapping_releases_what_is_parked_whether_the_daemon_runs_or_not() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    let other = "00000000000000000000000000000001";
    let first = site.incident(INCIDENT).await;
    let second = site.incident(other).await;
    let set = site
        .run(&format!("map set servicenow {INCIDENT} T-1"))
        .await;
    assert_eq!(set.code, 0, "{set:?}");
    site.wait_for(&first, "connected").await;
    site.wait_for(&second, "parked").await;
    daemon.stop().await;

    let set = site.run(&format!("map set servicenow {other} T-2")).await;
    assert!(set.text().contains("not running"), "{set:?}");
    site.wait_for(&second, "queued").await;
    let _daemon = site.serve().await;
    site.wait_for(&second, "connected").await;
    assert_eq!(site.serval.connects().len(), 2);
}

#[tokio::test]
async fn wrong_usage_is_told_from_failure() {
    let site = Site::new(MockConfig::default()).await;
    for (line, code, part) in [
        (
            format!("map get jira {INCIDENT}"),
            2,
            "configured: servicenow, slack",
        ),
        ("map set servicenow INC47 T".to_owned(), 2, "sys_id"),
        (
            "map set slack C9DDYQ1B4:1779146751.0613 T".to_owned(),
            2,
            "six digits",
        ),
        ("map get servicenow INC0047713".to_owned(), 1, "no database"),
        (format!("map set slack {INCIDENT} T"), 2, "thread root ts"),
        (format!("map set servicenow {INCIDENT} n/a"), 2, "ticket id"),
        ("map list --source jira".to_owned(), 2, "configured:"),
        ("map list --limit 0".to_owned(), 2, "--limit"),
        ("map".to_owned(), 2, "Usage"),
        ("map list".to_owned(), 1, "no database"),
    ] {
        let ended = site.run(&line).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        assert!(ended.err.contains(part), "{line}: {ended:?}");
        assert_eq!(ended.out, "", "{line}");
    }
    assert!(!site.path("data").exists(), "nothing was made on the way");
}

#[tokio::test]
async fn a_daemon_with_other_settings_is_explained() {
    let site = Site::new(MockConfig::default()).await;
    let _daemon = site.serve().await;
    let mut command = site.command("map list");
    command.env("SERVAL_CONNECT__ADMIN__TOKENS", "a-token-of-somebody-else");
    let refused = ended(command).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("admin.tokens"), "{refused:?}");
    assert!(!refused.err.contains("somebody"), "{refused:?}");

    let mut command = site.command("map list");
    let nobody = format!("127.0.0.1:{}", free_port());
    command.env("SERVAL_CONNECT__ADMIN__LISTEN", &nobody);
    let unanswered = ended(command).await;
    assert_eq!(unanswered.code, 1, "{unanswered:?}");
    for part in [nobody.as_str(), "admin.listen", "Connection refused"] {
        assert!(unanswered.err.contains(part), "{unanswered:?}");
    }
}

#[tokio::test]
async fn migrate_says_the_version_and_leaves_a_running_daemon_alone() {
    let site = Site::new(MockConfig::default()).await;
    let made = site.run("migrate").await;
    assert!(
        made.text().contains("created, with schema version"),
        "{made:?}"
    );
    let again = site.run("migrate").await;
    assert!(again.text().contains("was up to date"), "{again:?}");
    let _daemon = site.serve().await;
    let refused = site.run("migrate").await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("in use"), "{refused:?}");
}

#[tokio::test]
async fn healthcheck_needs_nothing_but_an_address() {
    let site = Site::new(MockConfig::default()).await;
    let down = site.run("healthcheck").await;
    assert_eq!(down.code, 1, "{down:?}");
    let daemon = site.serve().await;
    assert_eq!(site.run("healthcheck").await.code, 0);
    let healthy = site.run("healthcheck").await;
    let url = healthy.text().trim().strip_prefix("healthy: ").unwrap();
    let listen = url.strip_prefix("http://127.0.0.1:").unwrap();
    let port = listen.strip_suffix("/healthz").unwrap();

    // As in a container: settings in the environment, a secret that this user cannot read.
    let mut command = bare("healthcheck");
    command
        .env("SERVAL_CONNECT__SERVER__LISTEN", format!("0.0.0.0:{port}"))
        .env("SERVAL_CLIENT_SECRET_FILE", "/run/secrets/not-for-you");
    let inside = ended(command).await;
    assert_eq!(inside.text(), healthy.text());
    let given = ended(bare(&format!("healthcheck --url http://127.0.0.1:{port}"))).await;
    assert_eq!(given.code, 0, "{given:?}");

    let mut command = bare("healthcheck");
    command.env("SERVAL_CONNECT__SERVER__LISTEN", "everywhere");
    let astray = ended(command).await;
    assert!(astray.err.contains("default, 127.0.0.1:8080"), "{astray:?}");
    daemon.stop().await;
}
