//! What was acknowledged is on the disk: kills, a disk that is full, a database that is locked.

use std::time::Duration;

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::{Endpoint, Journal, MockConfig, MockServal};

use crate::support::bodies::{incident, record, slack_message, sys_id};
use crate::support::{
    Daemon, Database, PATIENCE, Settings, TestApp, database_url, eventually, needs_a_file, run,
};

async fn mock() -> MockServal {
    MockServal::start(MockConfig::default()).await.unwrap()
}

#[tokio::test]
async fn an_acknowledged_event_is_in_the_file_when_the_answer_is_here() {
    let app = TestApp::start().await;
    for n in 1..=20 {
        let answer = app.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.status, 202);
        // Another connection, with no knowledge of the daemon's memory.
        assert_eq!(app.stored().await, i64::from(n));
    }
    app.stop().await;
}

#[tokio::test]
async fn no_acknowledged_event_is_lost_by_a_kill() {
    let mock = mock().await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3_u32 {
        // Eight senders at once, until the daemon dies under them.
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..8 {
            let webhooks = daemon.webhooks.clone();
            senders.spawn(async move {
                let mut ids = Vec::new();
                for n in 0.. {
                    let body = incident(round * 100_000 + sender * 1_000 + n);
                    match webhooks.servicenow(body).try_send().await {
                        Ok(answer) => ids.push(answer.id()),
                        Err(_) => break,
                    }
                }
                ids
            });
        }
        let before = acknowledged.len() as u64;
        eventually("some events", async || {
            let totals = daemon.admin.stats().await["totals"].clone();
            (totals["parked"].as_u64() > Some(before + 30)).then_some(())
        })
        .await;
        daemon.kill().await;
        acknowledged.extend(senders.join_all().await.into_iter().flatten());
        daemon.start_again().await;
        let stored: Vec<Value> = all_events(&daemon).await;
        for id in &acknowledged {
            assert!(
                stored.iter().any(|event| event["id"] == id.as_str()),
                "{id} is lost"
            );
        }
    }
    assert!(acknowledged.len() > 60, "{}", acknowledged.len());
}

async fn all_events(daemon: &Daemon) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/events?limit=1000{cursor}");
        let page = daemon.admin.get(&path).await.json();
        events.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return events,
        }
    }
}

#[tokio::test]
async fn an_event_that_was_killed_between_its_answer_and_its_call_is_delivered_by_the_next_start() {
    let mock = mock().await;
    mock.set_faults(vec!["hang".parse().unwrap()]);
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    daemon.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = daemon.webhooks.servicenow(incident(1)).send().await.id();
    let called = |journal: &Journal| journal.connect_count == 1;
    assert!(
        mock.wait_for(PATIENCE, called).await,
        "the call is under way"
    );
    daemon.kill().await;
    mock.set_faults(Vec::new());
    daemon.start_again().await;
    let event = daemon.admin.wait_for_state(&id, "connected").await;
    assert_eq!(event["attempts"].as_array().unwrap().len(), 1);
    let looks = mock.look(|journal| journal.requests_to(Endpoint::ExternalTickets));
    assert_eq!(looks, 1, "a call that may have arrived is looked for first");
    assert_eq!(mock.links().len(), 1);
}

#[tokio::test]
async fn a_call_that_arrived_before_the_kill_is_not_made_twice() {
    let mock = mock().await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    mock.set_faults(vec!["latency=60s,path=connect".parse().unwrap()]);
    daemon.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = daemon.webhooks.servicenow(incident(1)).send().await.id();
    let called = |journal: &Journal| journal.requests_to(Endpoint::Connect) == 1;
    assert!(mock.wait_for(PATIENCE, called).await);
    daemon.kill().await;
    // Serval took it, though nobody was left to hear so.
    let servicenow = "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW";
    mock.add_link("tkt_1", &sys_id(1), servicenow);
    mock.set_faults(Vec::new());
    daemon.start_again().await;
    let event = daemon.admin.wait_for_state(&id, "connected").await;
    assert_eq!(event["reason"], "already_linked");
    let calls = mock.look(|journal| journal.requests_to(Endpoint::Connect));
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn a_second_daemon_on_the_same_database_is_refused_with_the_reason() {
    needs_a_file!();
    let mock = mock().await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    let second = run(daemon.folder(), &daemon.arguments("serve")).await;
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains("inbox.db is in use by another serval-connect"),
        "{said}"
    );
    assert!(said.contains("database.url"), "it says what to do: {said}");
    let answer = daemon.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(answer.status, 202, "the first is none the worse for it");
    // The lock dies with its process, however it dies.
    daemon.kill().await;
    daemon.start_again().await;
    assert_eq!(daemon.admin.event(&answer.id()).await["state"], "parked");
}

#[tokio::test]
async fn a_full_disk_is_a_503_and_takes_nothing_that_was_acknowledged() {
    needs_a_file!();
    let mock = mock().await;
    // No file may grow beyond this many KiB, as if the disk ended there.
    let mut daemon = Daemon::start_with_file_limit(&mock, &Settings::default(), 800).await;
    let large = "x".repeat(20_000);
    let mut acknowledged = Vec::new();
    // Large ones until the first does not fit, then small ones until nothing does.
    for filling in [large.as_str(), ""] {
        let refused = loop {
            let n = u32::try_from(acknowledged.len()).unwrap();
            let body = record("incident", n, 1).replace("Save 1", filling);
            let answer = daemon.webhooks.servicenow(body).send().await;
            if answer.status != 202 {
                break answer;
            }
            acknowledged.push(answer.id());
            assert!(acknowledged.len() < 1000, "the disk is full at some time");
        };
        refused.problem(503);
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    assert!(acknowledged.len() > 3);
    let body = slack_message("Ev1", "1.000001", &Value::Null);
    assert_eq!(daemon.webhooks.slack(body).send().await.status, 503);
    let ready = daemon.admin.readyz().await;

    assert_eq!(ready.status, 503);
    let problem = ready.json()["problems"][0].to_string();
    assert!(problem.contains("stored"), "{problem}");

    daemon.kill().await;
    daemon.start_again().await;
    for id in &acknowledged {
        assert_eq!(daemon.admin.event(id).await["state"], "parked", "{id}");
    }
    let again = record("incident", 900, 1).replace("Save 1", &large);
    assert_eq!(daemon.webhooks.servicenow(again).send().await.status, 202);
    assert_eq!(daemon.admin.readyz().await.status, 200);
}

/// How many imports are decided and not whole, and how many of their rows are left.
async fn unfinished(reader: &mut Database) -> (i64, i64) {
    let both = "SELECT (SELECT COUNT(*) FROM imports), (SELECT COUNT(*) FROM import_rows)";
    reader.rows(both).await.remove(0)
}

#[tokio::test]
async fn an_import_that_is_killed_at_any_step_is_whole_after_the_next_start() {
    const ROWS: u32 = 4_000;
    let mock = mock().await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    let mut kills = Vec::new();
    let mut round = 0;
    // An import may be whole before it is seen.
    while kills.len() < 3 {
        round += 1;
        assert!(
            round < 30,
            "each import was whole before it could be killed"
        );
        let waiting = daemon
            .webhooks
            .servicenow(record("incident", round * 10_000 + 1, 1))
            .send()
            .await
            .id();
        let row = |n| format!("servicenow,{},T_{round}_{n}\n", sys_id(round * 10_000 + n));
        let file: String = (1..=ROWS).map(row).collect();
        let mut reader = Database::open(&database_url(daemon.folder())).await;
        let few = i64::from(fastrand::u32(1..ROWS));
        let seen = async {
            loop {
                let (decided, left) = unfinished(&mut reader).await;
                if decided == 1 && left <= few {
                    return left;
                }
            }
        };
        tokio::select! {
            biased;
            left = seen => kills.push(left),
            answer = daemon.admin.import(&file) => assert_eq!(answer.status, 200, "{answer:?}"),
        }
        daemon.kill().await;
        daemon.start_again().await;
        eventually("the import is whole", async || {
            (unfinished(&mut reader).await == (0, 0)).then_some(())
        })
        .await;
        reader.close().await;
        let exported = daemon.admin.get("/mappings/export?format=csv").await.body;
        let exported = String::from_utf8(exported.to_vec()).unwrap();
        let of_round = exported.matches(&format!(",T_{round}_")).count();
        assert_eq!(
            of_round, ROWS as usize,
            "after a kill with {kills:?} rows left"
        );
        assert_eq!(
            daemon.admin.wait_for_state(&waiting, "connected").await["ticket_id"],
            format!("T_{round}_1")
        );
    }
}

#[tokio::test]
async fn while_the_database_takes_no_writes_senders_are_told_to_come_again() {
    let app = TestApp::start().await;
    let other = Database::hold(&app.database_url()).await;
    let delivery = app.webhooks.servicenow(incident(1)).id("msg_locked");
    let (answer, slack) = tokio::join!(delivery.send(), async {
        let body = slack_message("Ev1", "1.000001", &Value::Null);
        app.webhooks.slack(body).send().await
    });
    for answer in [answer, slack] {
        answer.problem(503);
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
        assert_eq!(answer.header("x-slack-no-retry"), "");
    }
    other.close().await;
    let event = delivery.send().await.event();
    assert_eq!(event["state"], "parked");
    assert_eq!(
        app.admin.events("source=servicenow").await.len(),
        1,
        "once, though it came twice"
    );
    eventually("readiness", async || {
        (app.admin.readyz().await.status == 200).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_daemon_that_was_stopped_for_long_takes_up_where_it_was() {
    let mut app = TestApp::builder().allow_pending().start().await;
    app.faults(&["status=503"]);
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    eventually("a failed try", async || {
        let event = app.admin.event(&id).await;
        (!event["attempts"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    app.restart().await;
    app.faults(&[]);
    tokio::time::timeout(
        Duration::from_secs(15),
        app.admin.wait_for_state(&id, "connected"),
    )
    .await
    .expect("the line moves again within 15 s");
    app.stop().await;
}
