//! Finding what is stored by what people call it.

use std::time::Duration;

use serval_connect::domain::ids::EventId;
use serval_connect::sources::slack;
use serval_connect::sources::{BUILT_IN, find};
use serval_connect::store::{Found, Origin, Precondition, PutMapping, Removal};

use crate::store::{Bench, at, ticket, webhook};
use crate::support::bodies::sys_id;

/// Stores an incident with a number; answers its event.
async fn numbered(bench: &Bench, n: u32, number: &str) -> EventId {
    let mut webhook = webhook(n, at(0));
    webhook.events[0].number = Some(number.to_owned());
    bench.store.record(webhook).await.unwrap().remove(0).id
}

/// What is found, in words.
async fn found(bench: &Bench, text: &str) -> Vec<String> {
    let found = bench.store.find(&find::read(BUILT_IN, text)).await.unwrap();
    let words = |found: Found| match found {
        Found::Event {
            id, external_id, ..
        } => format!("{id} about {}", external_id.unwrap_or_default()),
        Found::Ticket(ticket) => format!(
            "{}/{} {} {}",
            ticket.source,
            ticket.external_id,
            ticket.number.unwrap_or_default(),
            ticket.mapped_to.unwrap_or_default(),
        ),
    };
    found.into_iter().map(words).collect()
}

#[tokio::test]
async fn everything_that_names_a_ticket_finds_it() {
    let bench = Bench::open().await;
    let id = numbered(&bench, 1, "INC0081927").await;
    let hidden = numbered(&bench, 2, "RITM0010042").await;
    bench.map(2, "ACM-10").await;
    bench
        .store
        .remember_friendly_ids(
            vec![("ACM-77".parse().unwrap(), "0197c2e4-55aa".parse().unwrap())],
            at(0),
        )
        .await
        .unwrap();
    let mut slack = webhook(3, at(0));
    let thread = "C9DDYQ1B4:1779146751.061339";
    slack.source = "slack".parse().unwrap();
    slack.events[0].external_id = Some(slack::KIND.parse_external_id(thread).unwrap());
    bench.store.record(slack).await.unwrap();
    bench.map(4, "0197c2e4-55aa").await;

    let incident = format!("servicenow/{} INC0081927 ", sys_id(1));
    let item = format!("servicenow/{} RITM0010042 ACM-10", sys_id(2));
    let imported = format!("servicenow/{}  0197c2e4-55aa", sys_id(4));
    let record_link = format!(
        "https://acme.service-now.com/nav_to.do?uri=incident.do%3Fsys_id%3D{}",
        sys_id(1)
    );
    let event = |id: EventId, n| format!("{id} about {}", sys_id(n));
    for (text, expected) in [
        ("INC0081927", vec![incident.clone()]),
        ("inc0081927", vec![incident.clone()]),
        (&sys_id(1), vec![incident.clone()]),
        (&sys_id(1).to_uppercase(), vec![incident.clone()]),
        (&record_link, vec![incident]),
        ("RITM0010042", vec![item.clone()]),
        ("ACM-10", vec![item.clone()]),
        ("https://app.serval.com/ACM/tickets/ACM-10", vec![item]),
        // Mapped before any event came, and by what Serval calls it.
        ("acm-77", vec![imported.clone()]),
        ("0197c2e4-55aa", vec![imported.clone()]),
        (&sys_id(4), vec![imported]),
        (thread, vec![format!("slack/{thread}  ")]),
        (
            "https://acme.slack.com/archives/C9DDYQ1B4/p1779146999000100?thread_ts=1779146751.061339",
            vec![format!("slack/{thread}  ")],
        ),
        ("evt_1", vec![event(id, 1)]),
        ("evt_1 evt_2", vec![event(id, 1), event(hidden, 2)]),
        ("evt_99", vec![]),
        ("INC9999999", vec![]),
        (&sys_id(99), vec![]),
        ("", vec![]),
    ] {
        assert_eq!(found(&bench, text).await, expected, "{text}");
    }
    bench.close().await;
}

#[tokio::test]
async fn one_id_in_two_sources_and_one_number_of_two_tickets_are_all_found() {
    let bench = Bench::open().await;
    numbered(&bench, 1, "INC1234").await;
    numbered(&bench, 2, "INC1234").await;
    let put = PutMapping {
        disconnects_others: false,
        ticket: serval_connect::domain::ids::ExternalTicket {
            source: "servicenow-eu".parse().unwrap(),
            external_id: ticket(1).external_id,
        },
        ticket_id: "tkt-1".parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Import,
        taught_by: None,
        unlinks_old: false,
        several_per_ticket: false,
        reconnects: false,
    };
    bench
        .store
        .put_mapping(put, Precondition::None, at(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found(&bench, "INC1234").await.len(), 2);
    assert_eq!(
        found(&bench, &sys_id(1)).await,
        [
            format!("servicenow/{} INC1234 ", sys_id(1)),
            format!("servicenow-eu/{}  tkt-1", sys_id(1)),
        ]
    );
    bench.close().await;
}

#[tokio::test]
async fn a_number_is_kept_as_long_as_anything_else_of_its_ticket() {
    let bench = Bench::open().await;
    numbered(&bench, 1, "INC0001").await;
    numbered(&bench, 2, "INC0002").await;
    bench.map(2, "tkt-2").await;
    // A record that was renumbered is found by what it is called now.
    let renumbered = numbered(&bench, 1, "INC0003").await;
    assert_eq!(found(&bench, "INC0001").await, [""; 0]);
    assert_eq!(found(&bench, "INC0003").await.len(), 1);
    let parked = bench.store.parked(None, None, 9).await.unwrap();
    assert_eq!(parked[0].event, renumbered);
    assert_eq!(parked[0].number.as_deref(), Some("INC0003"));

    let late = at(0) + Duration::from_hours(24);
    bench.store.expire_parked(late).await.unwrap();
    let claim = bench.claim(1, late).await.remove(0);
    let end = crate::store::connected(&claim);
    bench.store.settle(&claim, None, end, late).await.unwrap();
    let purged = bench
        .store
        .purge_events(late + Duration::from_hours(1), EventId(0))
        .await
        .unwrap();
    assert_eq!(purged.deleted, 3);
    assert_eq!(found(&bench, "INC0003").await, [""; 0]);
    assert_eq!(found(&bench, "INC0002").await.len(), 1, "it is mapped");
    bench
        .store
        .delete_mapping(&ticket(2), Precondition::None, Removal::KeepLink, late)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found(&bench, "INC0002").await.len(), 1, "Serval has it");
    bench.close().await;
}

#[tokio::test]
async fn an_erased_ticket_is_not_found_by_its_number() {
    let bench = Bench::open().await;
    numbered(&bench, 1, "INC0001").await;
    bench.map(1, "tkt-1").await;
    bench.store.erase(&ticket(1), at(1)).await.unwrap();
    assert_eq!(found(&bench, "INC0001").await, [""; 0]);
    let folder = bench.close().await;
    let url = crate::store::url(&folder);
    let bytes = crate::support::database_bytes(&url);
    let is_there = bytes.windows(7).any(|window| window == b"INC0001");
    assert!(!is_there, "not in the files either");
}
