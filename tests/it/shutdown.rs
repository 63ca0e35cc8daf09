//! The end of the process, as a service manager asks for it.

use std::time::{Duration, Instant};

use serval_connect::rehearsal::mock_serval::{Journal, MockConfig, MockServal};

use crate::support::bodies::{incident, sys_id};
use crate::support::{Daemon, PATIENCE, Settings, eventually};

async fn mock(fault: &str) -> MockServal {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    mock.set_faults(vec![fault.parse().unwrap()]);
    mock
}

fn is_called(journal: &Journal) -> bool {
    let mut requests = journal.requests.iter();
    requests.any(|request| request.path.ends_with("/connect"))
}

#[tokio::test]
async fn a_sigterm_finishes_the_call_under_way_and_exits_0() {
    let mock = mock("latency=1s").await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    daemon.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = daemon.webhooks.servicenow(incident(1)).send().await.id();
    assert!(mock.wait_for(PATIENCE, is_called).await);
    let asked = Instant::now();
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(mock.connects()[0].answered, Some(200));
    assert!(
        daemon
            .webhooks
            .servicenow(incident(2))
            .try_send()
            .await
            .is_err()
    );

    daemon.start_again().await;
    let event = daemon.admin.event(&id).await;
    assert_eq!(
        event["state"], "connected",
        "its result was written before the end"
    );
    assert_eq!(mock.connects().len(), 1);
}

#[tokio::test]
async fn a_call_that_does_not_end_in_time_is_handed_back_and_the_exit_is_still_0() {
    let mock = mock("hang,count=1").await;
    let settings = Settings {
        toml: "[server]\nshutdown_timeout = \"1s\"".to_owned(),
        ..Settings::default()
    };
    let mut daemon = Daemon::start(&mock, &settings).await;
    daemon.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = daemon.webhooks.servicenow(incident(1)).send().await.id();
    assert!(mock.wait_for(PATIENCE, is_called).await);
    let asked = Instant::now();
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "{:?}",
        asked.elapsed()
    );
    daemon.start_again().await;
    daemon.admin.wait_for_state(&id, "connected").await;
    assert_eq!(mock.links().len(), 1);
}

#[tokio::test]
async fn webhooks_that_are_being_answered_are_answered() {
    let mock = mock("latency=1ms").await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..4 {
        let webhooks = daemon.webhooks.clone();
        senders.spawn(async move {
            let mut ids = Vec::new();
            for n in 0.. {
                match webhooks
                    .servicenow(incident(sender * 1000 + n))
                    .try_send()
                    .await
                {
                    Ok(answer) => ids.push(answer.id()),
                    Err(_) => break,
                }
            }
            ids
        });
    }
    eventually("some events", async || {
        (daemon.admin.stats().await["totals"]["parked"].as_u64() > Some(20)).then_some(())
    })
    .await;
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    let ids: Vec<String> = senders.join_all().await.into_iter().flatten().collect();
    daemon.start_again().await;
    for id in ids {
        assert_eq!(daemon.admin.event(&id).await["state"], "parked");
    }
}

#[tokio::test]
async fn an_idle_daemon_stops_at_once() {
    let mock = mock("latency=1ms").await;
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    // A connection that is kept alive must not keep the daemon.
    assert_eq!(daemon.admin.readyz().await.status, 200);
    let asked = Instant::now();
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    // The process may end before its last line is read.
    eventually("the last word", async || {
        let last = daemon.log().pop()?;
        (last["message"] == "stopped").then_some(())
    })
    .await;
}
