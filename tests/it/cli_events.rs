//! `events` from the outside, with the daemon down and with the daemon running.

use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::{Site, ended};

const LOST: &str = "3b9e41d7c0f24a18857d6e02fa91b3c6";
const PARKED: &str = "00000000000000000000000000000001";

fn without_a_ticket() -> MockConfig {
    MockConfig {
        faults: vec!["403,ticket=T-gone".parse().unwrap()],
        ..MockConfig::default()
    }
}

#[tokio::test]
async fn a_dead_event_is_found_understood_and_replayed() {
    let site = Site::new(without_a_ticket()).await;
    let daemon = site.serve().await;
    site.run(&format!("map set servicenow {LOST} T-gone")).await;
    let dead = site.incident(LOST).await;
    let parked = site.incident(PARKED).await;
    site.wait_for(&dead, "dead").await;

    let lines = [
        "events list --json".to_owned(),
        "events list --state dead --reason permission_denied --json".to_owned(),
        format!("events list --source servicenow --external-id {PARKED} --json"),
        "events list --limit 1 --json".to_owned(),
        "events list".to_owned(),
        format!("events show {dead}"),
        format!("events show {dead} --body"),
        format!("events show {dead} --json"),
    ];
    let mut answers = Vec::new();
    for line in &lines {
        answers.push(site.run(line).await.text().to_owned());
    }
    daemon.stop().await;
    for (line, answer) in lines.iter().zip(&answers) {
        assert_eq!(site.run(line).await.text(), answer, "{line}");
    }

    let [all, found, of_one, first, table, account, with_body, _] = &answers[..] else {
        panic!("a line has no answer");
    };
    let ids = |text: &str| -> Vec<String> {
        let list: serde_json::Value = serde_json::from_str(text).unwrap();
        let data = list["data"].as_array().unwrap().iter();
        data.map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(all), [parked.as_str(), dead.as_str()]);
    assert_eq!(ids(found), std::slice::from_ref(&dead));
    assert_eq!(ids(of_one), std::slice::from_ref(&parked));
    assert_eq!(ids(first), std::slice::from_ref(&parked));
    assert_eq!(table.lines().count(), 3, "{table}");
    for part in [
        "dead (permission_denied)",
        "T-gone",
        LOST,
        "call about ticket T-gone: HTTP 403 permission_denied",
        "given up",
    ] {
        assert!(account.contains(part), "{part} is not in:\n{account}");
    }
    assert!(!account.contains("printer"), "{account}");
    assert!(with_body.contains("printer"), "{with_body}");

    let counted = site.run("events replay --state dead --dry-run").await;
    assert_eq!(counted.text(), "matched 1, replayed none: --dry-run\n");
    let none = site.run("events replay --state dead --event-reason gave_up --json");
    assert_eq!(none.await.json()["matched"], 0);
    let replayed = site.run("events replay --state dead --source servicenow --reason found");
    let replayed = replayed.await;
    assert!(replayed.text().starts_with("matched 1, replayed 1"));
    site.wait_for(&dead, "queued").await;

    site.serval.set_faults(Vec::new());
    let _daemon = site.serve().await;
    site.wait_for(&dead, "connected").await;
    let account = site.run(&format!("events show {dead}")).await;
    assert!(
        account.text().contains("queued (replayed: found)"),
        "{account:?}"
    );
}

#[tokio::test]
async fn one_event_is_replayed_when_it_was_given_up_and_refused_when_not() {
    let site = Site::new(without_a_ticket()).await;
    let _daemon = site.serve().await;
    site.run(&format!("map set servicenow {LOST} T-gone")).await;
    let dead = site.incident(LOST).await;
    let parked = site.incident(PARKED).await;
    site.wait_for(&dead, "dead").await;
    site.serval.set_faults(Vec::new());
    let replayed = site
        .run(&format!("events replay {dead} --reason again"))
        .await;
    assert!(
        replayed.text().contains("in the queue again"),
        "{replayed:?}"
    );
    site.wait_for(&dead, "connected").await;

    let refused = site.run(&format!("events replay {parked}")).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("is parked"), "{refused:?}");
}

#[tokio::test]
async fn what_is_not_there_fails_and_what_is_wrong_is_usage() {
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("migrate").await.code, 0);
    for (line, code, part) in [
        ("events show evt_77", 1, "evt_77: no such event"),
        ("events show 77", 1, "evt_77: no such event"),
        ("events replay evt_77", 1, "evt_77: no such event"),
        ("events show INC1", 2, "evt_42"),
        ("events list --state lost", 2, "possible values"),
        ("events list --source jira", 2, "configured:"),
        ("events replay", 2, "required"),
    ] {
        let ended = site.run(line).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        assert!(ended.err.contains(part), "{line}: {ended:?}");
    }
}

#[tokio::test]
async fn an_empty_list_says_who_is_silent_and_what_else_may_be() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    site.incident(LOST).await;
    for _ in 0..2 {
        site.refused_webhook().await;
    }
    let unnamed = "no webhook has named it yet, or retention has deleted its events";
    let heard = "servicenow: last webhook ";
    let refused = "; 2 refused in the last hour: mismatch";
    let never = "slack: no webhook yet";
    let number = "no webhook has named INC0099999 yet";
    let deleted = "what retention has deleted is not found any more";
    let unheard = "no daemon answers on this machine";
    let rows: [(&str, i32, &[&str], &[&str]); 6] = [
        (
            "",
            0,
            &["no event matches", heard, refused, never],
            &[unnamed, unheard],
        ),
        (
            " --source slack",
            0,
            &["no event matches", never],
            &[heard, unheard],
        ),
        (
            " --external-id 00000000000000000000000000000001",
            0,
            &["no event matches", unnamed, heard, refused],
            &[unheard],
        ),
        // It has events, which are not dead.
        (
            " --external-id 3b9e41d7c0f24a18857d6e02fa91b3c6",
            0,
            &["no event matches", heard],
            &[unnamed],
        ),
        (
            " --external-id INC0099999",
            2,
            &[number, deleted, heard, refused, never],
            &[unheard],
        ),
        (" --json", 0, &[], &[heard, never]),
    ];
    for (more, code, parts, absent) in rows {
        let line = format!("events list --state dead{more}");
        let ended = site.run(&line).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        for part in parts {
            assert!(ended.err.contains(part), "{line}: {part}: {ended:?}");
        }
        for part in absent {
            assert!(!ended.err.contains(part), "{line}: {part}: {ended:?}");
        }
    }
    // Serval does not know the integrations of this configuration, which fails the check.
    let checked = site.run("check --online").await;
    for part in [heard, refused, never] {
        assert!(checked.out.contains(part), "{part}: {checked:?}");
    }
    daemon.stop().await;
    assert!(!site.run("check --online").await.out.contains(heard));
    // What was refused is known only to the daemon.
    for line in [
        "events list --state dead",
        "events list --external-id INC0099999",
    ] {
        let ended = site.run(line).await;
        for part in [heard, never, unheard] {
            assert!(ended.err.contains(part), "{line}: {part}: {ended:?}");
        }
        assert!(!ended.err.contains("refused in the last hour"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("migrate").await.code, 0);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = site.command("events list --json");
    command.stdout(writer);
    let child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    drop(ended(site.command("events list")).await);
}
