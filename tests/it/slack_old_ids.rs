//! Ids that a Slack channel left: what Serval has under them, and what a person says with them.

use serde_json::{Value, json};
use serval_connect::domain::event::{ChannelMove, ChannelNews, Disposition, Rank};
use serval_connect::domain::ids::ExternalTicket;
use serval_connect::domain::report::Report;
use serval_connect::sources::slack;
use serval_connect::store::{Lesson, Webhook};

use crate::store::{Bench, at, webhook};
use crate::support::bodies::{callback, slack_message};
use crate::support::{TestApp, eventually};

const A: &str = "C0AAAAAAA";
const B: &str = "C0BBBBBBB";
const C: &str = "C0CCCCCCC";
const ROOT: &str = "1779146701.000001";

/// Moves of a channel whose thread Serval has under the id A, and the present id.
const PATHS: [(&[(&str, &str)], &str); 3] = [
    (&[(A, B)], B),
    (&[(A, B), (B, C)], C),
    (&[(A, C), (C, B)], B),
];

fn thread(channel: &str) -> String {
    format!("{channel}:{ROOT}")
}

async fn send(app: &TestApp, body: String) {
    assert_eq!(app.webhooks.slack(body).send().await.status, 200);
}

/// A message begins a thread in the channel A; returns the event's id.
async fn begin(app: &TestApp) -> String {
    let changes = json!({ "channel": A });
    send(app, slack_message("EvRoot", ROOT, &changes)).await;
    let event = app.admin.events("source=slack").await.remove(0);
    event["id"].as_str().unwrap().to_owned()
}

async fn rename(app: &TestApp, (from, to): (&str, &str), event_id: &str) {
    let event = json!({
        "type": "channel_id_changed", "old_channel_id": from, "new_channel_id": to,
        "event_ts": "1779148300.001700",
    });
    send(app, callback(event_id, &event)).await;
}

async fn rename_all(app: &TestApp, moves: &[(&str, &str)]) {
    for (n, step) in moves.iter().enumerate() {
        rename(app, *step, &format!("EvMove{n}")).await;
    }
}

#[tokio::test]
async fn a_pair_in_doubt_is_found_at_serval_under_an_id_that_its_channel_left() {
    for (moves, present) in PATHS {
        let app = TestApp::builder().allow_pending().start().await;
        app.admin.map("slack", &thread(A), "tkt-1").await;
        // The pair is made, but its answer is lost, and no look succeeds before the channel has moved.
        app.faults(&["drop,count=1,path=connect", "503,path=external-tickets"]);
        let event = begin(&app).await;
        eventually("the answer is lost", async || {
            (app.admin.event(&event).await["attempts"] != 0).then_some(())
        })
        .await;
        rename_all(&app, moves).await;
        app.faults(&[]);
        let event = app.admin.wait_for_state(&event, "connected").await;
        assert_eq!(event["reason"], "already_linked", "{moves:?}");
        assert_eq!(event["external_id"], thread(present));
        let links = app.mock.links();
        assert_eq!(links.len(), 1, "{moves:?}: {links:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_pair_is_unlinked_that_serval_has_under_an_id_that_its_channel_left() {
    for (moves, present) in PATHS {
        let app = TestApp::start().await;
        app.admin.map("slack", &thread(A), "tkt-1").await;
        let event = begin(&app).await;
        app.admin.wait_for_state(&event, "connected").await;
        rename_all(&app, moves).await;
        let mapping = format!("/mappings/slack/{}?disconnect=true", thread(present));
        assert_eq!(app.admin.delete(&mapping).await.status, 204);
        eventually("the pair is unlinked", async || {
            app.mock.links().is_empty().then_some(())
        })
        .await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_mapping_under_an_id_that_the_channel_left_is_one_of_the_thread() {
    for (moves, present) in PATHS {
        for imports in [false, true] {
            let app = TestApp::start().await;
            let event = begin(&app).await;
            rename_all(&app, moves).await;
            if imports {
                let row = format!("slack,{},tkt-1\n", thread(A));
                let answer = app.admin.import(&row).await.json();
                assert_eq!(answer["created"], 1, "{answer}");
            } else {
                app.admin.map("slack", &thread(A), "tkt-1").await;
            }
            app.admin.wait_for_state(&event, "connected").await;
            let connects = app.mock.connects();
            assert_eq!(connects.len(), 1, "{moves:?}");
            assert_eq!(connects[0].external_id, thread(present));
            for id in [A, present] {
                let mapping = app.admin.mapping("slack", &thread(id)).await;
                assert_eq!(mapping["external_id"], thread(present), "{id}");
                assert_eq!(mapping["ticket_id"], "tkt-1");
            }
            assert_eq!(app.admin.list("/mappings").await.len(), 1);
            let path = format!("/mappings/slack/{}", thread(A));
            assert_eq!(app.admin.delete(&path).await.status, 204);
            assert_eq!(app.admin.list("/mappings").await, Vec::<Value>::new());
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn two_rows_of_a_file_that_name_one_thread_by_two_ids_contradict_each_other() {
    for (first, second) in [(A, B), (B, A)] {
        let app = TestApp::start().await;
        rename(&app, (A, B), "EvMove").await;
        let (first, second) = (thread(first), thread(second));
        let rows = format!("slack,{first},tkt-1\nslack,{second},tkt-2\n");
        let answer = app.admin.import(&rows).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.json()["errors"][0]["line"], 3);
        assert_eq!(app.admin.list("/mappings").await, Vec::<Value>::new());
        let rows = format!("slack,{first},tkt-1\nslack,{second},tkt-1\n");
        assert_eq!(app.admin.import(&rows).await.json()["imported"], 1);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_thread_is_erased_by_an_id_that_its_channel_left() {
    let app = TestApp::start().await;
    begin(&app).await;
    rename(&app, (A, B), "EvMove").await;
    let named = json!({ "source": "slack", "external_id": thread(A) });
    let erased = app.admin.post("/erase", &named).await.json();
    assert_eq!(erased["external_id"], thread(B));
    assert_eq!(erased["removed"]["events"], 1, "{erased}");
    app.stop().await;
}

#[tokio::test]
async fn what_serval_is_asked_while_the_channel_moves_teaches_the_mapping_of_the_thread() {
    let bench = Bench::open().await;
    let ticket = |channel: &str| ExternalTicket {
        source: "slack".parse().unwrap(),
        external_id: slack::KIND.parse_external_id(&thread(channel)).unwrap(),
    };
    let template = webhook(1, at(0));
    let mut message = template.events[0].clone();
    message.external_id = Some(ticket(A).external_id);
    message.report = Report::Message;
    message.rank = Rank(0, -1);
    message.hint = Some("tkt-1".parse().unwrap());
    let mut notice = message.clone();
    notice.external_id = None;
    notice.hint = None;
    notice.disposition = Disposition::Ignore("channel_id_changed");
    notice.channel = Some(ChannelNews::Moved(ChannelMove {
        from: A.to_owned(),
        to: B.to_owned(),
    }));
    let of = |event| Webhook {
        source: ticket(A).source,
        events: vec![event],
        ..template.clone()
    };
    bench.store.record(of(message)).await.unwrap();
    let claim = bench.claim(1, at(1)).await.remove(0);
    assert_eq!(claim.ticket, ticket(A));
    bench.store.record(of(notice)).await.unwrap();
    let lesson = Lesson::Names {
        ticket_id: "tkt-1".parse().unwrap(),
        on_conflict: None,
        unlinks_old: false,
        several_per_ticket: false,
        reconnects: false,
    };
    bench.store.learn(&claim, lesson, at(2)).await.unwrap();
    assert!(bench.store.mapping(&ticket(A)).await.unwrap().is_none());
    let mapping = bench.store.mapping(&ticket(B)).await.unwrap().unwrap();
    assert_eq!(mapping.ticket_id, "tkt-1");
    bench.close().await;
}

#[tokio::test]
async fn a_channel_moves_there_and_back_and_there_again_but_a_repeated_notice_moves_nothing() {
    let app = TestApp::start().await;
    let event = begin(&app).await;
    let named = async || app.admin.event(&event).await["external_id"].take();
    rename_all(&app, &[(A, B), (B, A)]).await;
    assert_eq!(named().await, thread(A));
    // Slack repeats a notice under its id.
    rename(&app, (A, B), "EvMove0").await;
    assert_eq!(named().await, thread(A));
    rename(&app, (A, B), "EvAgain").await;
    assert_eq!(named().await, thread(B));
    for channel in [A, B] {
        let changes = json!({ "channel": channel, "thread_ts": ROOT });
        send(
            &app,
            slack_message(&format!("Ev{channel}"), "1779146702.000001", &changes),
        )
        .await;
        let reply = app.admin.events("source=slack").await.remove(0);
        assert_eq!(reply["external_id"], thread(B), "{channel}");
    }
    app.admin.map("slack", &thread(B), "tkt-1").await;
    app.admin.wait_for_state(&event, "connected").await;
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}
