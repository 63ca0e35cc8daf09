//! Calls whose end is unclear: Serval is looked at before anything is repeated or given up.

use std::time::{Duration, Instant};

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::{Endpoint, RecordedRequest};

use crate::conservation::daemon::{Settings, Site};
use crate::conservation::sender::Sender;

const ID: &str = "d0000000000000000000000000000001";
const SOURCE_TYPE: &str = "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW";

/// Has an event about the one external ticket arrive while `faults` are in force; answers the
/// event once it rests.
async fn ends(site: &mut Site, faults: &[&str]) -> Value {
    site.start().await;
    site.faults(faults);
    let sender = site.sender();
    assert!(sender.map(ID, "t_1").await.is_some());
    let body = format!(r#"{{"sys_id":"{ID}","sys_class_name":"incident"}}"#);
    let answer = sender.webhook("msg_1", &body).await;
    assert_eq!(answer.map(|(status, ..)| status), Some(202));
    rests(&sender).await
}

async fn rests(sender: &Sender) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let events = sender.get("events").await;
        let event = events["data"][0].clone();
        if event["state"] != "queued" {
            return event;
        }
        assert!(Instant::now() < deadline, "{event}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn calls(site: &Site) -> Vec<Endpoint> {
    let endpoint = |request: RecordedRequest| request.endpoint;
    let mut calls: Vec<_> = site.mock.requests().into_iter().map(endpoint).collect();
    calls.retain(|call| *call != Endpoint::Token);
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_doubt_is_looked_into_and_not_repeated() {
    let mut site = Site::new(&Settings::default()).await;
    let event = ends(&mut site, &["drop,count=1"]).await;
    assert_eq!(event["state"], "connected");
    assert_eq!(event["reason"], "already_linked");
    assert_eq!(calls(&site), [Endpoint::Connect, Endpoint::ExternalTickets]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_lasts_until_a_look_succeeds() {
    let mut site = Site::new(&Settings::default()).await;
    let faults = ["drop,count=1", "503,path=external-tickets,count=2"];
    let event = ends(&mut site, &faults).await;
    assert_eq!(event["reason"], "already_linked");
    let mut expected = vec![Endpoint::Connect];
    expected.extend([Endpoint::ExternalTickets; 3]);
    assert_eq!(calls(&site), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_a_success_where_serval_lists_the_pair() {
    let mut site = Site::new(&Settings::default()).await;
    site.mock.add_link("t_1", ID, SOURCE_TYPE);
    // The first look fails: that is no proof of anything.
    let faults = ["conflict", "503,path=external-tickets,count=1"];
    let event = ends(&mut site, &faults).await;
    assert_eq!(event["state"], "connected", "{event}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_dead_where_serval_does_not_list_the_pair() {
    let mut site = Site::new(&Settings::default()).await;
    let event = ends(&mut site, &["conflict"]).await;
    assert_eq!(event["state"], "dead");
    assert_eq!(event["reason"], "conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_one_ticket_is_dead_at_once_with_what_serval_said() {
    for (fault, reason) in [
        ("501", "unimplemented"),
        ("400", "invalid_argument"),
        ("403", "permission_denied"),
    ] {
        let mut site = Site::new(&Settings::default()).await;
        let event = ends(&mut site, &[fault]).await;
        assert_eq!(
            (&event["state"], &event["reason"]),
            (&"dead".into(), &reason.into())
        );
        assert!(
            event["last_error"]
                .as_str()
                .unwrap()
                .contains("a fault was asked for")
        );
        assert_eq!(calls(&site), [Endpoint::Connect]);
    }
}
