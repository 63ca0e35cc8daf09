//! Records that name their Serval ticket by its friendly identifier: found in lists however long, in
//! bounded time, and remembered.

use std::collections::BTreeSet;

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::support::TestApp;
use crate::support::bodies::{naming, sys_id};

const POINTERS: &str = "[sources.servicenow]\nticket_id_pointers = [\"/correlation_id\"]";

/// Tickets in the order in which Serval lists them.
fn tickets(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("ticket-of-list-{n:05}-x")).collect()
}

fn only(tickets: &[String]) -> MockConfig {
    let known: BTreeSet<String> = tickets.iter().cloned().collect();
    MockConfig {
        known_tickets: Some(known),
        ..MockConfig::default()
    }
}

async fn mapping(app: &TestApp, n: u32) -> Value {
    app.admin.mapping("servicenow", &sys_id(n)).await
}

#[tokio::test]
async fn a_ticket_is_found_on_the_last_of_many_pages_and_those_before_it_are_remembered() {
    let tickets = tickets(3_000);
    let app = TestApp::builder()
        .config(POINTERS)
        .serval(only(&tickets))
        .start()
        .await;
    let last = tickets.last().unwrap();
    let id = app
        .save(naming(1, 1, &MockServal::friendly_identifier(last)))
        .await;
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(mapping(&app, 1).await["ticket_id"], last.as_str());
    let pages = app.requests("GET", "/v2/tickets");
    assert!(pages > 2, "page by page: {pages}");
    let friendly = MockServal::friendly_identifier(&tickets[1_234]);
    let id = app.save(naming(2, 1, &friendly)).await;
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(mapping(&app, 2).await["ticket_id"], tickets[1_234].as_str());
    assert_eq!(app.requests("GET", "/v2/tickets"), pages, "no second list");
    app.stop().await;
}

#[tokio::test]
async fn a_list_that_takes_too_long_ends_in_a_parked_event_that_says_why() {
    let tickets = tickets(3_000);
    let app = TestApp::builder()
        .config(POINTERS)
        .config("[serval]\ntimeout = \"1s\"")
        .serval(only(&tickets))
        .start()
        .await;
    app.faults(&["latency=600ms,path=tickets"]);
    let last = tickets.last().unwrap();
    let friendly = MockServal::friendly_identifier(last);
    let id = app.save(naming(1, 1, &friendly)).await;
    let event = app.admin.wait_for_state(&id, "parked").await;
    let said = event["last_error"].as_str().unwrap();
    assert!(
        said.contains(&friendly) && said.contains("not among the first") && said.contains("map"),
        "{said}"
    );
    assert_eq!(event["attempts"].as_array().unwrap().len(), 0, "no failure");
    // A person maps it, as was said.
    app.admin.map("servicenow", &sys_id(1), last).await;
    app.admin.wait_for_state(&id, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn an_id_that_looks_like_a_friendly_identifier_is_taken_for_the_id_that_it_is() {
    let app = TestApp::builder()
        .config(POINTERS)
        .serval(only(&["OLD-10".to_owned(), "tkt-1".to_owned()]))
        .start()
        .await;
    for (n, named) in [(1, "tkt-1"), (2, "OLD-10")] {
        let id = app.save(naming(n, 1, named)).await;
        app.admin.wait_for_state(&id, "connected").await;
        assert_eq!(mapping(&app, n).await["ticket_id"], named);
    }
    assert_eq!(app.requests("GET", "/v2/tickets"), 0, "nothing is searched");
    app.stop().await;
}
