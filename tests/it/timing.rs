//! When calls are made: after a fault, through an outage, and when Serval says when.

use std::time::{Duration, Instant};

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::RecordedConnect;

use crate::conservation::daemon::{Settings, Site};
use crate::conservation::sender::Sender;

async fn running(settings: &Settings) -> (Site, Sender) {
    let mut site = Site::new(settings).await;
    site.start().await;
    let sender = site.sender();
    (site, sender)
}

/// Maps tickets and has an event about each arrive.
async fn arrive(sender: &Sender, tickets: std::ops::Range<u32>) {
    for n in tickets {
        let id = format!("{n:032x}");
        assert!(sender.map(&id, &format!("T_{n}")).await.is_some());
        let body = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident"}}"#);
        let answer = sender.webhook(&format!("msg_{n}"), &body).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(202));
    }
}

/// Waits until `holds` of `/stats`.
async fn stats(sender: &Sender, within: Duration, holds: impl Fn(&Value) -> bool) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if holds(&sender.get("stats").await) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// The calls for one external ticket.
fn calls(site: &Site, n: u32) -> Vec<RecordedConnect> {
    let mut calls = site.mock.connects();
    calls.retain(|connect| connect.ticket_id == format!("T_{n}"));
    calls
}

/// The gaps between them.
fn gaps(site: &Site, n: u32) -> Vec<Duration> {
    let gap = |pair: &[RecordedConnect]| pair[1].at.duration_since(pair[0].at).unsigned_abs();
    calls(site, n).windows(2).map(gap).collect()
}

/// The calls on record that cost their event a try.
async fn counted_tries(sender: &Sender) -> usize {
    let mut tries = 0;
    let events = sender.get("events").await;
    for event in events["data"].as_array().unwrap() {
        let id = event["id"].as_str().unwrap();
        let event = sender.get(&format!("events/{id}")).await;
        let attempts = event["attempts"].as_array().unwrap().iter();
        tries += attempts.filter(|attempt| attempt["probe"] == false).count();
    }
    tries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_retry_comes_within_2_s() {
    let (site, sender) = running(&Settings::default()).await;
    site.faults(&["500,count=3"]);
    arrive(&sender, 0..3).await;
    assert!(site.connected(3, Duration::from_secs(8)).await.is_some());
    for n in 0..3 {
        if let Some(first) = gaps(&site, n).first() {
            assert!(*first < Duration::from_secs(2), "{first:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serval_is_never_called_earlier_than_it_asked() {
    let (site, sender) = running(&Settings::default()).await;
    site.faults(&["429,retry_after=3,count=1"]);
    arrive(&sender, 0..1).await;
    assert!(site.connected(1, Duration::from_secs(8)).await.is_some());
    let gap = gaps(&site, 0)[0];
    assert!(
        gap >= Duration::from_millis(2990) && gap < Duration::from_secs(5),
        "{gap:?}"
    );
    // In an outage the probes leave alone what Serval asked to leave alone, and the end of the
    // outage hastens nothing of it. Each event has its own wait.
    site.faults(&["503,retry_after=6"]);
    arrive(&sender, 1..7).await;
    let is_open = |stats: &Value| stats["breaker"]["state"] == "open";
    assert!(stats(&sender, Duration::from_secs(5), is_open).await);
    let is_asked = |n: &u32| !calls(&site, *n).is_empty();
    let asked: Vec<u32> = (1..7).filter(is_asked).collect();
    assert!(asked.len() >= 5, "{asked:?}");
    site.faults(&["503"]);
    arrive(&sender, 7..8).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    site.faults(&[]);
    assert!(site.connected(8, Duration::from_secs(20)).await.is_some());
    for n in asked {
        let gap = gaps(&site, n)[0];
        assert!(gap >= Duration::from_millis(5990), "T_{n}: {gap:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_calls_that_wait_for_their_turn() {
    let (site, sender) = running(&Settings::default()).await;
    site.faults(&["429,retry_after=2,count=1"]);
    arrive(&sender, 0..1).await;
    let is_told = site
        .mock
        .wait_for(Duration::from_secs(5), |journal| journal.connect_count == 1);
    assert!(is_told.await);
    // These are claimed, and wait until Serval wants to be called again.
    arrive(&sender, 1..4).await;
    assert!(sender.act("connects/pause").await.is_some());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(site.mock.look(|journal| journal.connect_count), 1);
    assert!(sender.act("connects/resume").await.is_some());
    assert!(site.connected(4, Duration::from_secs(5)).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_costs_no_event_a_try_and_ends_within_15_s() {
    let (site, sender) = running(&Settings::default()).await;
    site.faults(&["503,path=all"]);
    arrive(&sender, 0..8).await;
    let is_open = |stats: &Value| stats["breaker"]["state"] == "open";
    assert!(
        stats(&sender, Duration::from_secs(20), is_open).await,
        "the breaker opens"
    );
    // Calls that were under way when it opened end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = counted_tries(&sender).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(counted_tries(&sender).await, before, "only probes are made");
    assert!(stats(&sender, Duration::from_secs(1), is_open).await);
    site.faults(&[]);
    let over = Instant::now();
    assert!(site.connected(1, Duration::from_secs(15)).await.is_some());
    let first = over.elapsed();
    assert!(
        site.connected(8, Duration::from_secs(30).saturating_sub(first))
            .await
            .is_some()
    );
    println!(
        "outage: the line moves after {first:?}, all is there after {:?}",
        over.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run with --ignored"]
async fn a_lasting_fault_meets_five_tries_in_its_first_minute() {
    let settings = Settings {
        breaker_threshold: 0,
        ..Settings::default()
    };
    let (site, sender) = running(&settings).await;
    site.faults(&["500"]);
    arrive(&sender, 0..3).await;
    // The ceilings of the first four waits: 1, 2, 4 and 8 s.
    tokio::time::sleep(Duration::from_secs(19)).await;
    for n in 0..3 {
        assert!(calls(&site, n).len() >= 5, "{:?}", gaps(&site, n));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run with --ignored"]
async fn a_token_that_is_given_but_not_accepted_keeps_the_line_held() {
    let (site, sender) = running(&Settings::default()).await;
    site.faults(&["401,path=connect", "401,path=directory"]);
    arrive(&sender, 0..4).await;
    let is_held = |stats: &Value| !stats["hold"].is_null();
    assert!(stats(&sender, Duration::from_secs(10), is_held).await);
    let is_released = |stats: &Value| stats["hold"].is_null();
    let over_the_next_look = Duration::from_secs(35);
    assert!(
        !stats(&sender, over_the_next_look, is_released).await,
        "the token endpoint alone does not end the hold"
    );
    site.faults(&[]);
    assert!(site.connected(4, Duration::from_secs(35)).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run with --ignored"]
async fn refused_credentials_hold_the_line_and_it_resumes_by_itself() {
    let (site, sender) = running(&Settings::default()).await;
    site.mock.revoke_tokens();
    site.faults(&["401,path=all"]);
    arrive(&sender, 0..4).await;
    let is_held = |stats: &Value| !stats["hold"].is_null();
    assert!(stats(&sender, Duration::from_secs(10), is_held).await);
    let (ready, _, why) = sender.ready().await.unwrap();
    assert_eq!(ready, 503);
    assert!(why.to_string().contains("credentials"), "{why}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = site.mock.look(|journal| journal.request_count);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        site.mock.look(|journal| journal.request_count),
        before,
        "nothing is called"
    );
    let dead = sender.get("events?state=dead").await;
    assert_eq!(dead["data"], serde_json::json!([]));
    site.faults(&[]);
    assert!(
        site.connected(4, Duration::from_secs(35)).await.is_some(),
        "by itself"
    );
    assert_eq!(sender.ready().await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run with --ignored"]
async fn a_hold_ends_also_when_nothing_waits() {
    let (site, sender) = running(&Settings::default()).await;
    site.faults(&["401,path=connect"]);
    arrive(&sender, 0..1).await;
    let is_held = |stats: &Value| !stats["hold"].is_null();
    assert!(stats(&sender, Duration::from_secs(10), is_held).await);
    let record = format!(r#"{{"sys_id":"{:032x}"}}"#, 0);
    let deletion = format!(r#"{{"table":"incident","operation":"delete","record":{record}}}"#);
    assert!(sender.webhook("msg_gone", &deletion).await.is_some());
    let is_empty = |stats: &Value| stats["totals"]["queued"] == 0;
    assert!(stats(&sender, Duration::from_secs(5), is_empty).await);
    assert_eq!(sender.ready().await.unwrap().0, 503);
    site.faults(&[]);
    let is_released = |stats: &Value| stats["hold"].is_null();
    assert!(stats(&sender, Duration::from_secs(35), is_released).await);
    assert_eq!(sender.ready().await.unwrap().0, 200);
}
