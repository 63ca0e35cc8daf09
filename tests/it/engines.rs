//! What the two engines would do differently by themselves, and the store does alike.

use serval_connect::domain::ids::ServalTicketId;
use serval_connect::store::{
    AttemptOutcome, ImportRow, MappingFilter, Origin, Precondition, PutMapping, Settlement,
};

use crate::store::{Bench, at, attempt, ticket};
use crate::store_imports::row;

fn id(text: &str) -> ServalTicketId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_ticket_that_a_batch_names_twice_has_what_its_last_row_says() {
    // The Serval ticket and the message of each row. The message that is kept, and the rows that contradict the first.
    type Rows = &'static [(&'static str, &'static str)];
    let table: [(Rows, &str, &[u64]); 5] = [
        (&[("a", "m0")], "m0", &[]),
        (&[("a", "m0"), ("a", "m1")], "m1", &[]),
        (&[("a", "m0"), ("a", "m1"), ("a", "m0")], "m0", &[]),
        (&[("a", "m0"), ("b", "m1")], "m0", &[1]),
        (
            &[("a", "m0"), ("b", "m1"), ("a", "m2"), ("c", "m3")],
            "m2",
            &[1, 3],
        ),
    ];
    for (rows, kept, contradicting) in table {
        let bench = Bench::open().await;
        let rows: Vec<ImportRow> = (0..)
            .zip(rows)
            .map(|(line, (ticket_id, message))| ImportRow {
                line,
                accounted_for: vec![(*message).to_owned()],
                ..row(1, ticket_id)
            })
            .collect();
        let import = bench.store.begin_import().await.unwrap();
        let mut clashes: Vec<_> = (import.stage(&rows).await.unwrap().iter())
            .map(|clash| (clash.line, clash.first_line))
            .collect();
        clashes.sort_unstable();
        let expected: Vec<_> = contradicting.iter().map(|line| (*line, 0)).collect();
        assert_eq!(clashes, expected, "{rows:?}");
        import.apply(&[], at(1)).await.unwrap().unwrap();
        let mapping = bench.store.mapping(&ticket(1)).await.unwrap().unwrap();
        assert_eq!(mapping.ticket_id, "a", "{rows:?}");
        assert_eq!(mapping.accounted_for, [kept], "{rows:?}");
        bench.close().await;
    }
}

#[tokio::test]
async fn of_one_friendly_identifier_the_last_answer_counts_in_any_case() {
    let bench = Bench::open().await;
    let known = [("acm-1", "T-1"), ("ACM-1", "T-2"), ("ACM-2", "T-9")];
    let known = known.map(|(friendly, ticket_id)| (id(friendly), id(ticket_id)));
    let remembered = bench.store.remember_friendly_ids(known.to_vec(), at(0));
    remembered.await.unwrap();
    for (friendly, expected) in [
        ("Acm-1", Some("T-2")),
        ("acm-2", Some("T-9")),
        ("ACM-3", None),
    ] {
        let found = bench.store.friendly_id(friendly).await.unwrap();
        assert_eq!(found, expected.map(id), "{friendly}");
    }
    bench.close().await;
}

#[tokio::test]
async fn mappings_are_listed_in_the_order_of_their_bytes_on_pages_that_show_each_once() {
    let bench = Bench::open().await;
    let sources = ["a", "a-b", "a1", "a_b", "ab", "b", "b-2", "b10", "b_2"];
    // Not in their order.
    for source in sources.iter().rev() {
        let mut ticket = ticket(1);
        ticket.source = source.parse().unwrap();
        let put = PutMapping {
            disconnects_others: false,
            ticket,
            ticket_id: id("T-1"),
            accounted_for: Vec::new(),
            origin: Origin::Api,
            taught_by: None,
            unlinks_old: false,
            several_per_ticket: true,
            reconnects: false,
        };
        let put = bench.store.put_mapping(put, Precondition::None, at(0));
        put.await.unwrap().unwrap();
    }
    let mut listed = Vec::new();
    let mut filter = MappingFilter {
        limit: 2,
        ..MappingFilter::default()
    };
    loop {
        let page = bench.store.mappings(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.source.clone(), last.external_id.clone()));
        listed.extend(page.into_iter().map(|mapping| mapping.source));
    }
    assert_eq!(listed, sources);
    bench.close().await;
}

#[tokio::test]
async fn a_text_with_a_character_that_postgres_does_not_take_is_stored_all_the_same() {
    const SAID: &str = "before\0after";
    // A file keeps it.
    let shown = |text: Option<&String>| text.map(|text| text.replace('\0', "\u{fffd}"));
    let expected = || Some("before\u{fffd}after".to_owned());
    let bench = Bench::open().await;
    let event = bench.queued(1).await;
    let claim = bench.claim(1, at(1)).await.remove(0);
    let mut tried = attempt(AttemptOutcome::Retry);
    tried.answer = Some(SAID.to_owned());
    let release = Settlement::Release {
        in_doubt: false,
        error: Some(SAID.to_owned()),
    };
    let settled = bench.store.settle(&claim, Some(tried), release, at(2));
    settled.await.unwrap();
    let detail = bench.store.event(event).await.unwrap().unwrap();
    assert_eq!(shown(detail.row.last_error.as_ref()), expected());
    assert_eq!(shown(detail.attempts[0].answer.as_ref()), expected());
    // It is no fault of the transaction: the next one is written, too.
    let claim = bench.claim(1, at(3)).await.remove(0);
    assert_eq!(claim.event, event);
    bench.close().await;
}
