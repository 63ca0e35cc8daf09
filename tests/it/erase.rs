//! Erasing one external ticket: through the API and the command line, down to the bytes.

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::Site;
use crate::support::bodies::{incident, record, sys_id};
use crate::support::{Database, TestApp, database, database_bytes, eventually, postgres};

fn places(bytes: &[u8], needle: impl AsRef<[u8]>) -> usize {
    let needle = needle.as_ref();
    bytes.windows(needle.len()).filter(|w| *w == needle).count()
}

/// The bodies as they are stored, of those that are compressed.
async fn packed_bodies(url: &str, external_id: &str) -> Vec<Vec<u8>> {
    let packed = format!(
        "SELECT p.body FROM payloads AS p JOIN events AS e ON e.id = p.event_id
        JOIN external_tickets AS x ON x.id = e.external
        WHERE x.external_id = '{external_id}' AND p.unpacked > length(p.body)"
    );
    let rows: Vec<(Vec<u8>,)> = Database::open(url).await.rows(packed).await;
    rows.into_iter().map(|(body,)| body).collect()
}

#[tokio::test]
async fn an_id_of_a_source_that_is_gone_is_read_by_whatever_kind_can() {
    let app = TestApp::start().await;
    for (id, read) in [
        (sys_id(1).to_uppercase(), Some(sys_id(1))),
        (
            "C9DDYQ1B4:1779146752.000100".to_owned(),
            Some("C9DDYQ1B4:1779146752.000100".to_owned()),
        ),
        (format!("{}*", sys_id(1)), None),
        (String::new(), None),
    ] {
        let ask = json!({ "source": "gone", "external_id": id });
        let answer = app.admin.post("/erase", &ask).await;
        let status = if read.is_some() { 200 } else { 422 };
        assert_eq!(answer.status, status, "{id}: {answer:?}");
        if let Some(read) = read {
            assert_eq!(answer.json()["external_id"], read);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn nothing_of_an_erased_ticket_is_left_in_the_files() {
    let app = TestApp::start().await;
    // Neighbours on every page.
    for n in 10..60 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
        app.webhooks.servicenow(incident(n)).send().await;
    }
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let canary = "canary of the erased ticket";
    for save in 1..=30 {
        let body = record("incident", 1, save).replace("Save", canary);
        let body = body.replace(
            "\"sys_class_name\"",
            &format!("\"text\":\"{}\",\"sys_class_name\"", "x".repeat(9000)),
        );
        app.webhooks.servicenow(body).send().await;
        app.webhooks.servicenow(incident(100 + save)).send().await;
    }
    app.admin.drained().await;
    let url = app.database_url();
    let before = database_bytes(&url);
    // A file has every version of a row, and a server the rows.
    let copies = if postgres::is_wanted() { 1 } else { 31 };
    assert!(places(&before, sys_id(1)) >= copies);
    assert!(places(&before, canary) > 0);
    let packed = packed_bodies(&url, &sys_id(1)).await;
    assert_eq!(packed.len(), 30);
    for body in &packed {
        assert!(places(&before, body) > 0, "a body in one piece");
    }
    let ask = json!({ "source": "servicenow", "external_id": sys_id(1).to_uppercase() });
    let answer = app.admin.post("/erase", &ask).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["removed"]["events"], 30);
    assert_eq!(answer["removed"]["payloads"], 30);
    assert_eq!(answer["removed"]["mappings"], 1);
    assert_eq!(answer["removed"]["connections"], 1);
    assert_eq!(answer["removed"]["attempts"], 1);
    // The log of a server is not ours to empty.
    let emptied = if postgres::is_wanted() {
        Value::Null
    } else {
        json!(true)
    };
    assert_eq!(
        (&answer["left"], &answer["log_emptied"]),
        (&json!(0), &emptied)
    );
    let bytes = database_bytes(&url);
    assert_eq!(places(&bytes, sys_id(1)), 0);
    assert_eq!(places(&bytes, canary), 0);
    for body in &packed {
        // Each ends with what differs between them.
        assert_eq!(places(&bytes, &body[body.len() / 2..]), 0);
    }
    assert!(
        places(&bytes, sys_id(10)) > 0,
        "its neighbours are still there"
    );
    // It may come again, as one that was never heard of.
    let again = app.webhooks.servicenow(incident(1)).send().await.event();
    assert_eq!(
        (&again["state"], &again["duplicate"]),
        (&json!("parked"), &json!(false))
    );
    let totals = app.admin.stats().await["totals"].clone();
    assert_eq!(totals["parked"], 31);
    assert_eq!(totals["connected"], 50);
    app.stop().await;
}

#[tokio::test]
async fn compressed_bodies_of_other_tickets_that_name_an_erased_one_are_counted() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    app.webhooks.servicenow(incident(1)).send().await;
    for (n, text) in [
        (2, id.to_uppercase()),
        (3, id.clone()),
        (4, id[1..].to_owned()),
    ] {
        // What comes before it is alike, so that its bytes do not stand in one piece.
        let text = format!("{} {} {text}", "x".repeat(300), &id[..20]);
        let body = record("incident", n, 1).replace("Save", &text);
        app.webhooks.servicenow(body).send().await;
        let packed = packed_bodies(&app.database_url(), &sys_id(n)).await;
        assert_eq!(packed.len(), 1, "{n}");
    }
    let ask = json!({ "source": "servicenow", "external_id": id });
    let answer = app.admin.post("/erase", &ask).await.json();
    assert_eq!(
        (&answer["naming_bodies"], &answer["left"]),
        (&json!(2), &json!(0))
    );
    app.stop().await;
}

#[tokio::test]
async fn a_ticket_in_hand_is_not_erased_under_the_call() {
    let app = TestApp::builder().allow_pending().start().await;
    app.faults(&["hang,path=connect"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.webhooks.servicenow(incident(1)).send().await;
    let ask = json!({ "source": "servicenow", "external_id": sys_id(1) });
    eventually("the call", async || {
        (app.mock.look(|journal| journal.connect_count) > 0).then_some(())
    })
    .await;
    let detail = app.admin.post("/erase", &ask).await.problem(409)["detail"].to_string();
    assert!(detail.contains("under way"), "{detail}");
    app.faults(&[]);
    eventually("its end", async || {
        (app.admin.post("/erase", &ask).await.status == 200).then_some(())
    })
    .await;
    assert!(app.admin.events("").await.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn errors_of_other_tickets_do_not_name_an_erased_one() {
    let app = TestApp::start().await;
    app.webhooks.servicenow(incident(2)).send().await;
    let error = format!(
        "UPDATE events SET last_error = 'the payload names tkt-1, which {} is mapped to'",
        sys_id(1)
    );
    database::run(&app.database_url(), error).await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let ask = json!({ "source": "servicenow", "external_id": sys_id(1) });
    let answer = app.admin.post("/erase", &ask).await.json();
    assert_eq!(
        (&answer["mentions_cleared"], &answer["left"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(places(&database_bytes(&app.database_url()), sys_id(1)), 0);
    app.stop().await;
}

#[tokio::test]
async fn the_command_erases_with_and_without_the_daemon_and_proves_it() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    for n in 1..=2 {
        site.incident(&sys_id(n)).await;
    }
    let first = site
        .run(&format!("erase --external-id {}", sys_id(1)))
        .await;
    assert!(
        first.text().contains("servicenow: 1 removed from events"),
        "{first:?}"
    );
    assert!(
        first.text().contains("servicenow: 0 rows left"),
        "{first:?}"
    );
    assert!(
        first.text().contains("is nowhere in the database's files"),
        "{first:?}"
    );
    daemon.stop().await;
    let second = site
        .run(&format!(
            "erase --source servicenow --external-id {} --json",
            sys_id(2)
        ))
        .await;
    let second = second.json();
    assert_eq!(second["erased"][0]["removed"]["events"], 1);
    assert_eq!(second["places_in_file"], 0);
    // A mistyped id must not look like success.
    let third = site
        .run(&format!("erase --external-id {}", sys_id(2)))
        .await;
    assert_eq!(third.code, 1, "{third:?}");
    assert!(third.err.contains("nothing was stored"), "{third:?}");
    assert_eq!(site.run("erase --external-id nonsense").await.code, 2);
}
