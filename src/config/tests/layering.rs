//! Which layer wins, and how values of several layers become one.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;

use super::{load, write};
use crate::sources::{servicenow, slack};

/// Files, variables, the base URL expected and the end of its origin.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn later_layers_win() {
    let first = "[serval]\nbase_url = 'https://one.example'";
    let second = "[serval]\nbase_url = 'https://two.example/'";
    let own = ("SERVAL_BASE_URL", "https://three.example");
    let general = ("SERVAL_CONNECT__SERVAL__BASE_URL", "https://four.example");
    let cases: &[Case<'_>] = &[
        (&[], &[], "https://public.api.serval.com", "default"),
        (&[first], &[], "https://one.example", "0.toml:2"),
        (&[first, second], &[], "https://two.example", "1.toml:2"),
        (&[second, first], &[], "https://one.example", "1.toml:2"),
        (&[first], &[own], "https://three.example", own.0),
        (&[first], &[own, general], "https://four.example", general.0),
        (
            &[first],
            &[("SERVAL_BASE_URL", "")],
            "https://one.example",
            "0.toml:2",
        ),
    ];
    for (files, variables, expected, origin) in cases {
        let loaded = load(files, variables).unwrap();
        assert_eq!(loaded.config.serval.base_url, *expected);
        let shown = loaded.origin("serval.base_url").unwrap().to_string();
        assert!(shown.ends_with(origin), "{shown} {origin}");
    }
}

#[test]
fn tables_merge_and_lists_replace() {
    let first = "[sources.servicenow]
        ignore_users = ['a', 'b']
        class_aliases = { u_one = 'incident' }
        channel_target = { ticketSource = { integrationId = 'x' } }
        [sources.slack-eu]
        kind = 'slack'";
    let second = "[sources.servicenow]
        ignore_users = ['c']
        class_aliases = { u_two = 'incident' }
        channel_target = { email = {} }";
    let variables = [
        (
            "SERVAL_CONNECT__SOURCES__SLACK_EU__SIGNING_SECRETS",
            "s1, s2",
        ),
        ("SERVAL_CONNECT__SOURCES__ServiceNow__PARK_FOR", "2d"),
        ("SERVAL_CONNECT__DELIVERY__CONCURRENCY", "9"),
    ];
    let config = load(&[first, second], &variables).unwrap().config;
    assert_eq!(config.delivery.concurrency, 9);
    assert_eq!(config.sources.len(), 2);
    let source = &config.sources[&"servicenow".parse().unwrap()];
    let now: &servicenow::Config = source.own().expect("the kind follows from the name");
    assert_eq!(now.ignore_users, ["c"]);
    assert_eq!(now.class_aliases.len(), 2);
    assert_eq!(source.policy.channel_target, Some(json!({"email": {}})));
    assert_eq!(source.policy.park_for, Duration::from_hours(48));
    let source = &config.sources[&"slack-eu".parse().unwrap()];
    let slack: &slack::Config = source.own().expect("the kind is written out");
    assert_eq!(slack.signing_secrets.len(), 2);
}

#[test]
fn secrets_come_from_files_and_the_later_layer_wins() {
    let dir = TempDir::new().unwrap();
    let single = write(&dir, "single", "from-file\n");
    let list = write(&dir, "list", "# rotation\nnew\n\nold\n");
    let single = single.to_str().unwrap();
    let toml = format!(
        "[serval]\nclient_secret_file = {single:?}\n[sources.slack]\nsigning_secrets_file = {list:?}"
    );
    let secret = |variables: &[(&str, &str)]| {
        let config = load(&[&toml], variables).unwrap().config;
        config
            .serval
            .client_secret
            .unwrap()
            .expose_secret()
            .to_owned()
    };
    assert_eq!(secret(&[]), "from-file");
    assert_eq!(secret(&[("SERVAL_CLIENT_SECRET", "inline")]), "inline");
    let replaced = toml.replace(single, "/nowhere");
    let loaded = load(&[&replaced], &[("SERVAL_CLIENT_SECRET_FILE", single)]).unwrap();
    let shown = loaded.redacted();
    assert!(shown.contains(&format!(
        "client_secret = (set, 1 value, from {single})  # SERVAL_CLIENT_SECRET_FILE"
    )));
    assert!(shown.contains("signing_secrets = (set, 2 values, from"));
    assert!(shown.contains("bearer_token = (not set)"));
}
