//! The page of an external ticket, and the dead letters in groups.

use serval_connect::domain::event::EventState;
use serval_connect::domain::ids::EventId;
use serval_connect::store::{
    Action, By, EventFilter, Lesson, Replay, Settlement, TicketPage, What,
};

use crate::store::{Bench, at, connected, ticket, webhook};

async fn page(bench: &Bench, n: u32, before: Option<EventId>, limit: u32) -> TicketPage {
    let ticket = ticket(n);
    let page = bench.store.ticket_page(&ticket, before, limit);
    page.await.unwrap()
}

/// The time line in words, the oldest first.
fn story(page: &TicketPage) -> Vec<String> {
    let words = |what: &What| match what {
        What::Received { event, .. } => format!("{event} received"),
        What::Moved {
            event,
            state,
            reason,
        } => {
            let why = reason.as_ref().map(|reason| format!(" ({reason})"));
            format!("{event} {}{}", state.as_str(), why.unwrap_or_default())
        }
        What::Call { event, attempt } => format!("{event} call: {}", attempt.outcome.as_str()),
        What::Mapped {
            ticket_id, origin, ..
        } => format!("mapped to {ticket_id} by {origin}"),
        What::Connected { ticket_id } => format!("connected to {ticket_id}"),
        What::Contradicted {
            mapped_to, learned, ..
        } => format!("{} or {learned}", mapped_to.as_deref().unwrap_or("none")),
        What::Decided { decision, .. } => format!("decided: {}", decision.as_str()),
        What::Acted(row) => format!("{} {}", row.actor, row.action),
    };
    let moments = page.timeline.iter().rev();
    moments.map(|moment| words(&moment.what)).collect()
}

#[tokio::test]
async fn the_page_tells_what_happened_in_its_order() {
    let bench = Bench::open().await;
    let nothing = page(&bench, 1, None, 9).await;
    assert!(!nothing.is_known() && nothing.timeline.is_empty());

    bench.store.record(webhook(1, at(0))).await.unwrap();
    let ada = bench.store.by(By {
        actor: "ada".to_owned(),
        reason: None,
    });
    ada.note(Action::Reveal, Some(ticket(1)), None, at(0))
        .await
        .unwrap();
    bench.map(1, "tkt-1").await;
    let error = "not now".to_owned();
    let retry = Settlement::Retry {
        at: at(9),
        asked: false,
        counts: true,
        in_doubt: false,
        error,
    };
    bench.settle(EventId(1), retry, at(2)).await;
    let claim = bench.claim(1, at(9)).await.remove(0);
    let lesson = Lesson::Names {
        ticket_id: "tkt-9".parse().unwrap(),
        on_conflict: None,
        unlinks_old: false,
        several_per_ticket: true,
        reconnects: false,
    };
    bench.store.learn(&claim, lesson, at(9)).await.unwrap();
    let claim = bench.claim(1, at(10)).await.remove(0);
    let end = connected(&claim);
    bench.store.settle(&claim, None, end, at(10)).await.unwrap();
    bench.store.record(webhook(1, at(20))).await.unwrap();

    let page = page(&bench, 1, None, 9).await;
    assert_eq!(
        story(&page),
        [
            "evt_1 received",
            "evt_1 parked (no_mapping)",
            "mapped to tkt-1 by api",
            "ada reveal",
            "evt_1 queued (mapped)",
            "evt_1 call: retry",
            "tkt-1 or tkt-9",
            "connected to tkt-1",
            "evt_1 connected",
            "evt_2 received",
            "evt_2 skipped (already_connected)",
        ]
    );
    assert!(page.is_known());
    assert_eq!(
        page.counts,
        [(EventState::Connected, 1), (EventState::Skipped, 1)]
    );
    assert_eq!(page.object, Some(EventId(2)));
    assert_eq!(page.connections[0].event, EventId(1));
    assert_eq!(page.conflicts.len(), 1);
    assert_eq!(page.mapping.unwrap().ticket_id, "tkt-1");
    assert_eq!(page.next, None);
    bench.close().await;
}

#[tokio::test]
async fn pages_that_follow_each_other_show_everything_once() {
    let bench = Bench::open().await;
    for second in 0..7 {
        bench
            .store
            .record(webhook(1, at(second * 10)))
            .await
            .unwrap();
        bench
            .store
            .record(webhook(2, at(second * 10)))
            .await
            .unwrap();
        let ada = bench.store.by(By {
            actor: "ada".to_owned(),
            reason: None,
        });
        let (about, when) = (Some(ticket(1)), at(second * 10 + 5));
        ada.note(Action::Reveal, about, None, when).await.unwrap();
    }
    let whole = page(&bench, 1, None, 100).await;
    assert_eq!(whole.next, None);
    let mut parts = Vec::new();
    let mut events = Vec::new();
    let mut before = None;
    loop {
        let part = page(&bench, 1, before, 3).await;
        assert!(part.events.len() <= 3);
        assert_eq!(part.counts, whole.counts, "counts are of all");
        events.extend(part.events.iter().map(|event| event.id));
        let mut story = story(&part);
        story.reverse();
        parts.extend(story);
        before = part.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(events.len(), 7);
    parts.reverse();
    let mut all = story(&whole);
    // Of an event that was parked until the next came, the end is on its own page.
    parts.sort();
    all.sort();
    assert_eq!(parts, all);
    bench.close().await;
}

#[tokio::test]
async fn dead_letters_are_grouped_by_what_they_died_of() {
    let bench = Bench::open().await;
    assert_eq!(bench.store.dead_groups().await.unwrap(), []);
    let mut newest = EventId(0);
    for n in 0..3 {
        newest = bench.dead(n, "not_found").await;
    }
    let refused = bench.dead(9, "permission_denied").await;
    let groups = bench.store.dead_groups().await.unwrap();
    let row = |n: usize| {
        let group = &groups[n];
        (group.reason.as_str(), group.n, group.example)
    };
    assert_eq!(row(0), ("not_found", 3, newest));
    assert_eq!(row(1), ("permission_denied", 1, refused));
    assert_eq!(
        groups[0].last_error.as_deref(),
        Some("Serval said not_found")
    );
    assert_eq!(groups[0].died_at, at(1));

    let list = async |before| {
        let filter = EventFilter {
            state: Some(EventState::Dead),
            source: Some("servicenow".parse().unwrap()),
            reason: Some("not_found".to_owned()),
            before,
            limit: 2,
            ..EventFilter::default()
        };
        let rows = bench.store.events(&filter).await.unwrap();
        rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, [3, 2]);
    assert_eq!(list(Some(EventId(2))).await, [1]);
    assert_eq!(bench.store.failures(2).await.unwrap().len(), 2);

    let replays = bench
        .store
        .replay_selected(
            vec![EventId(1), EventId(3), EventId(99), EventId(1)],
            "replayed".to_owned(),
            at(5),
        )
        .await
        .unwrap();
    assert_eq!(
        replays,
        [
            (EventId(1), Some(Replay::Queued)),
            (EventId(3), Some(Replay::Queued)),
            (EventId(99), None),
            (EventId(1), Some(Replay::NotReplayable(EventState::Queued))),
        ]
    );
    assert_eq!(bench.store.dead_groups().await.unwrap()[0].n, 1);
    bench.close().await;
}

#[tokio::test]
async fn the_parked_of_one_source_are_listed_without_those_of_another() {
    let bench = Bench::open().await;
    for n in 0..5 {
        bench.record(n).await;
    }
    let mut other = webhook(7, at(0));
    other.source = "servicenow-eu".parse().unwrap();
    bench.store.record(other).await.unwrap();
    let list = async |source: Option<&str>, after: Option<i64>| {
        let source = source.map(|source| source.parse().unwrap());
        let rows = bench.store.parked(source.as_ref(), after.map(EventId), 2);
        let rows = rows.await.unwrap();
        rows.into_iter().map(|row| row.event.0).collect::<Vec<_>>()
    };
    assert_eq!(list(None, Some(4)).await, [5, 6]);
    assert_eq!(list(Some("servicenow"), None).await, [1, 2]);
    assert_eq!(list(Some("servicenow"), Some(4)).await, [5]);
    assert_eq!(list(Some("servicenow-eu"), None).await, [6]);
    bench.close().await;
}
