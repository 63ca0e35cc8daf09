//! `discover` and `check --online` from the outside.

use serval_connect::rehearsal::mock_serval::{
    Effect, Endpoint, Fault, MockConfig, SERVICENOW_INTEGRATION, SLACK_INTEGRATION, TEAM,
};

use crate::cli_run::{Site, bare, ended};

fn at(endpoint: Endpoint, status: u16) -> Vec<Fault> {
    let endpoint = Some(endpoint);
    vec![Fault {
        endpoint,
        ..Fault::of(Effect::Status(status))
    }]
}

#[tokio::test]
async fn discover_prints_lines_to_paste() {
    let site = Site::new(MockConfig::default()).await;
    let text = site.run("discover").await;
    for part in [
        format!(
            "channel_target = {{ ticketSource = {{ integrationId = \"{SERVICENOW_INTEGRATION}\" }} }}"
        ),
        format!(
            "channel_target = {{ slackChannel = {{ integrationId = \"{SLACK_INTEGRATION}\" }} }}"
        ),
        "direct_message_target = { slackDm = {".to_owned(),
        TEAM.to_owned(),
    ] {
        assert!(text.text().contains(&part), "{part} is not in {text:?}");
    }
    for team in ["it", "ACM", TEAM] {
        let json = site
            .run(&format!("discover --team {team} --json"))
            .await
            .json();
        let apps = &json["data"][0]["app_instances"];
        let integration = &apps[0]["integrations"][0];
        assert_eq!(
            integration["channel_target"]["ticketSource"]["integrationId"],
            SERVICENOW_INTEGRATION
        );
    }
    let nobody = site.run("discover --team finance").await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
}

#[tokio::test]
async fn discover_needs_the_account_alone() {
    let site = Site::new(MockConfig::default()).await;
    let mut command = bare("discover");
    command
        .env("SERVAL_BASE_URL", format!("http://{}", site.serval.addr()))
        .env("SERVAL_CLIENT_ID", "mock-client")
        .env("SERVAL_CLIENT_SECRET", "mock-secret")
        .env("SERVAL_CONNECT__SERVER__LISTEN", "everywhere")
        .env("SERVAL_CONNECT__SOURCES__CRM__SECRETS", "no kind");
    let found = ended(command).await;
    assert!(found.text().contains(SLACK_INTEGRATION), "{found:?}");
    let nothing = ended(bare("discover")).await;
    assert_eq!(nothing.code, 2, "{nothing:?}");
    assert!(nothing.err.contains("no credentials"), "{nothing:?}");
}

/// A gateway's page in the place of Serval's directory.
fn page(status: u16) -> Vec<Fault> {
    let fault = format!("{status},path=directory,dialect=html");
    vec![fault.parse().unwrap()]
}

#[tokio::test]
async fn each_failure_online_says_what_to_do() {
    let site = Site::new(MockConfig::default()).await;
    for (faults, part) in [
        (at(Endpoint::Token, 401), "serval.client_secret"),
        (at(Endpoint::Token, 503), "in a while"),
        (at(Endpoint::Directory, 403), "scopes"),
        (at(Endpoint::Directory, 404), "serval.base_url"),
        (page(403), "what is on the way"),
        (page(200), "/v2/teams was answered 200 with a web page"),
    ] {
        site.serval.set_faults(faults);
        let failed = site.run("discover").await;
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(failed.err.contains(part), "{part} is not in {failed:?}");
        assert!(!failed.err.contains("mock-secret"), "{failed:?}");
    }
    let mut command = site.command("discover");
    command.env("SERVAL_BASE_URL", "http://127.0.0.1:1");
    let unreachable = ended(command).await;
    assert_eq!(unreachable.code, 1, "{unreachable:?}");
    assert!(unreachable.err.contains("firewall"), "{unreachable:?}");
}

#[tokio::test]
async fn check_online_finds_the_integration_that_serval_does_not_know() {
    let site = Site::new(MockConfig::default()).await;
    let unknown = site.run("check --online").await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(
        unknown.out.contains("accepts the credentials"),
        "{unknown:?}"
    );
    assert!(
        unknown
            .out
            .contains("slack.channel_target: Serval knows no integration elsewhere"),
        "{unknown:?}"
    );
    let target = format!(r#"{{"slackChannel":{{"integrationId":"{SLACK_INTEGRATION}"}}}}"#);
    let mended = |line: &str| {
        let mut command = site.command(line);
        command.env("SERVAL_CONNECT__SOURCES__SLACK__CHANNEL_TARGET", &target);
        command
    };
    let good = ended(mended("check --online")).await;
    assert_eq!(good.code, 0, "{good:?}");

    site.serval.set_faults(at(Endpoint::Directory, 403));
    let blind = site.run("check --online").await;
    assert_eq!(blind.code, 1, "{blind:?}");
    assert!(blind.err.contains("scopes"), "{blind:?}");
    site.serval.set_faults(at(Endpoint::Token, 401));
    assert_eq!(ended(mended("check --online")).await.code, 1);
}

#[tokio::test]
async fn check_online_fails_where_every_connect_would() {
    let site = Site::new(MockConfig::default()).await;
    let slack = format!(r#"{{"slackChannel":{{"integrationId":"{SLACK_INTEGRATION}"}}}}"#);
    for (target, code, part) in [
        (slack.clone(), 0, "is "),
        (
            slack.replace("slackChannel", "slack_channel"),
            1,
            "write slackChannel",
        ),
        (
            slack.replace("integrationId", "integration_id"),
            1,
            "write integrationId",
        ),
        (
            slack.replace("slackChannel", "ticketSource"),
            1,
            "a target of servicenow",
        ),
        (
            slack.replace(SLACK_INTEGRATION, SERVICENOW_INTEGRATION),
            1,
            "is one of servicenow",
        ),
        (
            r#"{"slackChannel":{}}"#.to_owned(),
            1,
            "has no integrationId",
        ),
        (r#"{"email":{}}"#.to_owned(), 0, "not checked"),
    ] {
        let mut command = site.command("check --online");
        command.env("SERVAL_CONNECT__SOURCES__SLACK__CHANNEL_TARGET", &target);
        let check = ended(command).await;
        assert_eq!(check.code, code, "{target}: {check:?}");
        let key = "sources.slack.channel_target: ";
        let mut lines = check.out.lines().filter(|line| line.starts_with(key));
        assert!(lines.any(|line| line.contains(part)), "{target}: {check:?}");
    }
}
