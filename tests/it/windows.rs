//! Ranges of time: in the store, in the API, in the console and on the command line.

use serde_json::{Value, json};
use serval_connect::edge::window::Window;
use serval_connect::rehearsal::mock_serval::MockConfig;
use serval_connect::store::EventFilter;

use crate::cli_run::Site;
use crate::store::{Bench, at, webhook};
use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, database};

const HOUR: i64 = 3600;

#[tokio::test]
async fn events_of_a_range_are_found_also_after_the_clock_was_set_back() {
    let bench = Bench::open().await;
    // It was set back by twenty hours, and later by an hour.
    let hours = [0, 10, 11, 40, 41, 21, 22, 22, 50, 49, 90];
    let mut stored = Vec::new();
    for (n, hour) in hours.into_iter().enumerate() {
        let n = u32::try_from(n).unwrap();
        let recorded = bench
            .store
            .record(webhook(n, at(hour * HOUR)))
            .await
            .unwrap();
        stored.push((recorded[0].id, hour));
    }
    // A hole in the ids.
    let gone = stored.remove(4).0;
    let statement = format!("DELETE FROM events WHERE id = {}", gone.0);
    database::run(&crate::store::url(&bench.folder), statement).await;
    let ends = [
        None,
        Some(-1),
        Some(0),
        Some(11),
        Some(22),
        Some(41),
        Some(50),
        Some(90),
        Some(91),
    ];
    for since in ends {
        for until in ends {
            let moment = |hour: Option<i64>| hour.map(|hour| at(hour * HOUR));
            let window = Window {
                since: moment(since),
                until: moment(until),
            };
            let filter = EventFilter {
                arrived: bench.store.arrived(&window).await.unwrap(),
                limit: 100,
                ..EventFilter::default()
            };
            let rows = bench.store.events(&filter).await.unwrap();
            let found: Vec<_> = rows.iter().map(|row| row.id).collect();
            let is_in = |hour: i64| {
                since.is_none_or(|since| hour >= since) && until.is_none_or(|until| hour < until)
            };
            let expected = stored.iter().rev().filter(|(_, hour)| is_in(*hour));
            let expected: Vec<_> = expected.map(|(id, _)| *id).collect();
            assert_eq!(found, expected, "{since:?} {until:?}");
        }
    }
    bench.close().await;
}

/// Ids of the events that match.
async fn found(app: &TestApp, query: &str) -> Vec<Value> {
    let events = app.admin.events(query).await;
    events
        .into_iter()
        .map(|mut event| event["id"].take())
        .collect()
}

#[tokio::test]
async fn lists_and_replays_take_a_range_of_time() {
    let app = TestApp::start().await;
    for n in 1..=4 {
        app.save(incident(n)).await;
    }
    app.admin.post("/connects/pause", &Value::Null).await;
    app.admin.post("/connects/resume", &Value::Null).await;
    // One each hour; all of them were given up.
    app.alter(
        "UPDATE events SET received_at = received_at - (4 - id) * 3600000, state = 'dead', reason = 'gave_up';
         UPDATE audit SET at = at - 7200000 WHERE action = 'pause'",
    )
    .await;
    for (query, expected) in [
        ("since=24h", &["evt_4", "evt_3", "evt_2", "evt_1"][..]),
        ("since=150m", &["evt_4", "evt_3", "evt_2"]),
        ("since=150m&until=30m", &["evt_3", "evt_2"]),
        ("until=150m", &["evt_1"]),
        ("since=30m&state=dead", &["evt_4"]),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00%2B01:00",
            &[],
        ),
        (
            "since=2020-01-01T00:00:00+01:00",
            &["evt_4", "evt_3", "evt_2", "evt_1"],
        ),
    ] {
        assert_eq!(found(&app, query).await, expected, "{query}");
    }
    let of_one = format!("external_id={}&since=150m", sys_id(2));
    assert_eq!(found(&app, &of_one).await, ["evt_2"]);
    for path in ["/events", "/audit", "/audit/export"] {
        for query in ["since=yesterday", "until=24", "since=1h&until=2h"] {
            app.admin.get(&format!("{path}?{query}")).await.problem(400);
        }
    }
    let actions = |entries: Vec<Value>| -> Vec<Value> {
        entries
            .into_iter()
            .map(|mut entry| entry["action"].take())
            .collect()
    };
    assert_eq!(actions(app.admin.list("/audit?since=1h").await), ["resume"]);
    assert_eq!(actions(app.admin.list("/audit?until=1h").await), ["pause"]);

    let replay = async |members: Value| {
        let mut body = json!({ "state": "dead" });
        body.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        app.admin.post("/events/replay", &body).await
    };
    for (members, expected) in [
        (
            json!({ "since": "150m", "until": "30m", "dry_run": true }),
            json!({ "matched": 2, "replayed": 0 }),
        ),
        (
            json!({ "since": "150m", "until": "30m" }),
            json!({ "matched": 2, "replayed": 2 }),
        ),
        (
            json!({ "since": null, "until": "150m" }),
            json!({ "matched": 1, "replayed": 1 }),
        ),
    ] {
        let answer = replay(members.clone()).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{members}");
    }
    replay(json!({ "since": "soon" })).await.problem(422);
    replay(json!({ "since": 24 })).await.problem(422);
    let subject = app.admin.list("/audit?limit=1").await[0]["subject"].clone();
    let subject = subject.as_str().unwrap().to_owned();
    assert!(
        subject.starts_with("1 dead events arrived until 20"),
        "{subject}"
    );

    let mut browser = app.admin.browser().logged_in().await;
    for (page, parts, others) in [
        (
            "/events?since=30m",
            &["evt_4", "value=\"30m\""][..],
            &["evt_3"][..],
        ),
        ("/events?until=150m", &["evt_1"], &["evt_2"]),
        ("/audit?until=1h", &["paused"], &["resumed"]),
        (
            "/audit?until=2020-01-01T00:00:00Z",
            &["No action is recorded for this time."],
            &[],
        ),
    ] {
        let html = browser.page(page).await;
        for part in parts {
            assert!(html.contains(part), "{page}: {part} is not in {html}");
        }
        for other in others {
            assert!(
                !html.contains(&format!(">{other}")),
                "{page}: {other} is in {html}"
            );
        }
    }
    app.stop().await;
}

/// Lines of CSV, each as its first, third and fourth field: id, actor and action.
fn entries(csv: &str) -> Vec<String> {
    let rows = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| format!("{} {} {}", row[0], row[2], row[3]))
        .collect()
}

#[tokio::test]
async fn the_audit_is_exported_with_and_without_the_daemon() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    for line in ["connects pause", "connects resume", "connects pause"] {
        assert_eq!(site.run(line).await.code, 0);
    }
    let replay = "events replay --state dead --reason =1+1 --since 1h";
    assert_eq!(site.run(replay).await.code, 0);
    let file = site.path("audit.ndjson").display().to_string();
    for runs in [true, false] {
        let csv = site.run("audit export").await;
        assert_eq!(csv.err, "", "{runs}");
        let text = csv.text();
        let head = "id,at,actor,action,source,external_id,subject,reason\n";
        assert!(text.starts_with(head), "{text}");
        assert_eq!(
            entries(text),
            [
                "3 admin.tokens 1 pause",
                "2 admin.tokens 1 resume",
                "1 admin.tokens 1 pause"
            ]
        );
        let none = site.run("audit export --until 1h --format csv").await;
        assert_eq!(none.text(), head);
        let written = site
            .run(&format!("audit export --since 1h --output {file}"))
            .await;
        assert!(
            written.err.contains("audit.ndjson: 3 actions"),
            "{written:?}"
        );
        let lines = std::fs::read_to_string(&file).unwrap();
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["id"], &first["action"]),
            (&json!(3), &json!("pause"))
        );
        for (line, part) in [
            ("audit export --since soon", "since: expected a duration"),
            ("audit export --since 1h --until 2h", "is not before until"),
            ("audit export --format xml", "ndjson"),
            ("events list --since soon", "since: expected a duration"),
            (
                "events replay --state dead --until soon",
                "until: expected a duration",
            ),
        ] {
            let refused = site.run(line).await;
            assert_eq!(refused.code, 2, "{line}: {refused:?}");
            assert!(refused.err.contains(part), "{line}: {refused:?}");
        }
        if runs {
            site.incident(&sys_id(1)).await;
        }
        for (line, n) in [
            ("--since 1h", 1),
            ("--until 1h", 0),
            ("--since 1h --state dead", 0),
        ] {
            let list = site.run(&format!("events list {line} --json")).await.json();
            assert_eq!(list["data"].as_array().unwrap().len(), n, "{line}");
        }
        if runs {
            daemon.stop().await;
            break;
        }
    }
    let list = site.run("events list --since 1h --json").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        entries(site.run("audit export --since 1h").await.text()).len(),
        3
    );
}

/// An entry whose words a spreadsheet would run is no formula, and NDJSON has it as it is.
#[tokio::test]
async fn a_formula_in_the_audit_is_none_in_a_spreadsheet() {
    let app = TestApp::start().await;
    app.save(incident(1)).await;
    app.alter("UPDATE events SET state = 'dead', reason = 'gave_up'")
        .await;
    let body = json!({ "reason": "=HYPERLINK(\"x\")" });
    let replayed = app.admin.post("/events/evt_1/replay", &body).await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    let csv = app.admin.get("/audit/export").await;
    assert!(csv.text().contains(",\"'=HYPERLINK("), "{csv:?}");
    let ndjson = app.admin.get("/audit/export?format=ndjson").await;
    let entry: Value = serde_json::from_str(&ndjson.text()).unwrap();
    assert_eq!(entry["reason"], body["reason"]);
    app.stop().await;
}
