//! Another process holds the database: everybody gets an answer in time, and it is true.

use std::future::Future;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::cli_run::Site;
use crate::support::bodies::{incident, sys_id};
use crate::support::{
    Answer, Daemon, Database, Settings, TestApp, database_url, eventually, needs_a_file,
};

/// Three seconds are promised; a busy machine gets more. Far less than the waits of these writers one after
/// another.
const IN_TIME: Duration = Duration::from_secs(9);

async fn in_time(what: &str, answer: impl Future<Output = Answer>) -> Answer {
    let answer = tokio::time::timeout(IN_TIME, answer).await;
    answer.unwrap_or_else(|_| panic!("{what} is not answered in time"))
}

/// A write of the API, refused with its reason.
async fn refused(what: &str, answer: impl Future<Output = Answer>) {
    let answer = in_time(what, answer).await;
    assert_eq!(answer.status, 503, "{what}: {}", answer.text());
    let detail = answer.json()["detail"].to_string();
    assert!(
        detail.contains("another process holds the database"),
        "{what}: {detail}"
    );
}

#[tokio::test]
async fn everybody_gets_an_answer_in_time_and_what_was_refused_is_not_done_later() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    let admin = &daemon.admin;
    let holder = Database::hold(&database_url(daemon.folder())).await;
    let webhooks = async {
        for n in 1..=3 {
            let webhook = daemon.webhooks.servicenow(incident(n));
            let answer = in_time("a webhook", webhook.send()).await;
            assert_eq!(answer.status, 503);
            assert!(answer.header("retry-after").parse::<u32>().is_ok());
        }
    };
    let mappings = async {
        for n in 11..=14 {
            let path = format!("/mappings/servicenow/{}", sys_id(n));
            let mapping = json!({"ticket_id": "tkt_1"});
            refused("a mapping", admin.put(&path, &mapping)).await;
        }
    };
    let others = async {
        refused("a pause", admin.post("/connects/pause", &Value::Null)).await;
        let row = format!("servicenow,{},tkt_2\n", sys_id(15));
        refused("an import", admin.import(&row)).await;
        refused(
            "a removal",
            admin.delete(&format!("/mappings/servicenow/{}", sys_id(16))),
        )
        .await;
    };
    let questions = async {
        for _ in 0..3 {
            let metrics = admin.request(Method::GET, "/metrics", None, "");
            assert_eq!(in_time("the metrics", metrics).await.status, 200);
            in_time("the readiness", admin.readyz()).await;
            assert_eq!(in_time("the state", admin.get("/stats")).await.status, 200);
            assert_eq!(
                in_time("the mappings", admin.get("/mappings")).await.status,
                200
            );
        }
    };
    // All at once, so that each waits for the others, too.
    tokio::join!(webhooks, mappings, others, questions);
    let ready = in_time("the readiness", admin.readyz()).await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("another process holds it"),
        "{}",
        ready.text()
    );
    holder.close().await;
    let stored = eventually("a webhook is stored", async || {
        let answer = daemon.webhooks.servicenow(incident(20)).send().await;
        (answer.status == 202).then(|| answer.id())
    })
    .await;
    // Of what was refused nothing was done, neither then nor since.
    let events = admin.events("").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["id"], stored.as_str());
    assert_eq!(admin.list("/mappings").await, Vec::<Value>::new());
    assert_eq!(admin.get("/stats").await.json()["paused"], false);
}

#[tokio::test]
async fn the_state_follows_the_holder_also_without_traffic() {
    let app = TestApp::builder().allow_pending().start().await;
    // A worker that is paused writes nothing.
    app.admin.post("/connects/pause", &Value::Null).await;
    let holder = Database::hold(&app.database_url()).await;
    let answer = app.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(answer.status, 503);
    let asked = Instant::now();
    let ready = app.admin.readyz().await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("another process holds it"),
        "{}",
        ready.text()
    );
    assert!(asked.elapsed() < IN_TIME);
    holder.close().await;
    eventually("it is ready again", async || {
        (app.admin.readyz().await.status == 200).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn the_result_of_a_call_is_written_when_the_database_is_free_again() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    app.faults(&["latency=1s,path=connect"]);
    let event = app.save(incident(1)).await;
    crate::gone::under_way(&app).await;
    let holder = Database::hold(&app.database_url()).await;
    eventually(
        "the call has ended, and its result cannot be written",
        async || {
            let text = app.admin.readyz().await.text();
            (app.connected_to().len() == 1 && text.contains("another process holds it"))
                .then_some(())
        },
    )
    .await;
    holder.close().await;
    app.admin.wait_for_state(&event, "connected").await;
    assert_eq!(app.connected_to(), ["tkt_1"], "the call is not made again");
    app.stop().await;
}

#[tokio::test]
async fn commands_without_a_daemon_say_that_another_process_holds_the_database() {
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("migrate").await.code, 0);
    let holder = Database::hold(&site.database_url()).await;
    for line in ["migrate", "serve", "connects pause", "map list"] {
        let command = tokio::time::timeout(IN_TIME, site.run(line));
        let ended = command
            .await
            .unwrap_or_else(|_| panic!("{line} does not end"));
        assert_eq!(ended.code, 1, "{line}: {ended:?}");
        assert!(
            ended.err.contains("another process holds it"),
            "{line}: {ended:?}"
        );
    }
    holder.close().await;
    assert_eq!(site.run("connects pause").await.code, 0);
}

#[tokio::test]
async fn ids_that_another_program_gave_cost_no_webhook_and_show() {
    needs_a_file!();
    let app = TestApp::builder().allow_pending().start().await;
    let first = app.save(incident(1)).await;
    assert_eq!(app.admin.readyz().await.json()["database"], Value::Null);
    // Another program stores two events, so the next two ids are not free.
    for (n, id) in [(2, "evt_4"), (3, "evt_7")] {
        for _ in 0..2 {
            app.alter(
                "INSERT INTO events (state, due_at, received_at, queued_at, updated_at, rank_major,
                     rank_minor, source, event_type, first_state)
                 SELECT 'ignored', 0, received_at, queued_at, updated_at, rank_major, rank_minor,
                     source, event_type, 'ignored' FROM events WHERE id = 1",
            )
            .await;
        }
        assert_eq!(app.save(incident(n)).await, id, "after {first}");
        let ready = app.admin.readyz().await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        let said = ready.json()["database"].to_string();
        assert!(
            said.contains("another program wrote to the database"),
            "{said}"
        );
    }
    app.stop().await;
}
