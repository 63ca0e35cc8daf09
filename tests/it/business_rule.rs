//! The scripts of `contrib/servicenow`, run in Node and in Rhino against the real daemon, through to
//! the connect call. The stand-ins for the instance are in `tests/servicenow/glide.js`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serval_connect::edge::clock::{Clock as _, SystemClock};

use crate::support::bodies::sys_id;
use crate::support::{Engine, TestApp, play};

const RULE: &str = "serval_connect_business_rule.js";
const SCOPED: &str = "serval_connect_business_rule_scoped.js";
const JOB: &str = "serval_connect_outbox_job.js";

/// The key behind the tests' source, as the property holds it.
const KEY: &str = "YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcywgcmlnaHQ=";
/// Everything that a character set could spoil.
const TEXT: &str = "Grüße aus 東京 \u{2028}😀 \"<&'>\" \\ \u{7f}\t%24{x}";

/// So many seconds ago, in the milliseconds of a scenario's clock.
fn ago(seconds: i64) -> i64 {
    SystemClock.now().as_millisecond() - 1000 * seconds
}

/// The columns of a saved record; what the instance has beyond the usual is not sent.
fn saved(n: u32) -> Value {
    json!({
        "sys_id": sys_id(n), "sys_class_name": "incident", "number": "INC0010001",
        "short_description": TEXT, "state": "2", "caller_id": null,
        "correlation_id": "", "correlation_display": "", "u_secret": "stays where it is",
        "sys_mod_count": "3", "sys_updated_on": "2026-03-17 13:05:44", "sys_updated_by": "beth.anglin",
    })
}

/// The properties of an instance that posts to `app`.
fn properties(app: &TestApp, others: &[(&str, &str)]) -> Value {
    let mut properties = json!({
        "instance_name": "acmedev",
        "x_serval_connect.url": app.webhooks.url("/webhooks/servicenow"),
        "x_serval_connect.signing_key": KEY,
        "x_serval_connect.integration_user": "serval.integration",
    });
    for (name, value) in others {
        properties[format!("x_serval_connect.{name}")] = json!(value);
    }
    properties
}

fn statuses(happened: &Value) -> Vec<u64> {
    let requests = happened["requests"].as_array().unwrap();
    requests
        .iter()
        .map(|request| request["status"].as_u64().unwrap())
        .collect()
}

/// A header of all requests.
fn headers<'a>(happened: &'a Value, name: &str) -> Vec<&'a str> {
    let requests = happened["requests"].as_array().unwrap();
    requests
        .iter()
        .map(|request| request["headers"][name].as_str().unwrap())
        .collect()
}

fn queue_states(happened: &Value) -> Vec<&str> {
    let rows = happened["queue"].as_array().unwrap();
    rows.iter()
        .map(|row| row["state"].as_str().unwrap())
        .collect()
}

/// Whether the log has a line of this level with these words.
fn logged(happened: &Value, level: &str, words: &str) -> bool {
    let lines = happened["log"].as_array().unwrap();
    lines
        .iter()
        .any(|line| line[0] == level && line[1].as_str().unwrap().contains(words))
}

#[tokio::test]
async fn each_way_of_sending_arrives_signed_and_becomes_a_connect_with_the_record_as_it_is() {
    let save = |rule: &str, scoped: bool| {
        json!({ "rule": rule, "scoped": scoped, "operation": "update",
                "changes": ["short_description"], "record": saved(1) })
    };
    let ways = [
        ("false", vec![save(RULE, false)]),
        ("true", vec![save(RULE, false), json!({ "job": JOB })]),
        ("true", vec![save(SCOPED, true)]),
    ];
    for ((outbox, steps), engine) in ways
        .iter()
        .flat_map(|way| Engine::ALL.map(|engine| (way, engine)))
    {
        let app = TestApp::start().await;
        let ticket = "tkt-1";
        app.admin.map("servicenow", &sys_id(1), ticket).await;
        let properties = properties(&app, &[("outbox", outbox)]);
        let scenario = json!({ "properties": properties, "steps": steps });
        let Some(happened) = engine.play(&scenario).await else {
            app.stop().await;
            continue;
        };
        assert_eq!(statuses(&happened), [202], "{scenario:#}\n{happened:#}");
        assert_eq!(happened["log"], json!([]));

        let body = happened["requests"][0]["body"].as_str().unwrap();
        assert!(body.bytes().all(|b| (0x20..0x7f).contains(&b)), "{body}");
        let sent: Value = serde_json::from_str(body).unwrap();
        assert_eq!(sent["instance"], "acmedev");
        assert_eq!(sent["table"], "incident");
        assert_eq!(sent["operation"], "update");
        let record = sent["record"].as_object().unwrap();
        assert_eq!(record["short_description"], TEXT);
        assert_eq!(record["caller_id"], "");
        for column in [
            "sys_id",
            "sys_class_name",
            "correlation_id",
            "correlation_display",
        ] {
            assert!(record.contains_key(column), "{column}: {body}");
        }
        assert!(!record.contains_key("u_secret"), "{body}");

        app.admin.drained().await;
        let [connect] = <[_; 1]>::try_from(app.mock.connects()).unwrap();
        assert_eq!(connect.ticket_id, ticket);
        assert_eq!(connect.external_id, sys_id(1));
        assert_eq!(connect.subtype.as_deref(), Some("incident"));
        // Serval gets the record's own bytes, out of the envelope.
        let object = connect.object.unwrap();
        assert!(body.ends_with(&format!("\"record\":{object}}}")), "{body}");
        app.stop().await;
    }
}

#[tokio::test]
async fn the_outbox_sends_again_under_the_same_id_until_it_is_acknowledged_and_one_event_is_stored()
{
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    // Refused once, stored with a lost answer once, acknowledged at last.
    let scenario = json!({
        "now": ago(200),
        "properties": properties(&app, &[]),
        "steps": [
            { "answers": [503, "lost"] },
            { "rule": RULE, "operation": "insert", "record": saved(1) },
            { "job": JOB },
            { "job": JOB },
            { "advance": 50, "job": JOB },
            { "advance": 100, "job": JOB },
            { "advance": 50, "job": JOB },
        ]
    });
    let Some(happened) = play(&scenario).await else {
        return app.stop().await;
    };
    assert_eq!(statuses(&happened), [503, 0, 202], "{happened:#}");
    let ids = headers(&happened, "webhook-id");
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let times = headers(&happened, "webhook-timestamp");
    let signatures = headers(&happened, "webhook-signature");
    assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
    assert!(signatures[0] != signatures[1] && signatures[1] != signatures[2]);

    assert_eq!(queue_states(&happened), ["processed"]);
    assert_eq!(happened["queue"][0]["payload"], "");
    assert!(logged(&happened, "warn", "the outbox waits: answer 503"));

    app.admin.drained().await;
    let events = app.admin.events("source=servicenow").await;
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn saves_of_one_moment_get_ids_of_their_own_and_later_ones_get_later_ids() {
    let app = TestApp::start().await;
    for rule in [RULE, SCOPED] {
        let save = |n| {
            let scoped = rule == SCOPED;
            json!({ "rule": rule, "scoped": scoped, "operation": "update", "record": saved(n) })
        };
        let mut steps: Vec<Value> = (1..=20).map(save).collect();
        steps.extend([json!({ "advance": 1 }), save(21)]);
        let properties = properties(&app, &[("outbox", "false")]);
        let scenario = json!({ "frozen": true, "properties": properties, "steps": steps });
        let Some(happened) = play(&scenario).await else {
            return app.stop().await;
        };
        let ids = headers(&happened, "webhook-id");
        let (last, earlier) = ids.split_last().unwrap_or_else(|| panic!("{happened:#}"));
        assert_eq!(earlier.iter().collect::<BTreeSet<_>>().len(), 20, "{ids:?}");
        assert!(earlier.iter().all(|id| id < last), "{ids:?}");
        // The column of the ECC queue that keeps it takes 40 characters for certain.
        assert!(ids.iter().all(|id| id.len() <= 40), "{ids:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_waited_in_the_outbox_for_hours_is_signed_afresh() {
    let app = TestApp::start().await;
    let scenario = json!({
        "now": ago(7200),
        "properties": properties(&app, &[]),
        "steps": [
            { "rule": RULE, "operation": "insert", "record": saved(1) },
            { "answers": [503] },
            { "job": JOB },
            { "advance": 7200, "job": JOB },
        ]
    });
    let Some(happened) = play(&scenario).await else {
        return app.stop().await;
    };
    assert_eq!(statuses(&happened), [503, 202], "{happened:#}");
    assert_eq!(queue_states(&happened), ["processed"]);
    app.stop().await;
}

#[tokio::test]
async fn the_outbox_gives_up_loudly_and_only_what_cannot_arrive() {
    let app = TestApp::start().await;
    let save = |n| json!({ "rule": RULE, "operation": "insert", "record": saved(n) });
    // A body that is refused for good, one that a filter in between dislikes, and a good one.
    let scenario = json!({
        "properties": properties(&app, &[]),
        "steps": [save(1), save(2), save(3), { "answers": [422, 403] }, { "job": JOB }]
    });
    let Some(happened) = play(&scenario).await else {
        return app.stop().await;
    };
    assert_eq!(statuses(&happened), [422, 403, 202], "{happened:#}");
    assert_eq!(queue_states(&happened), ["error", "ready", "processed"]);
    assert!(logged(&happened, "error", "gave up webhook"));
    assert_eq!(happened["events"][0][0], "serval_connect.gave_up");
    let refused = &happened["queue"][0];
    assert_ne!(refused["payload"], "");
    assert_eq!(refused["error_string"], happened["events"][0][2]);

    // Bad credentials and outages would meet every row: the run ends with the first.
    for answer in [401, 404, 429, 500, 503] {
        let scenario = json!({
            "properties": properties(&app, &[]),
            "steps": [save(1), save(2), { "answers": [answer] }, { "job": JOB }]
        });
        let happened = play(&scenario).await.unwrap();
        assert_eq!(statuses(&happened), [answer]);
        assert_eq!(queue_states(&happened), ["ready", "ready"]);
    }

    // After three days without an acknowledgement it is given up, too.
    let scenario = json!({
        "properties": properties(&app, &[]),
        "steps": [save(1), { "advance": 3 * 24 * 3600 }, { "answers": [503] }, { "job": JOB }]
    });
    let happened = play(&scenario).await.unwrap();
    assert_eq!(queue_states(&happened), ["error"]);
    assert!(logged(
        &happened,
        "error",
        "not acknowledged in 72 hours; last: answer 503"
    ));
    app.stop().await;
}

#[tokio::test]
async fn the_pauses_of_the_outbox_grow_to_five_minutes() {
    let scenario = |advance: u32| {
        let mut steps = vec![
            json!({ "rule": RULE, "operation": "insert", "record": saved(1) }),
            json!({ "answers": vec![503; 200] }),
        ];
        steps.extend((0..60).map(|_| json!({ "job": JOB, "advance": advance })));
        json!({ "properties": {
                    "x_serval_connect.url": "http://127.0.0.1:9/", "x_serval_connect.signing_key": KEY
                }, "steps": steps })
    };
    let Some(happened) = play(&scenario(30)).await else {
        return;
    };
    let times: Vec<i64> = headers(&happened, "webhook-timestamp")
        .iter()
        .map(|time| time.parse().unwrap())
        .collect();
    let pauses: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] < 65, "{pauses:?}");
    assert!(pauses.is_sorted_by(|a, b| *a <= b + 2), "{pauses:?}");
    assert!((300..=331).contains(pauses.last().unwrap()), "{pauses:?}");
}

#[tokio::test]
async fn the_scoped_rule_leaves_to_the_outbox_what_was_not_acknowledged() {
    let app = TestApp::start().await;
    let save = json!({ "rule": SCOPED, "scoped": true, "record": saved(1) });
    let scenario = json!({
        "properties": properties(&app, &[]),
        "steps": [{ "answers": [503] }, save, { "job": JOB }]
    });
    let Some(happened) = play(&scenario).await else {
        return app.stop().await;
    };
    assert_eq!(statuses(&happened), [503, 202], "{happened:#}");
    let ids = headers(&happened, "webhook-id");
    assert_eq!(ids[0], ids[1]);
    assert_eq!(queue_states(&happened), ["processed"]);

    let denied = json!({
        "properties": properties(&app, &[]), "denied": ["ecc_queue"],
        "steps": [{ "answers": [503] }, save]
    });
    let happened = play(&denied).await.unwrap();
    assert!(logged(&happened, "error", "the ECC queue took no row"));
    app.stop().await;
}

#[tokio::test]
async fn echoes_of_serval_stay_at_home_unless_they_may_name_the_ticket() {
    let app = TestApp::start().await;
    let by_serval = |rule: &str, operation: &str, correlation_id: &str, changes: Value| {
        let mut record = saved(1);
        record["sys_updated_by"] = json!("serval.integration");
        record["correlation_id"] = json!(correlation_id);
        json!({ "rule": rule, "scoped": rule == SCOPED, "operation": operation,
                "changes": changes, "record": record })
    };
    let cases = [
        (RULE, "update", "", json!(["state"]), 0),
        (RULE, "update", "tkt-1", json!(["state"]), 0),
        (RULE, "update", "tkt-1", json!(["correlation_id"]), 1),
        (RULE, "insert", "", json!([]), 0),
        (RULE, "insert", "tkt-1", json!([]), 1),
        (RULE, "delete", "", json!([]), 1),
        (SCOPED, "update", "", json!([]), 0),
        (SCOPED, "update", "tkt-1", json!([]), 1),
    ];
    for ((rule, operation, correlation_id, changes, expected), engine) in cases
        .iter()
        .flat_map(|case| Engine::ALL.map(|engine| (case, engine)))
    {
        let step = by_serval(rule, operation, correlation_id, changes.clone());
        let properties = properties(&app, &[("outbox", "false")]);
        let scenario = json!({ "properties": properties, "steps": [step] });
        let Some(happened) = engine.play(&scenario).await else {
            continue;
        };
        assert_eq!(
            statuses(&happened).len(),
            *expected,
            "{engine:?} {rule} {operation} {correlation_id:?} {changes}"
        );
        assert_eq!(happened["log"], json!([]));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_fault_of_the_rule_never_keeps_a_ticket_from_being_saved_and_is_logged() {
    let save = json!({ "rule": RULE, "operation": "insert", "record": saved(1) });
    let cases = [
        (
            json!({ "x_serval_connect.outbox": "false" }),
            "set the properties",
        ),
        (
            json!({ "x_serval_connect.outbox": "false", "x_serval_connect.url": "http://127.0.0.1:9/",
                    "x_serval_connect.signing_key": "not base64!" }),
            "the key is no Base64",
        ),
    ];
    for (properties, words) in cases {
        let scenario = json!({ "properties": properties, "steps": [save] });
        let Some(happened) = play(&scenario).await else {
            return;
        };
        assert!(logged(&happened, "error", words), "{happened:#}");
        assert_eq!(happened["requests"], json!([]));
    }
    let denied = json!({ "properties": {}, "denied": ["ecc_queue"], "steps": [save] });
    let happened = play(&denied).await.unwrap();
    assert!(logged(&happened, "error", "the ECC queue took no row"));
}

#[tokio::test]
async fn two_saves_are_two_webhooks_and_further_columns_can_be_named() {
    let app = TestApp::start().await;
    // The key as people paste it: with its prefix, and with a line end.
    let key = format!("whsec_{KEY}\n");
    let others = [
        ("columns", "u_secret, u_none,number"),
        ("signing_key", key.as_str()),
    ];
    let save = |count: &str| {
        let mut record = saved(1);
        record["sys_mod_count"] = json!(count);
        json!({ "rule": RULE, "operation": "update", "record": record })
    };
    let scenario = json!({
        "properties": properties(&app, &others),
        "steps": [save("3"), save("4"), { "job": JOB }]
    });
    let Some(happened) = play(&scenario).await else {
        return app.stop().await;
    };
    assert_eq!(statuses(&happened), [202, 202], "{happened:#}");
    let ids = headers(&happened, "webhook-id");
    assert_ne!(ids[0], ids[1]);
    let body = happened["requests"][0]["body"].as_str().unwrap();
    let sent: Value = serde_json::from_str(body).unwrap();
    assert_eq!(sent["record"]["u_secret"], "stays where it is");
    assert!(sent["record"].get("u_none").is_none(), "{body}");
    assert_eq!(app.admin.events("source=servicenow").await.len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn text_with_dollar_signs_arrives_as_it_was_typed_whatever_servicenow_replaces() {
    let texts = [
        "the script prints ${HOME} instead of the folder",
        "costs $5, not ${ }, $${x} or \\${y}",
        "${a.b['c']}${d}",
        "an open ${ and a { of its own }",
    ];
    let app = TestApp::start().await;
    for engine in Engine::ALL {
        for (rule, outbox) in [(RULE, "true"), (RULE, "false"), (SCOPED, "true")] {
            let save = |text: &&str| {
                let mut record = saved(1);
                record["short_description"] = json!(text);
                record["u_${odd}"] = json!("x");
                json!({ "rule": rule, "scoped": rule == SCOPED, "operation": "update", "record": record })
            };
            let mut steps: Vec<Value> = texts.iter().map(save).collect();
            steps.push(json!({ "job": JOB }));
            let properties = properties(&app, &[("columns", "u_${odd}"), ("outbox", outbox)]);
            let scenario = json!({ "properties": properties, "steps": steps });
            let Some(happened) = engine.play(&scenario).await else {
                continue;
            };
            assert_eq!(statuses(&happened), [202; 4], "{engine:?} {happened:#}");
            for (request, text) in happened["requests"].as_array().unwrap().iter().zip(texts) {
                let sent: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
                assert_eq!(sent["record"]["short_description"], text, "{engine:?}");
                assert_eq!(sent["record"]["u_${odd}"], "x", "{engine:?}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_row_that_an_earlier_rule_wrote_with_a_dollar_sign_is_sent_whole() {
    let app = TestApp::start().await;
    let body = json!({ "table": "incident", "operation": "update",
                       "record": { "sys_id": sys_id(1), "short_description": "prints ${HOME}" } });
    let row = json!({ "agent": "serval_connect", "queue": "output", "state": "ready",
                      "name": "an-earlier-save", "payload": body.to_string() });
    for engine in Engine::ALL {
        let scenario = json!({ "properties": properties(&app, &[]),
                               "steps": [{ "queued": row }, { "job": JOB }] });
        let Some(happened) = engine.play(&scenario).await else {
            continue;
        };
        assert_eq!(statuses(&happened), [202], "{engine:?} {happened:#}");
        let sent: Value =
            serde_json::from_str(happened["requests"][0]["body"].as_str().unwrap()).unwrap();
        assert_eq!(sent, body, "{engine:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_scoped_rule_tells_a_new_record_by_its_count_where_the_operation_is_not_told() {
    let app = TestApp::start().await;
    let save = |count: &str| {
        let mut record = saved(1);
        record["sys_mod_count"] = json!(count);
        json!({ "rule": SCOPED, "scoped": true, "record": record })
    };
    for engine in Engine::ALL {
        let steps = [save("0"), save("1"), save("10")];
        let scenario = json!({ "properties": properties(&app, &[]), "steps": steps });
        let Some(happened) = engine.play(&scenario).await else {
            continue;
        };
        let requests = happened["requests"].as_array().unwrap().iter();
        let bodies = requests.map(|request| request["body"].as_str().unwrap());
        let sent = bodies.map(|body| serde_json::from_str::<Value>(body).unwrap());
        let operations: Vec<_> = sent.map(|sent| sent["operation"].clone()).collect();
        assert_eq!(operations, ["insert", "update", "update"], "{engine:?}");
    }
    app.stop().await;
}
