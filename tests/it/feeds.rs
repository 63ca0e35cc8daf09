//! Who has gone silent: what is known of each source in the statistics, the overview and the metrics.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use serval_connect::domain::feed::{Sign, Trouble};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use serval_connect::store::Webhook;

use crate::store::{Bench, at, webhook};
use crate::support::bodies::{callback, incident, incident_with, slack_message, sys_id};
use crate::support::{Admin, Daemon, Delivery, Settings, TestApp, eventually};

/// What the statistics say about a source.
async fn feed(admin: &Admin, source: &str) -> Value {
    admin.get("/stats").await.json()["feeds"][source].clone()
}

async fn metrics(admin: &Admin) -> String {
    let page = admin.request(Method::GET, "/metrics", None, "").await;
    String::from_utf8(page.body.to_vec()).unwrap()
}

/// The first sentence of the overview.
async fn sentence(admin: &Admin) -> String {
    let mut browser = admin.browser().logged_in().await;
    let page = browser.page("/").await;
    let (_, rest) = page.split_once(r#"<h1 id="verdict">"#).unwrap();
    rest.split_once("</h1>").unwrap().0.to_owned()
}

/// Asserts that a source has this trouble, or none, in the statistics and in the metrics.
async fn assert_trouble(admin: &Admin, source: &str, trouble: Option<&str>) {
    assert_eq!(feed(admin, source).await["trouble"], json!(trouble));
    let page = metrics(admin).await;
    let prefix = format!(r#"serval_connect_source_trouble{{source="{source}","#);
    let series: Vec<&str> = page.lines().filter(|l| l.starts_with(&prefix)).collect();
    assert_eq!(series.len(), 6, "{page}");
    for line in series {
        let is_it = trouble.is_some_and(|word| line.contains(&format!("\"{word}\"")));
        assert_eq!(line.ends_with(" 1"), is_it, "{line}");
    }
}

#[tokio::test]
async fn a_feed_that_never_brought_anything_has_no_trouble() {
    let app = TestApp::start().await;
    let expected = json!({
        "last_webhook_at": null, "last_refused_at": null, "refused_last_hour": 0,
        "refused_cause": null, "trouble": null,
    });
    for source in ["slack", "servicenow", "servicenow-eu"] {
        assert_eq!(feed(&app.admin, source).await, expected, "{source}");
        assert_trouble(&app.admin, source, None).await;
        let never =
            format!(r#"serval_connect_last_webhook_timestamp_seconds{{source="{source}"}} 0"#);
        assert!(metrics(&app.admin).await.contains(&never));
    }
    assert_eq!(sentence(&app.admin).await, "All is well.");
    app.stop().await;
}

#[tokio::test]
async fn the_last_webhook_of_a_source_is_known_over_a_restart() {
    let mut app = TestApp::start().await;
    app.save(incident(1)).await;
    let last = feed(&app.admin, "servicenow").await["last_webhook_at"].clone();
    assert!(last.is_string(), "{last}");
    assert_eq!(
        feed(&app.admin, "slack").await["last_webhook_at"],
        Value::Null
    );
    app.restart().await;
    let kept = feed(&app.admin, "servicenow").await["last_webhook_at"].clone();
    // Before the restart the end of the answer counts, after it the arrival.
    let second = |at: &Value| at.as_str().unwrap()[..19].to_owned();
    assert!(second(&kept) <= second(&last), "{kept} {last}");
    let page = metrics(&app.admin).await;
    let line = page
        .lines()
        .find(|l| {
            l.starts_with("serval_connect_last_webhook_timestamp_seconds{source=\"servicenow\"}")
        })
        .unwrap();
    let (_, value) = line.rsplit_once(' ').unwrap();
    assert!(value.parse::<f64>().unwrap() > 1.7e9, "{line}");
    app.stop().await;
}

#[tokio::test]
async fn a_source_that_refuses_all_webhooks_is_in_trouble_until_one_is_accepted() {
    let app = TestApp::start().await;
    let wrong = |n: u32| {
        app.webhooks
            .servicenow(incident(n))
            .key(b"another key of thirty-two bytes!")
    };
    for n in 1..=4 {
        assert_eq!(wrong(n).send().await.status, 401);
    }
    let found = feed(&app.admin, "servicenow").await;
    assert_eq!(found["refused_last_hour"], 4);
    assert_eq!(found["refused_cause"], "mismatch");
    assert!(found["last_refused_at"].is_string(), "{found}");
    assert_eq!(found["last_webhook_at"], Value::Null);
    assert_trouble(&app.admin, "servicenow", Some("refusing")).await;
    assert_trouble(&app.admin, "slack", None).await;
    let said = sentence(&app.admin).await;
    assert!(
        said.starts_with("All webhooks of servicenow have been refused for "),
        "{said}"
    );
    assert!(said.ends_with(", the last for: mismatch."), "{said}");

    app.save(incident(1)).await;
    assert_trouble(&app.admin, "servicenow", None).await;
    assert_eq!(feed(&app.admin, "servicenow").await["refused_last_hour"], 4);
    assert_eq!(sentence(&app.admin).await, "All is well.");
    // One that was accepted within the hour: not all are refused.
    assert_eq!(wrong(1).send().await.status, 401);
    assert_trouble(&app.admin, "servicenow", None).await;
    app.stop().await;
}

#[tokio::test]
async fn where_nothing_is_found_it_is_said_who_is_silent_and_where_else_it_is() {
    let app = TestApp::start().await;
    let (id, other, number) = (sys_id(1), sys_id(2), "INC0081927");
    app.save(incident_with(1, 1, &json!({"number": number})))
        .await;
    let wrong = app.webhooks.slack("{}").unsigned();
    assert_eq!(wrong.send().await.status, 401);
    let elsewhere = "it is stored under another source: servicenow";
    let unnamed = "has named it yet, or retention has deleted its events";
    let heard = "servicenow: last webhook ";
    let (never, refused) = (
        "servicenow-eu: no webhook yet",
        "slack: no webhook yet; 1 refused in the last hour: missing",
    );
    let mut browser = app.admin.browser().logged_in().await;
    for (path, parts, absent) in [
        (
            "/events?state=dead".to_owned(),
            vec![heard, never, refused],
            vec![unnamed],
        ),
        (
            "/events?state=dead&source=slack".to_owned(),
            vec![refused],
            vec![heard],
        ),
        (
            format!("/events?state=dead&external_id={id}"),
            vec![heard],
            vec![unnamed, elsewhere],
        ),
        (
            format!("/events?external_id={other}"),
            vec![unnamed, heard],
            vec![elsewhere],
        ),
        (
            format!("/events?source=servicenow-eu&external_id={id}"),
            vec![elsewhere, never],
            vec![unnamed],
        ),
        (
            format!("/events?source=servicenow-eu&external_id={number}"),
            vec![elsewhere, never],
            vec![heard],
        ),
        (
            "/events?external_id=INC0099999".to_owned(),
            vec!["No webhook has named INC0099999 yet", heard, refused],
            vec![elsewhere],
        ),
        (
            "/events?external_id=nonsense".to_owned(),
            vec![],
            vec![heard],
        ),
        (
            "/find?q=INC0099999".to_owned(),
            vec![heard, never, refused],
            vec![],
        ),
        ("/find?q=".to_owned(), vec![], vec![heard]),
        (
            "/".to_owned(),
            vec![
                "/events?source=servicenow-eu\"",
                "1, the last for: missing",
                "state-dead\">refusing<",
            ],
            vec!["state-dead\">silent<"],
        ),
        ("/events".to_owned(), vec![], vec![heard]),
    ] {
        let page = browser.page(&path).await;
        for part in parts {
            assert!(page.contains(part), "{path}: {part}: {page}");
        }
        for part in absent {
            assert!(!page.contains(part), "{path}: {part}: {page}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_refusal_of_any_status_counts_and_a_page_that_is_opened_does_not() {
    let app = TestApp::builder()
        .config("[server]\nbody_limit = \"2KiB\"")
        .start()
        .await;
    let refused: [(Delivery, u16, &str); 6] = [
        (app.webhooks.servicenow("no JSON"), 400, "not_understood"),
        (
            app.webhooks.servicenow(incident(1)).unsigned(),
            401,
            "missing",
        ),
        (
            app.webhooks.plain(Method::PUT, "/webhooks/servicenow"),
            405,
            "method",
        ),
        (
            app.webhooks.servicenow("x".repeat(4096)),
            413,
            "body_too_large",
        ),
        (
            app.webhooks
                .servicenow(incident(1))
                .header("content-encoding", "gzip"),
            415,
            "compressed",
        ),
        (
            app.webhooks
                .servicenow(r#"{"sys_id":"x","sys_class_name":"incident"}"#),
            422,
            "not_understood",
        ),
    ];
    for (n, (delivery, status, cause)) in (1..).zip(refused) {
        assert_eq!(delivery.send().await.status, status, "{cause}");
        let found = feed(&app.admin, "servicenow").await;
        assert_eq!(found["refused_last_hour"], n, "{cause}");
        assert_eq!(found["refused_cause"], cause);
        let line =
            format!(r#"serval_connect_webhooks_total{{source="servicenow",status="{status}"}} 1"#);
        assert!(metrics(&app.admin).await.contains(&line), "{line}");
    }
    let page = app.webhooks.plain(Method::GET, "/webhooks/slack");
    assert_eq!(page.send().await.status, 405);
    assert_eq!(feed(&app.admin, "slack").await["refused_last_hour"], 0);
    app.stop().await;
}

#[tokio::test]
async fn a_challenge_proves_the_secret_and_ends_the_refusals() {
    let app = TestApp::start().await;
    let body = r#"{"challenge":"abc","type":"url_verification"}"#;
    let challenge = app.webhooks.slack(body);
    let unsigned = challenge.clone().unsigned();
    assert_eq!(unsigned.send().await.status, 401);
    assert_trouble(&app.admin, "slack", Some("refusing")).await;
    assert_eq!(challenge.send().await.status, 200);
    assert_trouble(&app.admin, "slack", None).await;
    app.stop().await;
}

#[tokio::test]
async fn a_removed_app_is_a_trouble_over_a_restart_until_a_good_webhook_comes() {
    let users = json!({"type": "tokens_revoked", "tokens": {"oauth": ["U0PERSON2"], "bot": []}});
    let revoked = json!({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0BOT0001"]}});
    let removed = json!({"type": "app_uninstalled"});
    for (events, trouble, words) in [
        (
            vec![&removed],
            "uninstalled",
            "slack: the app was removed there",
        ),
        (
            vec![&revoked],
            "tokens_revoked",
            "slack: the app has lost its tokens",
        ),
        // Slack announces both, in any order.
        (
            vec![&removed, &revoked],
            "uninstalled",
            "slack: the app was removed there",
        ),
        (
            vec![&revoked, &removed],
            "uninstalled",
            "slack: the app was removed there",
        ),
        // A notice that users lost their tokens does not prove that the app is there.
        (
            vec![&removed, &users],
            "uninstalled",
            "slack: the app was removed there",
        ),
        (
            vec![&revoked, &users],
            "tokens_revoked",
            "slack: the app has lost its tokens",
        ),
    ] {
        let mut app = TestApp::start().await;
        let good = slack_message("EvGood1", "1779146751.061339", &Value::Null);
        let good = app.webhooks.slack(good);
        assert_eq!(good.send().await.status, 200);
        assert_trouble(&app.admin, "slack", None).await;
        for (n, event) in events.iter().enumerate() {
            let body = callback(&format!("EvNotice{n}"), event);
            assert_eq!(app.webhooks.slack(body).send().await.status, 200);
        }
        assert_trouble(&app.admin, "slack", Some(trouble)).await;
        // A repetition of what came before is no sign of life.
        assert_eq!(good.send().await.status, 200);
        app.restart().await;
        assert_trouble(&app.admin, "slack", Some(trouble)).await;
        assert_trouble(&app.admin, "servicenow", None).await;
        let said = sentence(&app.admin).await;
        assert!(said.starts_with(words), "{said}");
        let good = slack_message("EvGood2", "1779146752.061339", &Value::Null);
        assert_eq!(app.webhooks.slack(good).send().await.status, 200);
        assert_trouble(&app.admin, "slack", None).await;
        assert_eq!(sentence(&app.admin).await, "All is well.");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_rate_limit_is_a_trouble_while_webhooks_go_on() {
    let app = TestApp::start().await;
    let body = json!({
        "type": "app_rate_limited", "team_id": "T0BRIDGE1", "api_app_id": "A0BRIDGE1",
        "minute_rate_limited": 1_779_146_700,
    });
    assert_eq!(
        app.webhooks.slack(body.to_string()).send().await.status,
        200
    );
    let good = slack_message("Ev1", "1779146751.061339", &Value::Null);
    assert_eq!(app.webhooks.slack(good).send().await.status, 200);
    assert_trouble(&app.admin, "slack", Some("rate_limited")).await;
    let said = sentence(&app.admin).await;
    assert!(
        said.starts_with("slack: events are held back there"),
        "{said}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_record_of_another_instance_is_a_trouble_of_its_source() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\ninstance = 'acme'")
        .start()
        .await;
    let of = |instance: &str| {
        let record: Value = serde_json::from_str(&incident(1)).unwrap();
        let save = json!({
            "instance": instance, "table": "incident", "operation": "update", "record": record,
        });
        app.webhooks.servicenow(save.to_string())
    };
    assert_eq!(of("acme").send().await.status, 202);
    assert_trouble(&app.admin, "servicenow", None).await;
    let foreign = of("acmedev").send().await.event();
    assert_eq!(foreign["state"], "ignored");
    assert_trouble(&app.admin, "servicenow", Some("foreign_instance")).await;
    assert_trouble(&app.admin, "servicenow-eu", None).await;
    let said = sentence(&app.admin).await;
    assert!(
        said.starts_with("servicenow") && said.contains("instance"),
        "{said}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_source_that_is_never_quiet_is_silent_after_its_own_time() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nexpect_every = \"1s\"")
        .start()
        .await;
    let silent = async || {
        let found = feed(&app.admin, "servicenow").await;
        (found["trouble"] == "silent").then_some(())
    };
    eventually("nothing came", silent).await;
    assert_trouble(&app.admin, "servicenow", Some("silent")).await;
    assert_trouble(&app.admin, "slack", None).await;
    let said = sentence(&app.admin).await;
    assert!(
        said.starts_with("servicenow has sent no webhook for "),
        "{said}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_flood_of_refusals_leaves_few_lines_and_each_cause_has_one() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    for n in 0..300 {
        let refused = daemon.webhooks.slack(format!("{n}")).unsigned();
        assert_eq!(refused.send().await.status, 401);
    }
    for (body, status) in [("no JSON", 400), (r#"{"type":"url_verification"}"#, 400)] {
        assert_eq!(daemon.webhooks.slack(body).send().await.status, status);
    }
    let found = feed(&daemon.admin, "slack").await;
    assert_eq!(found["refused_last_hour"], 302);
    let lines = async || {
        let log = daemon.log();
        let of = |cause: &str| {
            let lines = log.iter().filter(|line| line["source"] == "slack");
            lines.filter(|line| line["cause"] == cause).count()
        };
        (of("not_understood") == 2).then(|| of("missing"))
    };
    let lines = eventually("the last refusals are logged", lines).await;
    assert!((1..=60).contains(&lines), "{lines}");
}

#[tokio::test]
async fn a_flood_of_warnings_about_accepted_webhooks_leaves_few_lines() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    for n in 1..=60 {
        let limited = json!({
            "type": "app_rate_limited", "team_id": "T0BRIDGE1", "api_app_id": "A0BRIDGE1",
            "minute_rate_limited": 1_779_146_700 + n * 60,
        });
        let sent = daemon.webhooks.slack(limited.to_string()).send().await;
        assert_eq!(sent.status, 200);
        let reused = daemon.webhooks.servicenow(incident(n)).id("constant");
        assert_eq!(reused.send().await.status, 202);
    }
    let lines = async || {
        let log = daemon.log();
        let of = |key: &str, value: &str| log.iter().filter(|line| line[key] == value).count();
        let counts = (of("trouble", "rate_limited"), of("delivery", "wh:constant"));
        let stored = log
            .iter()
            .filter(|line| line["message"] == "webhook stored");
        (stored.count() == 120).then_some(counts)
    };
    let (troubles, reused) = eventually("all webhooks are logged", lines).await;
    assert!((1..60).contains(&troubles), "{troubles}");
    assert!((1..59).contains(&reused), "{reused}");
}

#[tokio::test]
async fn the_store_keeps_the_trouble_that_the_rule_keeps() {
    let signs = [
        Sign::Alive,
        Sign::Notice,
        Sign::Trouble(Trouble::Uninstalled),
        Sign::Trouble(Trouble::TokensRevoked),
        Sign::Trouble(Trouble::RateLimited),
    ];
    let bench = Bench::open().await;
    let mut n = 0;
    for first in signs {
        for second in signs {
            for third in signs {
                let mut expected: Option<(Trouble, Timestamp)> = None;
                for sign in [Sign::Alive, first, second, third] {
                    n += 1;
                    let now = at(i64::from(n));
                    let webhook = Webhook {
                        sign,
                        ..webhook(n, now)
                    };
                    bench.store.record(webhook).await.unwrap();
                    let before = expected;
                    let after = Trouble::after(before.map(|(trouble, _)| trouble), sign);
                    expected = after.map(|trouble| (trouble, before.map_or(now, |(_, at)| at)));
                    let kept = bench.store.feeds().await.unwrap()["servicenow"];
                    assert_eq!(kept.trouble, expected, "{first:?} {second:?} {third:?}");
                }
            }
        }
    }
    bench.close().await;
}
