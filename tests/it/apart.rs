//! Pairs that are to be taken apart while calls about them are under way: Serval ends up with the
//! pairs that the mappings say, whatever overtakes what.

use std::time::Duration;

use serde_json::Value;
use serval_connect::rehearsal::mock_serval::SERVICENOW_INTEGRATION;

use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, eventually};

const DISCONNECT: &str = "[sources.servicenow]\ndisconnect_on_remap = true";
/// Longer than a slow call of these tests, and the pause between looks at pairs to take apart.
const A_WHILE: Duration = Duration::from_millis(2500);

async fn map(app: &TestApp, n: u32, ticket_id: &str) {
    app.admin.map("servicenow", &sys_id(n), ticket_id).await;
}

/// The pairs that Serval has, by the number of the external ticket.
fn pairs(app: &TestApp) -> Vec<(u32, String)> {
    let links = app.mock.links().into_iter();
    let number = |id: &str| (1..10).find(|n| sys_id(*n) == id).unwrap();
    let pairs = links.map(|link| (number(&link.external_ticket_id), link.ticket_id));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    pairs
}

/// Waits until Serval has these pairs, and a while longer to see that it stays so.
async fn until_paired(app: &TestApp, expected: &[(u32, &str)]) {
    let is_so = || {
        let pairs = pairs(app);
        let mut both = pairs.iter().zip(expected);
        pairs.len() == expected.len() && both.all(|(a, b)| (a.0, a.1.as_str()) == *b)
    };
    let look = async || is_so().then_some(());
    eventually(&format!("{expected:?} are paired"), look).await;
    app.admin.drained().await;
    tokio::time::sleep(A_WHILE).await;
    assert!(is_so(), "{:?}", pairs(app));
}

fn path_of_disconnect(ticket_id: &str) -> String {
    format!("/v2/tickets/{ticket_id}/disconnect/{SERVICENOW_INTEGRATION}")
}

async fn until_called(app: &TestApp, method: &str, path: &str) {
    let look = async || (app.requests(method, path) > 0).then_some(());
    eventually(&format!("{method} {path}"), look).await;
}

/// Saves an incident, and waits until its connect call to `tkt-1` is under way.
async fn begin_connect(app: &TestApp, fault: &str) {
    map(app, 1, "tkt-1").await;
    app.faults(&[fault]);
    app.save(incident(1)).await;
    until_called(app, "POST", "/v2/tickets/tkt-1/connect").await;
}

#[tokio::test]
async fn a_pair_that_is_being_made_when_its_mapping_changes_is_taken_apart() {
    let app = TestApp::builder().config(DISCONNECT).start().await;
    begin_connect(&app, "latency=700ms,count=1,path=connect").await;
    map(&app, 1, "tkt-2").await;
    until_paired(&app, &[(1, "tkt-2")]).await;
    assert_eq!(app.connected_to(), ["tkt-1", "tkt-2"]);
    // Back again: the pair that was taken apart is not taken for one that is there.
    map(&app, 1, "tkt-1").await;
    until_paired(&app, &[(1, "tkt-1")]).await;
    app.stop().await;
}

#[tokio::test]
async fn a_pair_that_is_being_made_when_its_mapping_is_removed_is_taken_apart_where_asked() {
    for (asked, expected) in [("", &[(1, "tkt-1")][..]), ("?disconnect=true", &[])] {
        let app = TestApp::start().await;
        begin_connect(&app, "latency=700ms,count=1,path=connect").await;
        let path = format!("/mappings/servicenow/{}{asked}", sys_id(1));
        assert_eq!(app.admin.delete(&path).await.status, 204);
        app.admin.drained().await;
        until_paired(&app, expected).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_pair_of_a_call_that_ended_unclearly_is_taken_apart_too() {
    let app = TestApp::builder().config(DISCONNECT).start().await;
    begin_connect(&app, "drop,count=1,path=connect").await;
    map(&app, 1, "tkt-2").await;
    until_paired(&app, &[(1, "tkt-2")]).await;
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_apart_where_the_call_under_way_made_nothing() {
    let app = TestApp::start().await;
    // Somebody else's ticket of the same system: a disconnect would take it along.
    let kind = "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW";
    app.mock.add_link("tkt-1", &sys_id(9), kind);
    begin_connect(&app, "status=503,latency=700ms,path=connect").await;
    let path = format!("/mappings/servicenow/{}?disconnect=true", sys_id(1));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    until_paired(&app, &[(9, "tkt-1")]).await;
    assert_eq!(app.requests("DELETE", &path_of_disconnect("tkt-1")), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_connect_does_not_overtake_the_disconnect_of_the_same_pair() {
    let app = TestApp::builder().config(DISCONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    app.save(incident(1)).await;
    app.admin.drained().await;
    app.faults(&["latency=1200ms,count=1,path=connect,ticket=tkt-1"]);
    map(&app, 1, "tkt-2").await;
    until_called(&app, "DELETE", &path_of_disconnect("tkt-1")).await;
    map(&app, 1, "tkt-1").await;
    until_paired(&app, &[(1, "tkt-1")]).await;
    let mapping = app.admin.mapping("servicenow", &sys_id(1)).await;
    assert!(!mapping["connected_at"].is_null());
    app.stop().await;
}

#[tokio::test]
async fn two_external_tickets_that_swap_their_serval_tickets_keep_their_new_pairs() {
    let app = TestApp::builder().config(DISCONNECT).start().await;
    for n in [1, 2] {
        map(&app, n, &format!("tkt-{n}")).await;
        app.save(incident(n)).await;
    }
    app.admin.drained().await;
    let row = |n, ticket_id: &str| format!("servicenow,{},{ticket_id}\n", sys_id(n));
    let swap = row(1, "tkt-2") + &row(2, "tkt-1");
    assert_eq!(app.admin.import(&swap).await.status, 200);
    until_paired(&app, &[(1, "tkt-2"), (2, "tkt-1")]).await;
    app.stop().await;
}

#[tokio::test]
async fn an_import_leaves_a_pair_whose_serval_ticket_has_another_external_ticket() {
    let app = TestApp::builder()
        .config(DISCONNECT)
        .config("several_per_ticket = true")
        .start()
        .await;
    for n in [1, 2, 3] {
        map(&app, n, if n == 3 { "tkt-3" } else { "tkt-1" }).await;
        app.save(incident(n)).await;
    }
    app.admin.drained().await;
    let row = |n, ticket_id: &str| format!("servicenow,{},{ticket_id}\n", sys_id(n));
    let moved = row(1, "tkt-2") + &row(3, "tkt-4");
    assert_eq!(app.admin.import(&moved).await.status, 200);
    until_paired(
        &app,
        &[(1, "tkt-1"), (1, "tkt-2"), (2, "tkt-1"), (3, "tkt-4")],
    )
    .await;
    assert_eq!(app.requests("DELETE", &path_of_disconnect("tkt-1")), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_probe_does_not_wait_for_an_unlink_of_its_serval_ticket() {
    let app = TestApp::builder()
        .config("[delivery]\nbreaker_threshold = 1")
        .config("[serval]\ntimeout = \"30s\"")
        .config("[server]\nshutdown_timeout = \"1s\"")
        .config("[sources.servicenow]\nseveral_per_ticket = true")
        .allow_pending()
        .start()
        .await;
    map(&app, 1, "tkt-1").await;
    app.save(incident(1)).await;
    app.admin.drained().await;
    app.admin.post("/connects/pause", &Value::Null).await;
    map(&app, 2, "tkt-1").await;
    let waiting = app.save(incident(2)).await;
    // Only a probe claims it before that time.
    app.alter("UPDATE events SET due_at = due_at + 600000 WHERE state = 'queued'")
        .await;
    app.faults(&[
        "hang,path=external-tickets,ticket=tkt-1",
        "status=503,ticket=tkt-3",
    ]);
    let path = format!("/mappings/servicenow/{}?disconnect=true", sys_id(1));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    app.admin.post("/connects/resume", &Value::Null).await;
    let looks = "/v2/tickets/tkt-1/external-tickets";
    until_called(&app, "GET", looks).await;
    map(&app, 3, "tkt-3").await;
    let other = app.save(incident(3)).await;
    eventually("a probe gives its event back", async || {
        let event = app.admin.event(&waiting).await;
        let error = event["last_error"].as_str()?;
        error.contains("is being unlinked").then_some(())
    })
    .await;
    app.faults(&[]);
    app.admin.wait_for_state(&other, "connected").await;
    assert_eq!(app.requests("GET", looks), 1, "the unlink still hangs");
    assert_eq!(app.admin.event(&waiting).await["state"], "queued");
    app.stop().await;
}
