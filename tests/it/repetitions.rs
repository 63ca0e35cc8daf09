//! A repetition is a delivery whose id and content are known. With another content it is news.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use serval_connect::domain::event::{Disposition, EventState, NewEvent};
use serval_connect::domain::ids::EventId;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use serval_connect::store::{EventFilter, Webhook};

use crate::store::{Bench, at, webhook};
use crate::support::bodies::{callback, incident, record, slack_message, sys_id};
use crate::support::{Daemon, Settings, TestApp, eventually};

const ROOT: &str = "1779146751.061339";

/// What of each of the answer's events matters here.
fn told(events: &[Value]) -> Vec<(&str, bool)> {
    let told = events
        .iter()
        .map(|event| (event["id"].as_str().unwrap(), event["duplicate"] == true));
    told.collect()
}

/// Webhooks of the source whose id had come before with another content, as counted.
async fn reused(app: &TestApp, source: &str) -> String {
    let page = app.admin.request(Method::GET, "/metrics", None, "").await;
    let series = format!("serval_connect_webhooks_reused_id_total{{source=\"{source}\"}} ");
    let page = page.text();
    let mut values = page.lines().filter_map(|line| line.strip_prefix(&series));
    values.next().expect("it begins at 0").to_owned()
}

#[tokio::test]
async fn a_sender_with_one_id_for_everything_loses_no_ticket() {
    let app = TestApp::start().await;
    assert_eq!(reused(&app, "servicenow").await, "0");
    for n in 1..=3 {
        let event = app.webhooks.servicenow(incident(n)).id("constant");
        let event = event.send().await.event();
        assert_eq!(
            (&event["duplicate"], &event["state"]),
            (&json!(false), &json!("parked")),
            "{n}"
        );
    }
    // What was captured on the way is known, whichever it is.
    for n in [2, 3, 1] {
        let again = app.webhooks.servicenow(incident(n)).id("constant");
        let again = again.aged(100).send().await.events();
        assert_eq!(told(&again), [(format!("evt_{n}").as_str(), true)]);
    }
    assert_eq!(app.admin.events("").await.len(), 3);
    assert_eq!(reused(&app, "servicenow").await, "2");
    app.stop().await;
}

#[tokio::test]
async fn a_sender_that_names_its_webhooks_by_the_record_has_its_last_save_sent() {
    let app = TestApp::start().await;
    let save = async |save| {
        let webhook = app.webhooks.servicenow(record("incident", 1, save));
        webhook.id(&sys_id(1)).send().await.event()
    };
    for n in [1, 2, 3] {
        assert_eq!(save(n).await["duplicate"], false);
    }
    assert_eq!(save(2).await["id"], "evt_2", "it is known");
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    app.admin.wait_for_state("evt_3", "connected").await;
    let sent = app.mock.connects();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].object.as_deref(),
        Some(record("incident", 1, 3).as_str())
    );
    app.stop().await;
}

#[tokio::test]
async fn the_operation_and_the_class_belong_to_the_content() {
    let app = TestApp::start().await;
    let bare = format!(r#"{{"sys_id":"{}"}}"#, sys_id(1));
    let enveloped = |operation: &str, table: &str| {
        format!(r#"{{"table":"{table}","operation":"{operation}","record":{bare}}}"#)
    };
    let bodies = [
        enveloped("insert", "incident"),
        enveloped("update", "incident"),
        enveloped("delete", "incident"),
        enveloped("update", "change_request"),
    ];
    for known in [false, true] {
        for body in &bodies {
            let event = app.webhooks.servicenow(body.clone()).id("constant");
            assert_eq!(event.send().await.event()["duplicate"], known, "{body}");
        }
    }
    // The envelope is for the way; the record is what it is about.
    let padded = bodies[1].replace(r#"{"table""#, r#"{"sent_at":"now", "table""#);
    let event = app.webhooks.servicenow(padded).id("constant");
    assert_eq!(event.send().await.event()["id"], "evt_2");
    app.stop().await;
}

#[tokio::test]
async fn of_a_batch_each_record_is_known_or_new_wherever_it_stands() {
    let app = TestApp::start().await;
    let send = async |numbers: &[u32], id: &str| {
        let records: Vec<_> = numbers.iter().map(|n| incident(*n)).collect();
        let batch = format!(r#"{{"records":[{}]}}"#, records.join(","));
        app.webhooks.servicenow(batch).id(id).send().await.events()
    };
    app.webhooks
        .servicenow(incident(1))
        .id("constant")
        .send()
        .await
        .event();
    let batch = send(&[1, 2, 3], "constant").await;
    let expected = [("evt_1", true), ("evt_2", false), ("evt_3", false)];
    assert_eq!(told(&batch), expected);
    let batch = send(&[4, 3, 1, 4], "constant").await;
    let expected = [
        ("evt_4", false),
        ("evt_3", true),
        ("evt_1", true),
        ("evt_4", true),
    ];
    assert_eq!(told(&batch), expected);
    // One for each webhook, not for each record; none for a batch of its own or its repetition.
    assert_eq!(reused(&app, "servicenow").await, "2");
    send(&[5, 6], "another").await;
    send(&[5, 6], "another").await;
    assert_eq!(reused(&app, "servicenow").await, "2");
    app.stop().await;
}

#[tokio::test]
async fn an_event_id_that_slack_uses_again_hides_no_message() {
    let app = TestApp::start().await;
    let newest = async || app.admin.events("source=slack").await.remove(0);
    let root = slack_message("Ev1", ROOT, &json!({}));
    app.webhooks.slack(root.clone()).send().await;
    let other = slack_message("Ev1", "1779146752.000001", &json!({}));
    app.webhooks.slack(other).send().await;
    assert_eq!(
        newest().await["external_id"],
        "C9DDYQ1B4:1779146752.000001",
        "it is an event of its own"
    );
    let reaction = json!({"type": "reaction_added", "reaction": "eyes", "event_ts": "1.2"});
    app.webhooks.slack(callback("Ev1", &reaction)).send().await;
    assert_eq!(newest().await["event_type"], "reaction_added");
    assert_eq!(reused(&app, "slack").await, "2");
    // A retry has other headers, and its envelope may differ.
    let retry = root.replace(r#""token":"legacy""#, r#""token":"rotated""#);
    assert_ne!(retry, root);
    for retry in [root, retry] {
        let retry = app.webhooks.slack(retry);
        let retry = retry
            .header("x-slack-retry-num", "1")
            .header("x-slack-retry-reason", "http_timeout");
        assert_eq!(retry.send().await.status, 200);
    }
    assert_eq!(app.admin.events("source=slack").await.len(), 3);
    assert_eq!(reused(&app, "slack").await, "2");
    app.stop().await;
}

#[tokio::test]
async fn a_warning_names_the_id_that_is_used_again() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    for n in [1, 1, 2] {
        let webhook = daemon.webhooks.servicenow(incident(n)).id("msg_constant");
        webhook.send().await.event();
    }
    let warned = eventually("it is said", async || {
        let log = daemon.log().into_iter();
        log.into_iter()
            .find(|line| line["delivery"] == "wh:msg_constant")
    })
    .await;
    assert_eq!(
        (&warned["level"], &warned["event"], &warned["source"]),
        (&json!("WARN"), &json!("evt_2"), &json!("servicenow"))
    );
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    let log = daemon.log().into_iter();
    let warnings = log.filter(|line| line["delivery"] == "wh:msg_constant");
    assert_eq!(warnings.count(), 1, "a repetition is no news");
}

/// One webhook: its id, and the contents of its events.
type Sent = (u8, Vec<u8>);

fn sent() -> impl Strategy<Value = Sent> {
    let content = 0..4_u8;
    (0..3_u8, prop::collection::vec(content, 1..4))
}

/// The event of a content; every second one is ignored.
fn event(id: u8, content: u8, start: usize, len: usize) -> NewEvent {
    let mut event = webhook(u32::from(content), at(0)).events.remove(0);
    if content % 2 == 1 {
        event.disposition = Disposition::Ignore("deleted");
    }
    // The id 0 is none; of the others one name begins with the other.
    event.delivery_key = (id > 0).then(|| format!("wh:{}", "1".repeat(id.into())));
    event.object = start..start + len;
    event
}

fn as_webhook((id, contents): &Sent) -> Webhook {
    let mut body = String::new();
    let mut events = Vec::new();
    for content in contents {
        let object = incident(u32::from(*content));
        events.push(event(*id, *content, body.len(), object.len()));
        body.push_str(&object);
    }
    Webhook {
        events,
        body: body.into(),
        ..webhook(1, at(0))
    }
}

/// Sends the groups, each at once and the next after its answers, with restarts in between.
async fn play(groups: Vec<(Vec<Sent>, bool)>) {
    let mut bench = Bench::open().await;
    let mut known: BTreeMap<(u8, u8), EventId> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut stored = 0;
    for (group, restarts) in groups {
        let webhooks = group.iter().map(as_webhook);
        let answers = join_all(webhooks.map(|webhook| bench.store.record(webhook))).await;
        for ((id, contents), answer) in group.iter().zip(answers) {
            let had_id = ids.contains(id);
            for (content, recorded) in contents.iter().zip(answer.unwrap()) {
                let before = (*id > 0).then(|| known.get(&(*id, *content))).flatten();
                assert_eq!(recorded.duplicate, before.is_some(), "{id} {content}");
                assert!(before.is_none_or(|before| *before == recorded.id));
                let is_reused = *id > 0 && had_id && before.is_none();
                assert_eq!(recorded.reused_name.is_some(), is_reused, "{id} {content}");
                let is_ignored = recorded.state == EventState::Ignored;
                assert_eq!(is_ignored, content % 2 == 1);
                if before.is_none() {
                    stored += 1;
                    known.insert((*id, *content), recorded.id);
                }
            }
            ids.insert(*id);
        }
        if restarts {
            bench = Bench::open_in(bench.close().await).await;
        }
    }
    let all = EventFilter {
        limit: 1000,
        ..EventFilter::default()
    };
    assert_eq!(bench.store.events(&all).await.unwrap().len(), stored);
    bench.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_interleaving_of_ids_and_contents_loses_one_or_stores_one_twice(
        groups in prop::collection::vec(
            (prop::collection::vec(sent(), 1..6), prop::bool::weighted(0.2)),
            1..8,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(groups));
    }
}
