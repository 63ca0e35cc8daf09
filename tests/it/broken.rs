//! Rows that cannot be worked on, and claims that outlive their call.

use crate::conservation::daemon::{Settings, Site};
use crate::support::{PATIENCE, database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_row_is_set_aside_and_the_others_flow() {
    let mut site = Site::new(&Settings::default()).await;
    site.start().await;
    let sender = site.sender();
    assert!(sender.act("connects/pause").await.is_some());
    for n in 0..4 {
        let id = format!("{n:032x}");
        assert!(sender.map(&id, &format!("T-{n}")).await.is_some());
        let body = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident"}}"#);
        assert!(sender.webhook(&format!("msg_{n}"), &body).await.is_some());
    }
    site.kill();
    for damage in [
        "UPDATE external_tickets SET ticket_id = 'no id' WHERE ticket_id = 'T-0'",
        "DELETE FROM payloads WHERE event_id = 2",
        "UPDATE settings SET value = 'false' WHERE key = 'paused'",
    ] {
        assert_eq!(database::run(&site.database, damage).await, 1, "{damage}");
    }
    site.start().await;
    assert!(site.connected(2, PATIENCE).await.is_some());
    let dead = sender.get("events?state=dead&reason=broken_row").await;
    assert_eq!(dead["data"].as_array().unwrap().len(), 2, "{dead}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_takes_no_page_away() {
    let mut site = Site::new(&Settings::default()).await;
    site.start().await;
    let sender = site.sender();
    let id = format!("{:032x}", 7);
    assert!(sender.map(&id, "T-7").await.is_some());
    let body = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident"}}"#);
    assert!(sender.webhook("msg_7", &body).await.is_some());
    crate::support::eventually("the call is settled", async || {
        let event = sender.get("events/evt_1").await;
        (event["state"] == "connected").then_some(())
    })
    .await;
    site.kill();
    for damage in [
        "UPDATE external_tickets SET accounted_for = 'no JSON'",
        "UPDATE attempts SET outcome = 'a word of another version'",
        "INSERT INTO conflicts (source, external_id, mapped_to, learned, event_id, created_at)
         VALUES ('servicenow', '00000000000000000000000000000007', 'T-7', 'no id', 1, 0)",
    ] {
        assert_eq!(database::run(&site.database, damage).await, 1, "{damage}");
    }
    site.start().await;
    let event = sender.get("events/evt_1").await;
    assert_eq!(event["state"], "connected", "{event}");
    assert_eq!(
        event["attempts"].as_array().map(Vec::len),
        Some(0),
        "{event}"
    );
    let conflicts = sender.get("conflicts").await;
    assert_eq!(
        conflicts["data"].as_array().map(Vec::len),
        Some(0),
        "{conflicts}"
    );
}
