//! The end of the process: in order, in time, and with nothing dropped.

use std::time::{Duration, Instant};

use serval_connect::rehearsal::mock_serval::Endpoint;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::conservation::daemon::{Addresses, Settings, Site};

/// A daemon with a call that hangs.
async fn hanging(shutdown_timeout: &'static str) -> (Site, Addresses) {
    let mut site = Site::new(&Settings {
        shutdown_timeout,
        ..Settings::default()
    })
    .await;
    site.faults(&["hang"]);
    let addresses = site.start().await;
    let sender = site.sender();
    let id = "a".repeat(32);
    assert!(sender.map(&id, "T-1").await.is_some());
    let body = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident"}}"#);
    let answer = sender.webhook("msg_1", &body).await;
    assert_eq!(answer.map(|(status, ..)| status), Some(202));
    let is_called = site
        .mock
        .wait_for(Duration::from_secs(5), |j| j.connect_count == 1);
    assert!(is_called.await);
    (site, addresses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_hands_back_what_hangs_and_the_next_start_looks_first() {
    let (mut site, _) = hanging("2s").await;
    site.terminate();
    let asked = Instant::now();
    let status = site.ended(Duration::from_secs(6)).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(2900), "{took:?}");
    site.faults(&[]);
    site.mock.clear_journal();
    site.start().await;
    assert!(site.connected(1, Duration::from_secs(3)).await.is_some());
    let calls = site
        .mock
        .requests()
        .into_iter()
        .map(|request| request.endpoint);
    let calls: Vec<_> = calls.filter(|call| *call != Endpoint::Token).collect();
    assert_eq!(calls, [Endpoint::ExternalTickets, Endpoint::Connect]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_a_call_finish_that_ends_in_time() {
    let (mut site, _) = hanging("20s").await;
    // The call that hangs keeps hanging; one that is slow comes beside it.
    site.faults(&["latency=1s"]);
    let sender = site.sender();
    let id = "b".repeat(32);
    assert!(sender.map(&id, "T-2").await.is_some());
    let body = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident"}}"#);
    assert!(sender.webhook("msg_2", &body).await.is_some());
    let is_called = |requests: usize| requests >= 2;
    let called = site.mock.wait_for(Duration::from_secs(5), |journal| {
        is_called(journal.requests_to(Endpoint::Connect))
    });
    assert!(called.await);
    site.terminate();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    site.terminate();
    let status = site.ended(Duration::from_secs(3)).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    site.faults(&[]);
    site.mock.clear_journal();
    site.start().await;
    assert!(site.connected(2, Duration::from_secs(3)).await.is_some());
    let again = site.mock.connects();
    assert!(
        again.iter().all(|connect| connect.ticket_id == "T-1"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let (mut site, addresses) = hanging("60s").await;
    // Exchanges that would go on: a request that is not whole.
    let mut slow = TcpStream::connect(addresses.webhooks).await.unwrap();
    let head = "POST /webhooks/servicenow HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    site.terminate();
    assert!(
        site.ended(Duration::from_millis(700)).await.is_none(),
        "it waits for the call"
    );
    let asked = Instant::now();
    site.terminate();
    let status = site.ended(Duration::from_secs(5)).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}
