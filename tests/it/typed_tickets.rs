//! Serval tickets by the names that people have: ids, identifiers, addresses.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::cli_run::Site;
use crate::support::bodies::sys_id;
use crate::support::{TestApp, eventually};

const ID: &str = "9d385017-c611-4228-8701-d22104cc95c3";

fn with_tickets(tickets: &[&str]) -> MockConfig {
    let known: BTreeSet<String> = tickets.iter().map(ToString::to_string).collect();
    MockConfig {
        known_tickets: Some(known),
        ..MockConfig::default()
    }
}

fn path(n: u32) -> String {
    format!("/mappings/servicenow/{}", sys_id(n))
}

#[tokio::test]
async fn an_identifier_or_an_address_is_resolved_at_serval_and_an_id_is_taken_as_it_is() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nseveral_per_ticket = true\nticket_url_pattern = \"acme.example/(?<ticket_id>[^/]+)\"")
        .serval(with_tickets(&[ID, "old_7"]))
        .start()
        .await;
    let friendly = MockServal::friendly_identifier(ID);
    let unknown = "00000000-c611-4228-8701-d22104cc95c3";
    for (typed, expected) in [
        (ID.to_uppercase(), Ok(ID)),
        (unknown.to_owned(), Ok(unknown)),
        (friendly.clone(), Ok(ID)),
        (friendly.to_lowercase(), Ok(ID)),
        (format!("https://app.serval.com/t/{friendly}?x=1"), Ok(ID)),
        (format!("https://app.serval.com/tickets/{ID}"), Ok(ID)),
        ("https://acme.example/old_7".to_owned(), Ok("old_7")),
        ("tk-1".to_owned(), Ok("tk-1")),
        ("opaque".to_owned(), Ok("opaque")),
        (
            "ACM-100001".to_owned(),
            Err("Serval has no ticket ACM-100001"),
        ),
        (
            format!("https://app.serval.com/tickets/{unknown}"),
            Err("Serval has no ticket"),
        ),
        (
            "https://app.serval.com/inbox".to_owned(),
            Err("this address names no Serval ticket"),
        ),
        (
            "https://elsewhere.example/ACM-1".to_owned(),
            Err("this address names no Serval ticket"),
        ),
    ] {
        let answer = app
            .admin
            .put(&path(1), &json!({ "ticket_id": typed }))
            .await;
        match expected {
            Ok(id) => assert_eq!(answer.json()["ticket_id"], id, "{typed}: {answer:?}"),
            Err(part) => {
                assert_eq!(answer.status, 422, "{typed}: {answer:?}");
                assert!(answer.text().contains(part), "{typed}: {answer:?}");
            }
        }
    }
    app.admin.map("servicenow", &sys_id(2), ID).await;
    let listed = app
        .admin
        .list(&format!("/mappings?ticket_id={friendly}"))
        .await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["external_id"], sys_id(2));
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_stored_while_serval_cannot_tell() {
    let app = TestApp::builder().serval(with_tickets(&[ID])).start().await;
    let friendly = MockServal::friendly_identifier(ID);
    app.faults(&["status=503,path=all"]);
    for typed in [friendly.as_str(), "tk-1", "https://app.serval.com/ACM-1"] {
        let answer = app
            .admin
            .put(&path(1), &json!({ "ticket_id": typed }))
            .await;
        assert_eq!(answer.status, 503, "{typed}: {answer:?}");
        assert!(answer.text().contains("only Serval can tell"), "{answer:?}");
        let rows = format!(
            "servicenow,{},opaque\nservicenow,{},{typed}\n",
            sys_id(1),
            sys_id(2)
        );
        let imported = app.admin.import(&rows).await;
        assert_eq!(imported.status, 503, "{typed}: {imported:?}");
    }
    assert!(app.admin.list("/mappings").await.is_empty());
    app.faults(&[]);
    // The teams are known from now on, whatever becomes of Serval.
    eventually("Serval is asked again", async || {
        let answer = app
            .admin
            .put(&path(1), &json!({ "ticket_id": "tk-1" }))
            .await;
        (answer.status == 201).then_some(())
    })
    .await;
    app.faults(&["status=503,path=all"]);
    app.admin.map("servicenow", &sys_id(1), "tk-2").await;
    app.stop().await;
}

#[tokio::test]
async fn an_import_reads_the_list_of_a_team_once() {
    let tickets: Vec<String> = (0..2500)
        .map(|n| format!("ticket-of-import-{n:05}-x"))
        .collect();
    let app = TestApp::builder()
        .config("[sources.servicenow]\nseveral_per_ticket = true")
        .serval(with_tickets(
            &tickets.iter().map(String::as_str).collect::<Vec<_>>(),
        ))
        .start()
        .await;
    let by_friendly: std::collections::BTreeMap<String, &String> = tickets
        .iter()
        .map(|id| (MockServal::friendly_identifier(id), id))
        .collect();
    let named = (0..).zip(by_friendly.keys());
    let rows = named.map(|(n, friendly)| format!("servicenow,{},{friendly}\n", sys_id(n)));
    let rows = rows.collect::<Vec<_>>().concat();
    let faulty = app
        .admin
        .import(&format!("{rows}servicenow,{},acm-100001\n", sys_id(9999)))
        .await;
    assert_eq!(faulty.status, 422, "{faulty:?}");
    let errors = faulty.json()["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 1, "{errors}");
    assert!(
        errors[0]["detail"]
            .as_str()
            .unwrap()
            .contains("no ticket acm-100001"),
        "{errors}"
    );
    assert!(app.admin.list("/mappings").await.is_empty());
    let pages = app.requests("GET", "/v2/tickets");
    assert_eq!(pages, 3, "page by page, once");

    let imported = app.admin.import(&rows).await;
    assert_eq!(
        imported.json()["imported"],
        by_friendly.len(),
        "{imported:?}"
    );
    assert_eq!(
        app.requests("GET", "/v2/tickets"),
        pages,
        "known from before"
    );
    let (n, id) = (
        by_friendly.len() / 2,
        *by_friendly.values().nth(by_friendly.len() / 2).unwrap(),
    );
    let mapping = app
        .admin
        .mapping("servicenow", &sys_id(u32::try_from(n).unwrap()))
        .await;
    assert_eq!(mapping["ticket_id"], Value::from(id.as_str()));
    app.stop().await;
}

#[tokio::test]
async fn a_command_asks_serval_with_and_without_a_daemon() {
    let site = Site::new(with_tickets(&[ID])).await;
    site.run("migrate").await;
    let friendly = MockServal::friendly_identifier(ID).to_lowercase();
    let record = "3b9e41d7c0f24a18857d6e02fa91b3c6";
    for runs in [false, true] {
        let _daemon = if runs { Some(site.serve().await) } else { None };
        for (typed, code, part) in [
            (friendly.as_str(), 0, ID),
            ("ACM-100001", 2, "Serval has no ticket ACM-100001"),
            (
                "https://app.serval.com/ACM-100001",
                2,
                "Serval has no ticket ACM-100001",
            ),
            ("n/a", 2, "ticket id"),
        ] {
            let ended = site
                .run(&format!("map set servicenow {record} {typed}"))
                .await;
            assert_eq!(ended.code, code, "{typed}: {ended:?}");
            let said = format!("{}{}", ended.out, ended.err);
            assert!(said.contains(part), "{typed}: {ended:?}");
        }
        let listed = site
            .run(&format!("map list --ticket-id {friendly} --json"))
            .await
            .json();
        assert_eq!(listed["data"][0]["ticket_id"], ID);
    }
    site.serval
        .set_faults(vec!["status=503,path=all".parse().unwrap()]);
    let unanswered = site
        .run(&format!("map set servicenow {record} ACM-100001"))
        .await;
    assert_eq!(unanswered.code, 1, "{unanswered:?}");
}
