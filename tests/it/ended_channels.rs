//! Deleted channels with many threads: nothing of them is sent, and their bodies go in steps.

use serval_connect::domain::event::{ChannelNews, Disposition, EventState};
use serval_connect::domain::ids::{EventId, ExternalTicket};
use serval_connect::sources::slack;
use serval_connect::store::{Origin, Precondition, PutMapping, Webhook};
use tokio_util::sync::CancellationToken;

use crate::store::{Bench, at, url, webhook};
use crate::support::{database, eventually};

const CHANNEL: &str = "C9DDYQ1B4";
/// More than three steps erase.
const MANY: usize = 700;

fn thread(n: usize) -> ExternalTicket {
    let external_id = format!("{CHANNEL}:1779146751.{n:06}");
    ExternalTicket {
        source: "slack".parse().unwrap(),
        external_id: slack::KIND.parse_external_id(&external_id).unwrap(),
    }
}

fn message(n: usize) -> Webhook {
    let mut webhook = webhook(1, at(0));
    webhook.source = thread(n).source;
    webhook.events[0].external_id = Some(thread(n).external_id);
    webhook
}

fn notice() -> Webhook {
    let mut notice = message(0);
    let event = &mut notice.events[0];
    event.external_id = None;
    event.disposition = Disposition::Ignore("channel_deleted");
    event.channel = Some(ChannelNews::Deleted {
        channel: CHANNEL.to_owned(),
    });
    notice
}

async fn map(bench: &Bench, n: usize) {
    let put = PutMapping {
        disconnects_others: false,
        ticket: thread(n),
        ticket_id: format!("tkt-{n}").parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old: false,
        several_per_ticket: false,
        reconnects: false,
    };
    let put = bench.store.put_mapping(put, Precondition::None, at(2));
    put.await.unwrap().unwrap();
}

async fn count(bench: &Bench, what: &'static str) -> i64 {
    database::value(&url(&bench.folder), what).await
}

async fn bodies(bench: &Bench) -> i64 {
    count(bench, "SELECT COUNT(*) FROM payloads").await
}

#[tokio::test]
async fn the_notice_about_a_deleted_channel_does_not_wait_for_all_its_bodies_and_none_is_left() {
    let bench = Bench::open().await;
    map(&bench, MANY - 2).await;
    let mut messages = message(0);
    messages.events = (0..MANY).flat_map(|n| message(n).events).collect();
    let recorded = bench.store.record(messages).await.unwrap();
    let events: Vec<EventId> = recorded.iter().map(|recorded| recorded.id).collect();
    assert_eq!(events.len(), MANY);
    let claim = bench.claim(1, at(1)).await.remove(0);
    bench.store.record(notice()).await.unwrap();
    // Its body is still there, and nevertheless it is not sent.
    assert!(!bench.store.is_current(&claim).await.unwrap());
    let waiting = "SELECT COUNT(*) FROM events WHERE state IN ('parked', 'queued')";
    assert_eq!(count(&bench, waiting).await, 0);
    let left = bodies(&bench).await;
    assert!(
        left > 300,
        "{left}: erased in the transaction of the notice"
    );
    // Somebody maps a thread before its body is erased.
    map(&bench, MANY - 1).await;
    // A kill comes before the next step.
    let bench = Bench::open_in(bench.close().await).await;
    let stop = CancellationToken::new();
    let (store, until) = (bench.store.clone(), stop.clone());
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let erasing = tokio::spawn(async move { store.keep_log_short(until).await });
    eventually("all bodies are erased, and the note too", async || {
        let notes = "SELECT COUNT(*) FROM settings WHERE key LIKE 'ended%'";
        let left = (bodies(&bench).await, count(&bench, notes).await);
        (left == (0, 0)).then_some(())
    })
    .await;
    for event in events {
        assert_eq!(bench.state(event).await, EventState::Skipped);
    }
    assert!(bench.claim(9, at(3)).await.is_empty());
    stop.cancel();
    erasing.await.unwrap();
    bench.close().await;
}
