//! Records that name another Serval ticket than their mapping does.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::{naming, sys_id};

const POINTERS: &str = "[sources.servicenow]\nticket_id_pointers = [\"/correlation_id\"]";

/// A daemon whose incident 1 is mapped to `tkt-mapped`.
async fn mapped(further: &str) -> TestApp {
    let app = TestApp::builder()
        .config(POINTERS)
        .config(further)
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt-mapped").await;
    app
}

async fn mapping(app: &TestApp) -> Value {
    app.admin.mapping("servicenow", &sys_id(1)).await
}

async fn the_one(app: &TestApp, path: &str) -> Value {
    let [conflict] = <[Value; 1]>::try_from(app.admin.list(path).await).unwrap();
    conflict
}

fn path_of(conflict: &Value) -> String {
    format!("/conflicts/{}", conflict["id"])
}

#[tokio::test]
async fn a_conflict_is_listed_once_with_both_values_and_changes_nothing() {
    let app = mapped("").await;
    let first = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&first, "connected").await;
    let second = app.save(naming(1, 2, "tkt-named")).await;
    let event = app.admin.wait_for_state(&second, "skipped").await;
    assert_eq!(event["reason"], "already_connected");
    let conflict = the_one(&app, "/conflicts").await;
    let expected = json!({
        "id": conflict["id"], "source": "servicenow", "external_id": sys_id(1),
        "mapped_to": "tkt-mapped", "learned": "tkt-named", "event": first,
        "created_at": conflict["created_at"], "decided_at": null, "decision": null,
    });
    assert_eq!(conflict, expected);
    let mapping = mapping(&app).await;
    assert_eq!(
        (&mapping["ticket_id"], &mapping["origin"]),
        (&json!("tkt-mapped"), &json!("api"))
    );
    assert_eq!(app.connected_to(), ["tkt-mapped"]);
    app.stop().await;
}

#[tokio::test]
async fn a_record_that_agrees_with_its_mapping_is_no_conflict() {
    let app = mapped("").await;
    let id = app.save(naming(1, 1, "tkt-mapped")).await;
    app.admin.wait_for_state(&id, "connected").await;
    assert!(app.admin.list("/conflicts?decided=true").await.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn what_a_person_keeps_is_not_asked_again() {
    let app = mapped("").await;
    let id = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&id, "connected").await;
    let path = path_of(&the_one(&app, "/conflicts").await);
    let decided = app.admin.post(&path, &json!({"decision": "keep"})).await;
    assert_eq!(decided.status, 200);
    assert_eq!(decided.json()["decision"], "keep");
    let again = app.admin.post(&path, &json!({"decision": "replace"})).await;
    let problem = again.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("keep"));
    let repeated = app.save(naming(1, 2, "tkt-named")).await;
    app.admin.wait_for_state(&repeated, "skipped").await;
    assert!(app.admin.list("/conflicts").await.is_empty());
    assert!(!the_one(&app, "/conflicts?decided=true").await["decided_at"].is_null());
    // Another ticket is another question.
    app.save(naming(1, 3, "tkt-third")).await;
    app.admin.drained().await;
    assert_eq!(the_one(&app, "/conflicts").await["learned"], "tkt-third");
    assert_eq!(mapping(&app).await["ticket_id"], "tkt-mapped");
    app.stop().await;
}

#[tokio::test]
async fn what_a_person_replaces_is_sent_to_the_named_ticket_at_once() {
    let app = mapped("").await;
    let id = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&id, "connected").await;
    let path = path_of(&the_one(&app, "/conflicts").await);
    let decided = app.admin.post(&path, &json!({"decision": "replace"})).await;
    assert_eq!(decided.json()["decision"], "replace");
    app.admin.drained().await;
    assert_eq!(app.connected_to(), ["tkt-mapped", "tkt-named"]);
    let mapping = mapping(&app).await;
    assert_eq!(
        (&mapping["ticket_id"], &mapping["origin"]),
        (&json!("tkt-named"), &json!("api"))
    );
    assert_eq!(mapping["taught_by"], id);
    assert!(app.admin.list("/conflicts").await.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_decision_is_about_the_mapping_of_its_time() {
    for (decision, mapped_later) in [("keep", "tkt-corrected"), ("replace", "tkt-mapped")] {
        let app = mapped("").await;
        let id = app.save(naming(1, 1, "tkt-named")).await;
        app.admin.wait_for_state(&id, "connected").await;
        let path = path_of(&the_one(&app, "/conflicts").await);
        app.admin
            .post(&path, &json!({ "decision": decision }))
            .await;
        app.admin.map("servicenow", &sys_id(1), mapped_later).await;
        app.save(naming(1, 2, "tkt-named")).await;
        app.admin.drained().await;
        let conflict = the_one(&app, "/conflicts").await;
        let both = (&conflict["mapped_to"], &conflict["learned"]);
        assert_eq!(both, (&json!(mapped_later), &json!("tkt-named")));
        app.stop().await;
    }
}

#[tokio::test]
async fn a_mapping_that_a_person_corrects_closes_its_conflict() {
    let app = mapped("").await;
    let id = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&id, "connected").await;
    app.admin.map("servicenow", &sys_id(1), "tkt-named").await;
    assert!(app.admin.list("/conflicts").await.is_empty());
    let conflict = the_one(&app, "/conflicts?decided=true").await;
    assert_eq!(conflict["decision"], "replace");
    app.stop().await;
}

#[tokio::test]
async fn a_replacement_that_would_give_a_ticket_two_of_a_source_is_refused_and_stays_open() {
    let app = mapped("").await;
    app.admin.map("servicenow", &sys_id(2), "tkt-named").await;
    let id = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&id, "connected").await;
    let path = path_of(&the_one(&app, "/conflicts").await);
    let refused = app.admin.post(&path, &json!({"decision": "replace"})).await;
    let problem = refused.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains(&sys_id(2)));
    assert_eq!(mapping(&app).await["ticket_id"], "tkt-mapped");
    the_one(&app, "/conflicts").await;
    app.stop().await;
}

#[tokio::test]
async fn a_source_that_keeps_notes_the_conflict_once_as_decided() {
    let app = mapped("on_conflict = \"keep\"").await;
    for mod_count in 1..4 {
        app.save(naming(1, mod_count, "tkt-named")).await;
        app.admin.drained().await;
    }
    assert!(app.admin.list("/conflicts").await.is_empty());
    let conflict = the_one(&app, "/conflicts?decided=true").await;
    assert_eq!(conflict["decision"], "keep");
    assert_eq!(mapping(&app).await["ticket_id"], "tkt-mapped");
    assert_eq!(app.connected_to(), ["tkt-mapped"]);
    app.stop().await;
}

#[tokio::test]
async fn a_source_that_replaces_follows_the_payload_and_says_so() {
    let app = mapped("on_conflict = \"replace\"").await;
    let id = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&id, "connected").await;
    let stored = mapping(&app).await;
    assert_eq!(
        (&stored["ticket_id"], &stored["origin"]),
        (&json!("tkt-named"), &json!("payload"))
    );
    assert_eq!(stored["taught_by"], id);
    let conflict = the_one(&app, "/conflicts?decided=true").await;
    assert_eq!(
        (&conflict["decision"], &conflict["mapped_to"]),
        (&json!("replace"), &json!("tkt-mapped"))
    );
    // Where the ticket is taken, it is a person's matter after all.
    app.admin.map("servicenow", &sys_id(2), "tkt-taken").await;
    app.save(naming(1, 2, "tkt-taken")).await;
    app.admin.drained().await;
    assert_eq!(mapping(&app).await["ticket_id"], "tkt-named");
    assert_eq!(the_one(&app, "/conflicts").await["learned"], "tkt-taken");
    app.stop().await;
}

#[tokio::test]
async fn whether_the_old_pair_is_taken_apart_is_a_matter_of_the_conflicts_own_source() {
    let app = mapped("[sources.servicenow-eu]\ndisconnect_on_remap = true").await;
    let id = app.save(naming(1, 1, "tkt-named")).await;
    app.admin.wait_for_state(&id, "connected").await;
    let path = path_of(&the_one(&app, "/conflicts").await);
    app.admin.post(&path, &json!({"decision": "replace"})).await;
    app.admin.drained().await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(app.mock.links().len(), 2, "nothing was asked for");
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_conflict_or_no_decision_is_refused() {
    let app = TestApp::start().await;
    app.admin
        .post("/conflicts/7", &json!({"decision": "keep"}))
        .await
        .problem(404);
    app.admin
        .post("/conflicts/7", &json!({"decision": "maybe"}))
        .await
        .problem(422);
    app.admin.get("/conflicts?cursor=x").await.problem(400);
    app.stop().await;
}

/// Sends the record to the source `servicenow-eu`, which holds a copy of the instance.
async fn save_copy(app: &TestApp, record: String) -> String {
    let delivery = app.webhooks.servicenow(record);
    delivery.to("/webhooks/servicenow-eu").send().await.id()
}

/// A daemon whose incident 1 named `tkt-1`, and is connected to it. The source of the copy is told so by
/// `copy`.
async fn with_copy(copy: &str) -> TestApp {
    let app = TestApp::builder()
        .config(POINTERS)
        .config(&format!(
            "[sources.servicenow-eu]\nticket_id_pointers = [\"/correlation_id\"]\n{copy}"
        ))
        .allow_pending()
        .start()
        .await;
    let original = app.save(naming(1, 1, "tkt-1")).await;
    app.admin.wait_for_state(&original, "connected").await;
    app
}

#[tokio::test]
async fn a_copy_in_another_source_that_names_the_ticket_of_the_original_waits_for_a_person() {
    // Whatever `on_conflict` says: there is no mapping to keep or to replace.
    for policy in ["ask", "keep", "replace"] {
        let app = with_copy(&format!("on_conflict = \"{policy}\"")).await;
        let copy = save_copy(&app, naming(1, 2, "tkt-1")).await;
        let event = app.admin.wait_for_state(&copy, "parked").await;
        let error = event["last_error"].as_str().unwrap();
        let original = format!("servicenow/{}", sys_id(1));
        assert!(
            error.contains("tkt-1") && error.contains(&original),
            "{error}"
        );
        let conflict = the_one(&app, "/conflicts").await;
        assert_eq!(conflict["source"], "servicenow-eu");
        assert_eq!(conflict["mapped_to"], Value::Null);
        assert_eq!(conflict["learned"], "tkt-1");
        assert_eq!(conflict["event"], json!(copy));
        assert_eq!(app.connected_to(), ["tkt-1"], "{policy}");

        // Once it is decided, the same is not asked about again.
        let keep = json!({ "decision": "keep" });
        let decided = app.admin.post(&path_of(&conflict), &keep).await;
        assert_eq!(decided.status, 200);
        let again = save_copy(&app, naming(1, 3, "tkt-1")).await;
        app.admin.wait_for_state(&again, "parked").await;
        assert_eq!(app.admin.list("/conflicts").await, [""; 0]);
        assert_eq!(app.connected_to(), ["tkt-1"], "{policy}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_copy_connects_after_a_person_has_said_so_and_other_tickets_are_learned_as_ever() {
    let app = with_copy("").await;
    let copy = save_copy(&app, naming(1, 2, "tkt-1")).await;
    app.admin.wait_for_state(&copy, "parked").await;
    // Another id that names the ticket, and the same id that names another ticket, are no copies.
    for (n, ticket) in [(2, "tkt-1"), (3, "tkt-3")] {
        let other = save_copy(&app, naming(n, 1, ticket)).await;
        app.admin.wait_for_state(&other, "connected").await;
    }
    let conflict = the_one(&app, "/conflicts").await;
    // The Serval ticket has another external ticket of the source, so nothing changes.
    let replace = json!({ "decision": "replace" });
    let path = path_of(&conflict);
    app.admin.post(&path, &replace).await.problem(409);
    let other = format!("/mappings/servicenow-eu/{}", sys_id(2));
    assert_eq!(app.admin.delete(&other).await.status, 204);
    assert_eq!(app.admin.post(&path, &replace).await.status, 200);
    app.admin.wait_for_state(&copy, "connected").await;
    let mapping = app.admin.mapping("servicenow-eu", &sys_id(1)).await;
    assert_eq!(mapping["ticket_id"], "tkt-1");
    app.stop().await;
}

#[tokio::test]
async fn a_mapped_copy_keeps_its_mapping_even_where_payloads_may_replace_it() {
    for (policy, is_open) in [("replace", true), ("ask", true), ("keep", false)] {
        let app = with_copy(&format!("on_conflict = \"{policy}\"")).await;
        app.admin.map("servicenow-eu", &sys_id(1), "tkt-own").await;
        let copy = save_copy(&app, naming(1, 2, "tkt-1")).await;
        app.admin.wait_for_state(&copy, "connected").await;
        assert_eq!(app.connected_to(), ["tkt-1", "tkt-own"], "{policy}");
        let conflict = the_one(&app, "/conflicts?decided=true").await;
        assert_eq!(conflict["mapped_to"], "tkt-own");
        assert_eq!(conflict["decision"].is_null(), is_open, "{policy}");
        app.stop().await;
    }
}

/// A daemon without mappings; `policy` decides conflicts.
async fn unmapped(policy: &str) -> TestApp {
    let policy = format!("on_conflict = \"{policy}\"");
    let app = TestApp::builder().config(POINTERS).config(&policy);
    app.start().await
}

/// The mapping is what the newest save named, and nobody is asked.
async fn follows_the_newest(app: &TestApp, policy: &str) {
    app.admin.drained().await;
    assert_eq!(mapping(app).await["ticket_id"], "tkt-right", "{policy}");
    let conflicts = app.admin.list("/conflicts").await;
    assert_eq!(conflicts, Vec::<Value>::new(), "{policy}");
}

#[tokio::test]
async fn an_older_save_that_arrives_late_takes_no_mapping_away() {
    for policy in ["replace", "ask", "keep"] {
        let app = unmapped(policy).await;
        let newest = app.save(naming(1, 4, "tkt-right")).await;
        app.admin.wait_for_state(&newest, "connected").await;
        // The newest save that names the ticket taught nothing: the mapping had it already.
        for (count, ticket) in [(2, "tkt-old"), (6, "tkt-right"), (5, "tkt-older")] {
            app.save(naming(1, count, ticket)).await;
            follows_the_newest(&app, policy).await;
        }
        assert_eq!(app.connected_to(), ["tkt-right"], "{policy}");
        app.stop().await;
    }
}

#[tokio::test]
async fn of_several_saves_that_wait_the_newest_teaches_whatever_arrived_first() {
    for policy in ["replace", "ask"] {
        for saves in [
            &[(4, "tkt-right"), (2, "tkt-old")][..],
            &[(2, "tkt-old"), (4, "tkt-right")],
            // Two that agree, and one between them that comes last.
            &[(2, "tkt-right"), (4, "tkt-right"), (3, "tkt-old")],
        ] {
            let app = unmapped(policy).await;
            app.admin.post("/connects/pause", &Value::Null).await;
            for (count, ticket) in saves {
                app.save(naming(1, *count, ticket)).await;
            }
            app.admin.post("/connects/resume", &Value::Null).await;
            follows_the_newest(&app, policy).await;
            assert_eq!(app.connected_to(), ["tkt-right"], "{saves:?}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_save_between_two_that_agree_changes_no_mapping() {
    let app = unmapped("replace").await;
    app.admin.post("/connects/pause", &Value::Null).await;
    for count in [2, 4] {
        app.save(naming(1, count, "tkt-right")).await;
    }
    app.admin.post("/connects/resume", &Value::Null).await;
    app.admin.drained().await;
    app.save(naming(1, 3, "tkt-old")).await;
    follows_the_newest(&app, "replace").await;
    app.stop().await;
}
