//! One person's data: found in the bodies, listed, and erased, with the daemon running and down.

use std::process::Stdio;

use http::Method;
use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::{Ended, Site, ended};
use crate::support::bodies::{incident_with, sys_id};
use crate::support::{ADMIN_TOKEN, Database, TestApp};

const ANN: &str = "Ann.Lee@Example.com";

/// A save of a record whose description is this.
fn about(n: u32, save: u32, text: &str) -> String {
    incident_with(n, save, &json!({ "description": text }))
}

/// Members of all parts of a search, and the number of parts.
async fn search(app: &TestApp, members: Value) -> (Vec<Value>, u64, usize) {
    let (mut found, mut searched, mut parts) = (Vec::new(), 0, 0);
    let mut cursor = Value::Null;
    loop {
        let mut body = members.clone();
        body["cursor"] = cursor;
        let answer = app.admin.post("/events/mentioning", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut answer = answer.json();
        let events: Vec<Value> = serde_json::from_value(answer["data"].take()).unwrap();
        found.extend(events.into_iter().map(|mut event| event["id"].take()));
        searched += answer["searched"].as_u64().unwrap();
        parts += 1;
        let progress = answer["progress"].as_f64().unwrap();
        cursor = answer["next_cursor"].take();
        assert_eq!(cursor.is_null(), progress >= 1.0, "{answer}");
        if cursor.is_null() {
            return (found, searched, parts);
        }
    }
}

#[tokio::test]
async fn bodies_are_searched_for_words_newest_first_part_by_part() {
    const REST: u32 = 2500;
    let app = TestApp::start().await;
    for (n, text) in [
        (1, "Please call ann.lee@example.com."),
        (2, "joann.lee@example.com"),
        (3, "<mailto:ANN.LEE@EXAMPLE.COM|Ann>"),
        // Compressed.
        (4, &format!("{} ann.lee@example.com", "long ".repeat(2000))),
    ] {
        app.save(about(n, 1, text)).await;
    }
    let records: Vec<Value> = (100..100 + REST)
        .map(|n| serde_json::from_str(&about(n, 1, "nobody")).unwrap())
        .collect();
    for batch in records.chunks(500) {
        let body = json!(batch).to_string();
        let answer = app.webhooks.servicenow(body).send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let (found, searched, parts) = search(&app, json!({ "value": ANN })).await;
    assert_eq!(found, ["evt_4", "evt_3", "evt_1"]);
    assert_eq!(searched, u64::from(REST) + 4);
    assert!(parts > 1, "{parts}");
    // One at a time goes on behind it.
    let (found, _, parts) = search(&app, json!({ "value": ANN, "limit": 1 })).await;
    assert_eq!(found, ["evt_4", "evt_3", "evt_1"]);
    assert!(parts > 3, "{parts}");
    for (members, expected) in [
        (json!({ "source": "slack" }), &[][..]),
        (json!({ "external_id": sys_id(3) }), &["evt_3"]),
        (json!({ "state": "parked" }), &["evt_4", "evt_3", "evt_1"]),
        (json!({ "state": "dead" }), &[]),
        (json!({ "until": "1h" }), &[]),
        (json!({ "since": "1h" }), &["evt_4", "evt_3", "evt_1"]),
    ] {
        let mut body = members.clone();
        body["value"] = json!(ANN);
        assert_eq!(search(&app, body).await.0, expected, "{members}");
    }
    for (members, status) in [
        (json!({}), 422),
        (json!({ "value": "an" }), 422),
        (json!({ "value": ANN, "limit": 0 }), 422),
        (json!({ "value": ANN, "cursor": "x" }), 422),
        (json!({ "value": ANN, "since": "soon" }), 422),
        (json!({ "value": ANN, "state": "lost" }), 400),
        (json!({ "value": ANN, "source": "jira" }), 404),
    ] {
        app.admin
            .post("/events/mentioning", &members)
            .await
            .problem(status);
    }
    app.stop().await;
}

#[tokio::test]
async fn each_search_is_in_the_audit_list_once_and_without_the_value() {
    let config = "[admin]\nshow_payloads = false";
    let app = TestApp::builder().config(config).start().await;
    for n in 1..=3 {
        app.save(about(n, 1, ANN)).await;
    }
    for (members, expected_parts) in [
        (json!({ "value": ANN }), 1),
        (json!({ "value": ANN, "limit": 1 }), 4),
        (json!({ "value": "bob@example.com" }), 1),
    ] {
        let before = app.admin.list("/audit").await.len();
        let (.., parts) = search(&app, members.clone()).await;
        assert_eq!(parts, expected_parts, "{members}");
        let entries = app.admin.list("/audit").await;
        assert_eq!(entries.len(), before + 1, "{members}");
        assert_eq!(entries[0]["action"], "search", "{members}");
        let all = serde_json::to_string(&entries).unwrap().to_lowercase();
        assert!(!all.contains("example.com"), "{all}");
    }
    // What is refused is no search.
    let before = app.admin.list("/audit").await;
    let short = json!({ "value": "an" });
    app.admin
        .post("/events/mentioning", &short)
        .await
        .problem(422);
    assert_eq!(app.admin.list("/audit").await, before);
    app.stop().await;
}

#[tokio::test]
async fn a_token_that_may_not_see_payloads_may_not_search_them() {
    const READER: &str = "a-token-that-may-only-look-around";
    let tokens =
        format!("[admin]\ntokens = [\"{ADMIN_TOKEN}\"]\nread_only_tokens = [\"{READER}\"]");
    let app = TestApp::builder().config(&tokens).start().await;
    let bearer = format!("Bearer {READER}");
    for path in ["/api/v1/events/mentioning", "/api/v1/erase/mentions"] {
        let body = json!({ "value": ANN }).to_string();
        let answer = app
            .admin
            .request(Method::POST, path, Some(&bearer), body)
            .await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_mentions_a_person_beside_external_tickets_is_erased_too() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nkeep_ignored_bodies = true")
        .start()
        .await;
    app.save(about(1, 1, "nobody")).await;
    app.save(about(2, 1, ANN)).await;
    app.alter(
        "UPDATE events SET external = NULL, state = 'ignored', reason = 'out_of_scope' WHERE id = 2;
         UPDATE events SET last_error = 'no ticket for ANN.LEE@example.com' WHERE id = 1",
    )
    .await;
    let body = json!({ "value": ANN, "events": ["evt_1", "evt_2"] });
    let erased = app.admin.post("/erase/mentions", &body).await.json();
    assert_eq!(
        (&erased["events"], &erased["mentions_cleared"]),
        (&json!(1), &json!(1))
    );
    let left = app.admin.events("").await;
    assert_eq!(left.len(), 1);
    assert_eq!(
        (&left[0]["id"], &left[0]["last_error"]),
        (&json!("evt_1"), &Value::Null)
    );
    let entry = app.admin.list("/audit?limit=1").await.remove(0);
    assert_eq!(entry["action"], "erase");
    assert_eq!(entry["subject"], "1 events without an external ticket");
    assert!(search(&app, json!({ "value": ANN })).await.0.is_empty());
    app.stop().await;
}

/// Stores a text in a place where an error, an answer or the words of a person may be.
fn stored_at(place: &str, text: &str) -> String {
    match place {
        "events.last_error" => format!("UPDATE events SET last_error = '{text}'"),
        "events.reason" => format!("UPDATE events SET reason = '{text}'"),
        "changes.reason" => format!(
            "DELETE FROM changes; INSERT INTO changes (event_id, at, state, reason) VALUES (1, 0, 'parked', '{text}')"
        ),
        "attempts.answer" => format!(
            "INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, answer, probe)
            VALUES (1, 0, 0, 'T-1', 'dead', '{text}', FALSE)"
        ),
        "disconnects.last_error" => format!(
            "INSERT INTO disconnects (source, external_id, ticket_id, due_at, tries, queued_at, last_error)
            VALUES ('servicenow', 'x', 'T-1', 9000000000000, 0, 0, '{text}')"
        ),
        "audit.subject" | "audit.reason" => format!(
            "DELETE FROM audit; INSERT INTO audit (at, actor, action, {}) VALUES (0, 'ada', 'map', '{text}')",
            &place["audit.".len()..]
        ),
        _ => panic!("{place}"),
    }
}

#[tokio::test]
async fn texts_that_hold_the_value_are_cleared_wherever_they_are() {
    const REPLAYED: Option<&str> = Some("replayed");
    let app = TestApp::builder().allow_pending().start().await;
    app.save(about(1, 1, "nobody")).await;
    let mut database = Database::open(&app.database_url()).await;
    let mut rows = Vec::new();
    for (value, text, is_cleared) in [
        (ANN, "no ticket for ann.lee@EXAMPLE.com.", true),
        (ANN, "joann.lee@example.com", true),
        (ANN, "ann.lee@example.org", false),
        ("Özlem Kaya", "caller Özlem Kaya not found", true),
        ("özlem kaya", "caller ÖZLEM KAYA not found", true),
        ("ÖZLEM KAYA", "özlem kaya", true),
        ("Özlem Kaya", "Ozlem Kaya, Ö", false),
        ("ИВАНОВ", "Иванов", true),
        ("李小龍", "by 李小龍", true),
    ] {
        for place in [
            "events.last_error",
            "attempts.answer",
            "disconnects.last_error",
            "audit.subject",
            "audit.reason",
        ] {
            let left = (!is_cleared).then(|| text.to_owned());
            rows.push((value, place, text.to_owned(), left));
        }
        for place in ["events.reason", "changes.reason"] {
            let text = format!("replayed: {text}");
            let left = if is_cleared { REPLAYED } else { Some(&*text) }.map(str::to_owned);
            rows.push((value, place, text, left));
        }
    }
    // Reasons of ours stay, whatever they hold.
    for (value, text) in [
        ("ann", "channel_archived"),
        ("direct", "direct_message"),
        ("replayed", "replayed"),
    ] {
        for place in ["events.reason", "changes.reason"] {
            rows.push((value, place, text.to_owned(), Some(text.to_owned())));
        }
    }
    for (value, place, text, left) in rows {
        database.run(stored_at(place, &text)).await;
        let answer = app
            .admin
            .post("/erase/mentions", &json!({ "value": value }))
            .await
            .json();
        let cleared = json!(u64::from(left.as_ref() != Some(&text)));
        assert_eq!(
            answer["mentions_cleared"], cleared,
            "{place}: {value} in {text}"
        );
        let (table, column) = place.split_once('.').unwrap();
        let read = format!("SELECT {column} FROM {table}");
        let texts: Vec<(Option<String>,)> = database.rows(read).await;
        assert_eq!(texts, [(left,)], "{place}: {value} in {text}");
        if table == "attempts" || table == "disconnects" {
            database.run(format!("DELETE FROM {table}")).await;
        }
    }
    database.close().await;
    app.stop().await;
}

#[tokio::test]
async fn texts_that_name_one_of_many_erased_tickets_are_cleared_at_the_end() {
    let app = TestApp::builder().allow_pending().start().await;
    let mut database = Database::open(&app.database_url()).await;
    app.save(about(9, 1, "nobody")).await;
    for (text, gives_names, cleared) in [
        (sys_id(1).to_uppercase(), true, 1),
        ("inc0000001 is mapped to T-1".to_owned(), true, 1),
        (sys_id(1), false, 0),
        (sys_id(2), true, 0),
        ("for ann.lee@example.com".to_owned(), false, 1),
    ] {
        let members = json!({ "description": ANN, "number": "INC0000001" });
        app.save(incident_with(1, 1, &members)).await;
        database
            .run(format!(
                "UPDATE events SET last_error = '{text}' WHERE id = 1"
            ))
            .await;
        let ticket =
            json!({ "source": "servicenow", "external_id": sys_id(1), "one_of_many": true });
        let erased = app.admin.post("/erase", &ticket).await.json();
        assert_eq!(erased["removed"]["events"], 1, "{text}: {erased}");
        assert_eq!(erased["names"], json!([sys_id(1), "INC0000001"]));
        let left_out = ["mentions_cleared", "naming_bodies", "log_emptied"];
        let left_out = left_out.map(|name| erased[name].clone());
        assert_eq!(left_out, [json!(0), Value::Null, Value::Null], "{text}");
        let last = database
            .rows::<(Option<String>,)>("SELECT last_error FROM events")
            .await;
        assert_eq!(last, [(Some(text.clone()),)]);

        let mut rest = json!({ "value": ANN });
        if gives_names {
            rest["names"] = erased["names"].clone();
        }
        let rest = app.admin.post("/erase/mentions", &rest).await.json();
        assert_eq!(rest["mentions_cleared"], cleared, "{text}: {rest}");
    }
    let names = json!({ "value": ANN, "names": vec!["x"; 101] });
    app.admin.post("/erase/mentions", &names).await.problem(422);
    database.close().await;
    app.stop().await;
}

#[tokio::test]
async fn the_words_of_a_replay_leave_the_history() {
    let app = TestApp::start().await;
    app.mock.forget_ticket("tkt-1");
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.age_mappings().await;
    app.save(about(1, 1, "nobody")).await;
    app.admin.wait_for_state("evt_1", "dead").await;
    let reason = json!({ "reason": format!("asked by {ANN}") });
    let replayed = app.admin.post("/events/evt_1/replay", &reason).await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    app.admin.wait_for_state("evt_1", "dead").await;
    let value = json!({ "value": ANN });
    let erased = app.admin.post("/erase/mentions", &value).await.json();
    // The audit list has it, too. The event itself has its new reason.
    assert_eq!(erased["mentions_cleared"], 2, "{erased}");
    let event = app.admin.event("evt_1").await;
    let history = event["history"].as_array().unwrap();
    let reasons: Vec<_> = history.iter().map(|change| &change["reason"]).collect();
    let expected = [None, Some("not_found"), Some("replayed"), Some("not_found")];
    assert_eq!(reasons, expected.map(|reason| json!(reason)).each_ref());
    app.stop().await;
}

/// Runs a command whose standard input is no terminal.
async fn run(site: &Site, line: &str) -> Ended {
    let mut command = site.command(line);
    command.stdin(Stdio::null());
    ended(command).await
}

/// Stores two tickets that mention the person and one that does not; answers the ids of the events that do.
async fn fill(site: &Site) -> Vec<String> {
    let mut ids = Vec::new();
    for (n, text) in [
        (1, ANN),
        (2, "nobody"),
        (3, "for ann.lee@example.com, please"),
    ] {
        let id = site.webhook(&about(n, 1, text)).await;
        if text != "nobody" {
            ids.push(id);
        }
    }
    ids.reverse();
    ids
}

#[tokio::test]
async fn a_person_is_listed_and_erased_after_a_yes_whether_the_daemon_runs_or_not() {
    for runs in [true, false] {
        let site = Site::new(MockConfig::default()).await;
        let daemon = site.serve().await;
        site.run(&format!("map set servicenow {} T-1", sys_id(1)))
            .await;
        let ids = fill(&site).await;
        site.webhook(&about(4, 1, "for eve@example.com")).await;
        let daemon = if runs {
            Some(daemon)
        } else {
            daemon.stop().await;
            None
        };
        let list = run(&site, &format!("events list --mentions {ANN} --json")).await;
        let found: Vec<_> = list.json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["id"].clone())
            .collect();
        assert_eq!(found, ids, "{runs}");
        let list = run(&site, &format!("events list --mentions {ANN} --limit 1")).await;
        assert_eq!(list.text().lines().count(), 2, "{list:?}");
        assert!(list.err.contains("--all"), "{list:?}");
        let none = run(&site, "events list --mentions bob@example.com").await;
        assert_eq!((none.text(), none.err.trim()), ("", "no event matches"));

        // Not without a yes.
        let asked = run(&site, &format!("erase --mentions {ANN}")).await;
        assert_eq!(asked.code, 2, "{asked:?}");
        assert!(asked.err.contains("--yes"), "{asked:?}");
        assert!(
            asked.out.contains(&sys_id(1)) && asked.out.contains(&sys_id(3)),
            "{asked:?}"
        );
        assert!(!asked.out.contains(&sys_id(2)), "{asked:?}");
        let list = run(&site, &format!("events list --mentions {ANN}")).await;
        assert_eq!(list.text().lines().count(), 3, "{list:?}");

        // One JSON document, whether it erases or not.
        let asked = run(&site, &format!("erase --mentions {ANN} --json")).await;
        assert_eq!(asked.code, 2, "{asked:?}");
        let found: serde_json::Result<Value> = serde_json::from_str(&asked.out);
        let found = found.expect("one document");
        assert_eq!(found["found"]["tickets"].as_array().unwrap().len(), 2);
        let erased = run(&site, "erase --mentions eve@example.com --yes --json").await;
        let erased = erased.json();
        assert_eq!(erased["erased"]["tickets"], 1, "{erased}");
        assert_eq!(erased["found"]["tickets"].as_array().unwrap().len(), 1);

        let erased = run(&site, &format!("erase --mentions {ANN} --yes")).await;
        let said = "erased 2 external tickets, 2 events in all";
        assert!(erased.text().contains(said), "{erased:?}");
        let list = site.run("events list --json").await.json();
        assert_eq!(list["data"].as_array().unwrap().len(), 1, "{runs}");
        assert_eq!(site.run("map list").await.text(), "");
        let again = run(&site, &format!("erase --mentions {ANN} --yes --json")).await;
        assert_eq!(again.code, 1, "{again:?}");
        assert!(again.err.contains("check the spelling"), "{again:?}");
        drop(daemon);
    }
}

#[tokio::test]
async fn wrong_use_is_said_before_anything_is_searched() {
    let site = Site::new(MockConfig::default()).await;
    site.run("migrate").await;
    for (line, code, part) in [
        ("erase", 2, "required"),
        (
            "erase --mentions x@y --external-id z",
            2,
            "cannot be used with",
        ),
        ("erase --external-id z --yes", 2, "cannot be used with"),
        ("erase --mentions an", 2, "3 to 320 characters"),
        ("erase --mentions ann --source jira", 2, "configured:"),
        (
            "erase --mentions ann@example.com",
            1,
            "none of 0 stored bodies",
        ),
        ("events list --mentions an", 2, "3 to 320 characters"),
    ] {
        let refused = run(&site, line).await;
        assert_eq!(refused.code, code, "{line}: {refused:?}");
        assert!(refused.err.contains(part), "{line}: {refused:?}");
    }
}
