//! External tickets by the names that people have: ids in any spelling, numbers, links of messages.

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::Site;
use crate::support::TestApp;
use crate::support::bodies::{incident_with, slack_message, sys_id};

const TS: &str = "1779146751.061339";
const THREAD: &str = "C9DDYQ1B4:1779146751.061339";
const LINK: &str = "https:%2F%2Facme.slack.com%2Farchives%2FC9DDYQ1B4%2Fp1779146751061339";

/// A daemon that heard of three incidents, two with one number, and of a thread.
async fn app_that_heard() -> TestApp {
    let app = TestApp::start().await;
    for (n, number) in [(1, "INC0010421"), (2, "INC0010500"), (3, "INC0010500")] {
        app.save(incident_with(n, 1, &json!({ "number": number })))
            .await;
    }
    let message = slack_message("Ev1", TS, &Value::Null);
    app.webhooks.slack(message).send().await;
    app
}

/// An id with hyphens, as a UUID has them.
fn hyphenated(id: &str) -> String {
    let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
    parts.join("-").to_uppercase()
}

#[tokio::test]
async fn a_ticket_has_one_spelling_whatever_was_typed_at_whichever_door() {
    let app = app_that_heard().await;
    let one = sys_id(1);
    for (typed, expected) in [
        (format!("servicenow/{}", one.to_uppercase()), Ok(&*one)),
        (format!("servicenow/{}", hyphenated(&one)), Ok(&*one)),
        (format!("servicenow/%20{one}%0A"), Ok(&*one)),
        ("servicenow/INC0010421".to_owned(), Ok(&*one)),
        ("servicenow/inc0010421".to_owned(), Ok(&*one)),
        ("servicenow/INC0099999".to_owned(), Err((422, "no webhook has named"))),
        ("servicenow/INC0010500".to_owned(), Err((409, "2 records"))),
        ("servicenow/ACM-10".to_owned(), Err((422, "sys_id"))),
        (format!("servicenow/{THREAD}"), Err((422, "sys_id"))),
        (format!("slack/{THREAD}"), Ok(THREAD)),
        (format!("slack/{LINK}"), Ok(THREAD)),
        (
            "slack/https:%2F%2Facme.slack.com%2Farchives%2FC9DDYQ1B4%2Fp1779146800000100%3Fthread_ts=\
             1779146751.061339&cid=C9DDYQ1B4"
                .to_owned(),
            Ok(THREAD),
        ),
        ("slack/C9DDYQ1B4:1779146751.0613".to_owned(), Err((422, "six digits"))),
        ("slack/INC0010421".to_owned(), Err((422, "thread root ts"))),
    ] {
        let (source, id) = typed.split_once('/').unwrap();
        let path = format!("/mappings/{typed}");
        let ticket = json!({ "ticket_id": "t" });
        let by_id = json!({ "source": source, "external_id": percent_encoding::percent_decode_str(id).decode_utf8().unwrap() });
        match expected {
            Ok(expected) => {
                let put = app.admin.put(&path, &ticket).await;
                assert_eq!(put.json()["external_id"], expected, "{typed}");
                let got = app.admin.get(&path).await;
                assert_eq!(got.json()["external_id"], expected, "{typed}");
                let events = app.admin.events(&format!("source={source}&external_id={}", id.replace('&', "%26"))).await;
                assert_eq!(events[0]["external_id"], expected, "{typed}");
                assert_eq!(app.admin.delete(&path).await.status, 204, "{typed}");
            }
            Err((status, part)) => {
                let refused = [
                    app.admin.put(&path, &ticket).await,
                    app.admin.get(&path).await,
                    app.admin.delete(&path).await,
                    app.admin.post("/erase", &by_id).await,
                    app.admin.get(&format!("/events?source={source}&external_id={id}")).await,
                ];
                for answer in refused {
                    assert_eq!(answer.status, status, "{typed}: {answer:?}");
                    assert!(answer.text().contains(part), "{typed}: {answer:?}");
                }
            }
        }
    }
    let both = app
        .admin
        .put(
            "/mappings/servicenow/INC0010500",
            &json!({ "ticket_id": "t" }),
        )
        .await;
    for n in [2, 3] {
        assert!(both.text().contains(&sys_id(n)), "{both:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_filter_without_a_source_takes_what_any_source_has() {
    let app = app_that_heard().await;
    for (typed, status) in [
        ("INC0010421", 200),
        ("INC0010500", 409),
        ("INC0099999", 422),
        (LINK, 200),
        ("nonsense", 422),
    ] {
        let listed = app.admin.get(&format!("/events?external_id={typed}")).await;
        assert_eq!(listed.status, status, "{typed}: {listed:?}");
        if status == 200 {
            assert_eq!(
                listed.json()["data"].as_array().unwrap().len(),
                1,
                "{typed}"
            );
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn an_import_looks_numbers_up_and_names_the_lines_that_it_cannot_read() {
    let app = app_that_heard().await;
    let refused = app
        .admin
        .import(
            "servicenow,INC0010421,t-1\nservicenow,INC0010500,t-2\nservicenow,INC0099999,t-3\n\
             slack,C9DDYQ1B4:1779146751.0613,t-4\n",
        )
        .await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let faults: Vec<String> = serde_json::from_value::<Vec<Value>>(refused.json()["errors"].take())
        .unwrap()
        .iter()
        .map(|fault| format!("{}: {}", fault["line"], fault["detail"].as_str().unwrap()))
        .collect();
    for (fault, part) in faults.iter().zip([
        "3: external_id: INC0010500 is the number of 2 records",
        "4: external_id: no webhook has named INC0099999",
        "5: external_id: a Slack timestamp has ten digits",
    ]) {
        assert!(fault.starts_with(part), "{faults:?}");
    }
    assert_eq!(faults.len(), 3);
    assert!(
        app.admin.list("/mappings").await.is_empty(),
        "all or nothing"
    );

    let rows = format!(
        "servicenow,inc0010421,t-1\nservicenow,{},t-1\n",
        hyphenated(&sys_id(1))
    );
    let imported = app.admin.import(&rows).await;
    assert_eq!(
        imported.json()["imported"],
        1,
        "one ticket in two spellings"
    );
    assert_eq!(
        app.admin.mapping("servicenow", &sys_id(1)).await["ticket_id"],
        "t-1"
    );
    app.stop().await;
}

#[tokio::test]
async fn what_an_older_version_stored_in_a_wrong_spelling_can_be_seen_and_removed() {
    let app = TestApp::start().await;
    app.alter(
        "INSERT INTO external_tickets (id, source, external_id, ticket_id, accounted_for, origin, created_at, \
         updated_at) VALUES (900, 'slack', 'C9DDYQ1B4:1779146751.0613', 't-1', '[]', 'import', 1, 1)",
    )
    .await;
    let path = "/mappings/slack/C9DDYQ1B4:1779146751.0613";
    assert_eq!(
        app.admin
            .put(path, &json!({ "ticket_id": "t-2" }))
            .await
            .status,
        422
    );
    assert_eq!(app.admin.get(path).await.json()["ticket_id"], "t-1");
    assert_eq!(app.admin.delete(path).await.status, 204);
    app.stop().await;
}

#[tokio::test]
async fn the_commands_take_numbers_and_refuse_what_nothing_is_called() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    let id = "3b9e41d7c0f24a18857d6e02fa91b3c6";
    site.incident(id).await;
    for (line, code, part) in [
        ("map set servicenow INC0010001 T_1", 0, id),
        ("map get servicenow inc0010001", 0, id),
        ("events list --external-id INC0010001", 0, id),
        (
            "events list --external-id INC0010002",
            2,
            "no webhook has named INC0010002",
        ),
        (
            "events list --external-id nonsense",
            2,
            "no id, link or number",
        ),
        (
            "map set servicenow INC0010002 T_1",
            2,
            "no webhook has named INC0010002",
        ),
        ("map remove servicenow INC0010001", 0, "removed"),
        (
            "erase --external-id INC0010002",
            2,
            "no webhook has named INC0010002",
        ),
        (
            "erase --external-id INC0010001",
            0,
            "servicenow: 1 removed from events",
        ),
        (
            "erase --external-id INC0010001",
            2,
            "no webhook has named INC0010001",
        ),
    ] {
        let ended = site.run(line).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains(part), "{line}: {ended:?}");
    }
    daemon.stop().await;
}
