//! A source with another name in the configuration: what is stored stays its own.

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::support::bodies::{incident, record, sys_id};
use crate::support::{BEARER, Daemon, Delivery, Settings, TestApp, run};

/// A source of `ServiceNow` with further keys.
fn source(name: &str, keys: &str) -> String {
    format!(
        "[sources.{name}]\nkind = \"servicenow\"\nbearer_tokens = [\"{BEARER}\"]\n\
         channel_target = {{ ticketSource = {{ integrationId = \"int_1\" }} }}\n{keys}\n"
    )
}

/// A webhook for `source`, with this `webhook-id`.
fn to(delivery: Delivery, source: &str, id: &str) -> Delivery {
    delivery
        .unsigned()
        .to(&format!("/webhooks/{source}"))
        .header("authorization", &format!("Bearer {BEARER}"))
        .header("webhook-id", id)
}

/// The states of all events, the oldest first, with their sources.
async fn states(app: &TestApp) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = app.admin.events("").await.into_iter().rev();
    events
        .map(|event| (text(&event["source"]), text(&event["state"])))
        .collect()
}

#[tokio::test]
async fn a_renamed_source_keeps_its_events_and_mappings_and_connects_no_pair_again() {
    let mut app = TestApp::builder().config(&source("crm", "")).start().await;
    let send = async |app: &TestApp, body: String, source: &str, id: &str| {
        let webhook = to(app.webhooks.servicenow(body), source, id);
        webhook.send().await.event()
    };
    for n in [1, 2] {
        send(&app, incident(n), "crm", &format!("msg_{n}")).await;
    }
    app.admin.map("crm", &sys_id(2), "tkt_2").await;
    app.admin.wait_for_state("evt_2", "connected").await;
    app.admin.map("crm", &sys_id(3), "tkt_3").await;
    // One of another source stays where it is.
    app.save(incident(1)).await;
    let counts = app.admin.stats().await["events"]["crm"].clone();

    app.rewrite(&source("support", "renamed_from = \"crm\""));
    let refused = app.reload().await.problem(422).to_string();
    assert!(refused.contains("by a restart"), "{refused}");
    for _ in 0..2 {
        app.restart().await;
        let stats = app.admin.stats().await;
        assert_eq!(
            (&stats["events"]["support"], &stats["events"]["crm"]),
            (&counts, &Value::Null)
        );
    }
    let at = |source: &str, state: &str| (source.to_owned(), state.to_owned());
    let expected = [
        at("support", "parked"),
        at("support", "connected"),
        at("servicenow", "parked"),
    ];
    assert_eq!(states(&app).await, expected);
    let mapping = app.admin.mapping("support", &sys_id(2)).await;
    assert_eq!(mapping["ticket_id"], "tkt_2");

    // Deliveries, pairs and mappings are known under the new name.
    let again = send(&app, incident(1), "support", "msg_1").await;
    assert_eq!(
        (&again["id"], &again["duplicate"]),
        (&json!("evt_1"), &json!(true))
    );
    let update = send(&app, record("incident", 2, 2), "support", "msg_3").await;
    assert_eq!(update["state"], "skipped");
    app.admin.map("support", &sys_id(1), "tkt_1").await;
    app.admin.wait_for_state("evt_1", "connected").await;
    let mapped = send(&app, incident(3), "support", "msg_4").await;
    app.admin
        .wait_for_state(mapped["id"].as_str().unwrap(), "connected")
        .await;
    assert_eq!(app.connected_to(), ["tkt_2", "tkt_1", "tkt_3"]);
    app.stop().await;
}

#[tokio::test]
async fn what_waits_in_the_queue_is_sent_by_the_renamed_source() {
    let mut app = TestApp::builder().config(&source("crm", "")).start().await;
    app.admin.post("/connects/pause", &json!({})).await;
    app.admin.map("crm", &sys_id(1), "tkt_1").await;
    let webhook = to(app.webhooks.servicenow(incident(1)), "crm", "msg_1");
    assert_eq!(webhook.send().await.event()["state"], "queued");
    app.rewrite(&source("support", "renamed_from = \"crm\""));
    app.restart().await;
    app.admin.post("/connects/resume", &json!({})).await;
    let event = app.admin.wait_for_state("evt_1", "connected").await;
    assert_eq!(event["source"], "support");
    app.stop().await;
}

#[tokio::test]
async fn two_names_with_events_are_not_made_one() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let settings = Settings {
        toml: format!("{}{}", source("crm", ""), source("support", "")),
        ..Settings::default()
    };
    let mut daemon = Daemon::start(&mock, &settings).await;
    for name in ["crm", "support"] {
        let webhook = to(daemon.webhooks.servicenow(incident(1)), name, "msg_1");
        webhook.send().await.event();
    }
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    let special = daemon.files.last().unwrap().clone();
    std::fs::write(&special, source("support", "renamed_from = \"crm\"")).unwrap();
    let refused = run(daemon.folder(), &daemon.arguments("serve")).await;
    assert!(!refused.status.success());
    let text = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
    assert!(text.contains("sources.support.renamed_from"), "{text}");
    assert!(text.contains("write support for crm"), "{text}");

    // Nothing was changed by the try.
    std::fs::write(&special, &settings.toml).unwrap();
    daemon.start_again().await;
    for name in ["crm", "support"] {
        let events = daemon.admin.events(&format!("source={name}")).await;
        assert_eq!(events.len(), 1, "{name}");
    }
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
}

/// A source of Slack with further keys.
fn talk(name: &str, keys: &str) -> String {
    format!(
        "[sources.{name}]\nkind = \"slack\"\nsigning_secrets = [\"0123456789abcdef0123456789abcdef\"]\n\
         channel_target = {{ slackChannel = {{ integrationId = \"int_2\" }} }}\n{keys}\n"
    )
}

#[tokio::test]
async fn all_sources_are_renamed_or_none_and_check_says_which_cannot_be() {
    const THREAD: &str = "C9DDYQ1B4:1779146751.061339";
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let settings = Settings {
        toml: [source("crm", ""), source("desk", ""), talk("talk", "")].concat(),
        ..Settings::default()
    };
    let mut daemon = Daemon::start(&mock, &settings).await;
    let stored = [
        ("crm", sys_id(1)),
        ("desk", sys_id(2)),
        ("talk", THREAD.to_owned()),
    ];
    for (name, id) in &stored {
        daemon.admin.map(name, id, &format!("tkt_{name}")).await;
    }
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    let special = daemon.files.last().unwrap().clone();
    let from = |old: &str| format!("renamed_from = \"{old}\"");

    // In each, the first rename alone would be possible.
    let both = "sources.desk.renamed_from: events or mappings are stored for crm and for desk";
    let other = |from: &str, to: &str| {
        format!("the external ids that are stored for {from} are not of the kind of {to}")
    };
    for (config, reason) in [
        (
            talk("chat", &from("talk")) + &source("desk", &from("crm")),
            both.to_owned(),
        ),
        (
            source("a", &from("crm")) + &source("b", &from("talk")),
            other("talk", "b"),
        ),
        (
            talk("a", &from("talk")) + &talk("b", &from("desk")),
            other("desk", "b"),
        ),
    ] {
        std::fs::write(&special, config).unwrap();
        for command in ["check", "serve"] {
            let refused = run(daemon.folder(), &daemon.arguments(command)).await;
            let text = [refused.stdout, refused.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(refused.status.code(), Some(1), "{command}: {text}");
            assert!(text.contains(&reason), "{command}: {text}");
        }
        std::fs::write(&special, &settings.toml).unwrap();
        daemon.start_again().await;
        for (name, id) in &stored {
            let mapping = daemon.admin.mapping(name, id).await;
            assert_eq!(mapping["ticket_id"], format!("tkt_{name}"), "{reason}");
        }
        daemon.terminate().await;
        assert!(daemon.ended().await.success());
    }

    let renamed = talk("chat", &from("talk")) + &source("support", &from("crm"));
    std::fs::write(&special, renamed).unwrap();
    let checked = run(daemon.folder(), &daemon.arguments("check")).await;
    assert!(checked.status.success());
    daemon.start_again().await;
    for (name, id, ticket) in [
        ("chat", THREAD, "tkt_talk"),
        ("support", &sys_id(1), "tkt_crm"),
    ] {
        let mapping = daemon.admin.mapping(name, id).await;
        assert_eq!(mapping["ticket_id"], ticket);
    }
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
}
