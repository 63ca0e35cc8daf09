//! A mapping that was wrong: who still has the record at Serval, and how it is taken apart.

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::Site;
use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, eventually};

fn mapping(n: u32) -> String {
    format!("/mappings/servicenow/{}", sys_id(n))
}

fn links(n: u32) -> String {
    format!("/links/servicenow/{}", sys_id(n))
}

/// Maps a record and waits until it is connected; answers what the mapping was answered with.
async fn connect(app: &TestApp, n: u32, ticket_id: &str) -> Value {
    let answer = app
        .admin
        .put(&mapping(n), &json!({ "ticket_id": ticket_id }))
        .await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    app.save(incident(n)).await;
    eventually("it is connected", async || {
        let mapping = app.admin.mapping("servicenow", &sys_id(n)).await;
        (!mapping["connected_at"].is_null()).then_some(())
    })
    .await;
    answer.json()
}

/// The pairs at Serval, sorted.
fn at_serval(app: &TestApp) -> Vec<(String, String)> {
    let links = app.mock.links().into_iter();
    let mut pairs: Vec<_> = links
        .map(|link| (link.ticket_id, link.external_ticket_id))
        .collect();
    pairs.sort();
    pairs
}

async fn become_pairs(app: &TestApp, expected: &[(&str, u32)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, n)| ((*id).to_owned(), sys_id(*n)))
        .collect();
    eventually("Serval has these pairs", async || {
        (at_serval(app) == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_corrects_a_mapping_hears_who_still_has_the_record_and_can_take_it_apart() {
    let app = TestApp::start().await;
    let first = connect(&app, 1, "tk_wrong").await;
    assert_eq!(
        (&first["still_connected"], &first["waiting"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(first["idle"], "no_event");
    let second = connect(&app, 1, "tk_right").await;
    assert_eq!(second["still_connected"], json!(["tk_wrong"]));
    assert_eq!(
        (&second["waiting"], &second["idle"]),
        (&json!(1), &Value::Null)
    );

    let listed = app.admin.list(&links(1)).await;
    let row = |link: &Value| (link["ticket_id"].clone(), link["current"].clone());
    let rows: Vec<_> = listed.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            (json!("tk_wrong"), json!(false)),
            (json!("tk_right"), json!(true))
        ]
    );
    assert!(
        listed.iter().all(|link| link["connected_at"].is_string()),
        "{listed:?}"
    );

    for (path, status) in [
        (format!("{}/tk_nobody", links(1)), 404),
        (format!("{}/tk_wrong", links(2)), 404),
        (format!("{}/ACM-100001", links(1)), 422),
        (format!("/links/nobody/{}/tk_wrong", sys_id(1)), 404),
        (format!("{}/tk_wrong?force=perhaps", links(1)), 400),
        (format!("{}/tk_wrong", links(1)), 202),
    ] {
        let answer = app.admin.delete(&path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    become_pairs(&app, &[("tk_right", 1)]).await;
    eventually("one link is left", async || {
        let left = app.admin.list(&links(1)).await;
        (left.len() == 1 && left[0]["ticket_id"] == "tk_right").then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_correction_takes_the_others_apart_before_it_connects() {
    let app = TestApp::start().await;
    connect(&app, 1, "tk_1").await;
    connect(&app, 1, "tk_2").await;
    app.mock.clear_journal();
    let path = format!("{}?disconnect_others=true", mapping(1));
    let answer = app.admin.put(&path, &json!({ "ticket_id": "tk_3" })).await;
    assert_eq!(answer.json()["still_connected"], json!([]), "{answer:?}");
    become_pairs(&app, &[("tk_3", 1)]).await;
    let calls: Vec<String> = app.mock.look(|journal| {
        let changes = journal
            .requests
            .iter()
            .filter(|r| r.path.contains("connect"));
        changes.map(|r| r.method.clone()).collect()
    });
    assert_eq!(calls, ["DELETE", "DELETE", "POST"]);
    app.stop().await;
}

#[tokio::test]
async fn another_record_of_the_serval_ticket_is_named_and_with_force_connected_again() {
    let app = TestApp::start().await;
    connect(&app, 1, "tk_wrong").await;
    connect(&app, 1, "tk_right").await;
    connect(&app, 2, "tk_wrong").await;
    let path = format!("{}/tk_wrong", links(1));
    let refused = app.admin.delete(&path).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.text().contains(&sys_id(2)), "{refused:?}");
    let connects = app.connected_to().len();
    assert_eq!(
        app.admin.delete(&format!("{path}?force=true")).await.status,
        202
    );
    eventually("the other one is connected again", async || {
        (app.connected_to().len() == connects + 1).then_some(())
    })
    .await;
    become_pairs(&app, &[("tk_right", 1), ("tk_wrong", 2)]).await;
    app.stop().await;
}

#[tokio::test]
async fn another_record_that_could_not_be_connected_again_keeps_its_link() {
    let app = TestApp::start().await;
    connect(&app, 1, "tk_wrong").await;
    connect(&app, 1, "tk_right").await;
    connect(&app, 2, "tk_wrong").await;
    app.alter("DELETE FROM payloads").await;
    let refused = app
        .admin
        .delete(&format!("{}/tk_wrong?force=true", links(1)))
        .await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.text().contains("content is deleted"), "{refused:?}");
    become_pairs(&app, &[("tk_right", 1), ("tk_wrong", 1), ("tk_wrong", 2)]).await;
    app.stop().await;
}

#[tokio::test]
async fn a_mapping_says_when_nothing_can_be_sent() {
    let app = TestApp::start().await;
    connect(&app, 1, "tk_1").await;
    let again = app
        .admin
        .put(&mapping(1), &json!({ "ticket_id": "tk_1" }))
        .await
        .json();
    assert_eq!(
        (&again["waiting"], &again["idle"]),
        (&json!(0), &json!("already_connected"))
    );
    app.alter("DELETE FROM payloads").await;
    let changed = app
        .admin
        .put(&mapping(1), &json!({ "ticket_id": "tk_2" }))
        .await
        .json();
    assert_eq!(
        (&changed["waiting"], &changed["idle"]),
        (&json!(0), &json!("body_deleted"))
    );
    assert_eq!(changed["still_connected"], json!(["tk_1"]));
    app.stop().await;
}

#[tokio::test]
async fn an_import_that_swaps_two_says_what_it_leaves_or_leaves_nothing() {
    for (query, left) in [("", 2), ("?disconnect_others=true", 0)] {
        let app = TestApp::start().await;
        connect(&app, 1, "tk_1").await;
        connect(&app, 2, "tk_2").await;
        let rows = format!(
            "servicenow,{},tk_2\nservicenow,{},tk_1\n",
            sys_id(1),
            sys_id(2)
        );
        let imported = app.admin.import_with(query, &rows).await.json();
        assert_eq!(imported["still_connected"], left, "{query}: {imported}");
        let all = [("tk_1", 1), ("tk_1", 2), ("tk_2", 1), ("tk_2", 2)];
        let swapped = [("tk_1", 2), ("tk_2", 1)];
        let expected = if left == 0 { &swapped[..] } else { &all };
        become_pairs(&app, expected).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn the_commands_say_who_has_it_and_take_it_apart() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    let id = "3b9e41d7c0f24a18857d6e02fa91b3c6";
    site.incident(id).await;
    for (line, code, parts) in [
        (
            format!("map set servicenow {id} tk_1"),
            0,
            &["mapped to tk_1", "1 event is queued"][..],
        ),
        (
            format!("links list servicenow {id}"),
            0,
            &["tk_1", "mapped"],
        ),
        (
            "map set servicenow INC0010001 tk_2".to_owned(),
            0,
            &[
                "at Serval tk_1 still has it, too",
                "links remove servicenow 3b9e41d7c0f24a18857d6e02fa91b3c6 tk_1",
            ],
        ),
        (
            format!("links remove servicenow {id}"),
            2,
            &["tk_1 has servicenow", "--yes"],
        ),
        (
            format!("links remove servicenow {id} tk_9"),
            1,
            &["does not have"],
        ),
        (
            format!("links remove servicenow {id} --yes"),
            0,
            &["tk_1", "apart"],
        ),
        (
            format!("links remove servicenow {id} --yes"),
            0,
            &["no other Serval ticket"],
        ),
        (
            "map set servicenow 00000000000000000000000000000001 tk_3".to_owned(),
            0,
            &["no webhook has named it yet"],
        ),
        (
            format!("map remove servicenow {id} --disconnect"),
            0,
            &["to tk_2", "tk_2 apart"],
        ),
        (
            "map remove servicenow 00000000000000000000000000000001 --disconnect".to_owned(),
            0,
            &["tk_3 was not connected"],
        ),
    ] {
        let ended = site.run(&line).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        let said = format!("{}{}", ended.out, ended.err);
        for part in parts {
            assert!(said.contains(part), "{line}: {part} is not in {ended:?}");
        }
        // The next line is about a pair that Serval has.
        if line.starts_with("map set") && !line.contains("tk_3") {
            eventually("it is connected", async || {
                let shown = site
                    .run(&format!("map get servicenow {id} --json"))
                    .await
                    .json();
                (!shown["connected_at"].is_null()).then_some(())
            })
            .await;
        }
    }
    daemon.stop().await;
}
