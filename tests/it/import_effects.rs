//! An import does to events and to Serval what as many single mappings would.

use crate::support::bodies::{incident, naming, record, sys_id};
use crate::support::{TestApp, eventually};

fn row(n: u32, ticket_id: &str) -> String {
    format!("servicenow,{},{ticket_id}\n", sys_id(n))
}

async fn import(app: &TestApp, rows: &[String], created: u64, replaced: u64) {
    let answer = app.admin.import(&rows.concat()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let counts = answer.json();
    assert_eq!(counts["created"], created, "{counts}");
    assert_eq!(counts["replaced"], replaced, "{counts}");
}

/// The pairs that Serval has.
fn pairs(app: &TestApp) -> Vec<(String, String)> {
    let links = app.mock.links().into_iter();
    let mut pairs: Vec<_> = links
        .map(|link| (link.external_ticket_id, link.ticket_id))
        .collect();
    pairs.sort();
    pairs
}

fn pair(n: u32, ticket_id: &str) -> (String, String) {
    (sys_id(n), ticket_id.to_owned())
}

#[tokio::test]
async fn what_was_parked_is_connected_and_counted() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        let answer = app.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.event()["state"], "parked");
        ids.push(answer.id());
    }
    import(&app, &[row(1, "t-1"), row(2, "t-2"), row(9, "t-9")], 3, 0).await;
    for id in &ids[..2] {
        app.admin.wait_for_state(id, "connected").await;
    }
    assert_eq!(pairs(&app), [pair(1, "t-1"), pair(2, "t-2")]);
    let totals = app.admin.stats().await["totals"].clone();
    assert_eq!(totals["connected"], 2, "{totals}");
    assert_eq!(totals["parked"], 1, "{totals}");
    app.stop().await;
}

#[tokio::test]
async fn another_ticket_is_connected_and_the_old_pair_taken_apart_where_the_source_says_so() {
    for disconnects in [false, true] {
        let app = TestApp::builder()
            .config(&format!(
                "[sources.servicenow]\ndisconnect_on_remap = {disconnects}"
            ))
            .start()
            .await;
        import(&app, &[row(1, "t-1"), row(2, "t-2")], 2, 0).await;
        for n in 1..=2 {
            let id = app.webhooks.servicenow(incident(n)).send().await.id();
            app.admin.wait_for_state(&id, "connected").await;
        }
        // Only the first changes.
        import(&app, &[row(1, "t-3"), row(2, "t-2")], 0, 2).await;
        let mut expected = vec![pair(1, "t-3"), pair(2, "t-2")];
        if !disconnects {
            expected.insert(0, pair(1, "t-1"));
        }
        eventually("Serval has the new pairs", async || {
            (pairs(&app) == expected).then_some(())
        })
        .await;
        assert_eq!(app.mock.connects().len(), 3);
        app.stop().await;
    }
}

#[tokio::test]
async fn what_is_parked_for_a_pair_that_serval_has_is_skipped() {
    let app = TestApp::start().await;
    import(&app, &[row(1, "t-1")], 1, 0).await;
    let first = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&first, "connected").await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    let later = record("incident", 1, 2);
    let later = app.webhooks.servicenow(later).send().await.id();
    assert_eq!(app.admin.event(&later).await["state"], "parked");
    import(&app, &[row(1, "t-1")], 1, 0).await;
    let event = app.admin.wait_for_state(&later, "skipped").await;
    assert_eq!(event["reason"], "already_connected");
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_serval_ticket_gets_a_second_external_ticket_only_where_the_source_allows_it() {
    let app = TestApp::start().await;
    import(&app, &[row(1, "t-1"), row(2, "t-2")], 2, 0).await;
    let refused = async |rows: &[String], line: u64, words: &str| {
        let answer = app.admin.import(&rows.concat()).await;
        let problem = answer.problem(422);
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
        let error = &problem["errors"][0];
        assert_eq!(error["line"], line, "{problem}");
        assert!(error["detail"].as_str().unwrap().contains(words), "{error}");
    };
    let (other, first) = (sys_id(1), "lines 2 and 4 map two external tickets");
    refused(&[row(7, "t-7"), row(3, "t-1")], 3, &other).await;
    refused(&[row(7, "t-7"), row(8, "t-8"), row(9, "t-7")], 4, first).await;
    // In whichever order the old and the new stand.
    refused(&[row(3, "t-1"), row(1, "t-1")], 2, &other).await;

    // Who gives a ticket up in the same file makes room, and so do two who swap.
    import(&app, &[row(3, "t-1"), row(1, "t-4")], 1, 1).await;
    import(&app, &[row(1, "t-2"), row(2, "t-4")], 0, 2).await;
    app.stop().await;

    let config = "[sources.servicenow]\nseveral_per_ticket = true";
    let app = TestApp::builder().config(config).start().await;
    import(&app, &[row(1, "t-1"), row(2, "t-1")], 2, 0).await;
    import(&app, &[row(3, "t-1")], 1, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_conflict_is_closed_by_the_import_that_answers_it_and_by_no_other() {
    let config = "[sources.servicenow]\nticket_id_pointers = [\"/correlation_id\"]";
    let app = TestApp::builder().config(config).start().await;
    import(&app, &[row(1, "t-1"), row(2, "t-2")], 2, 0).await;
    for n in 1..=2 {
        let id = app.save(naming(n, 1, &format!("named-{n}x"))).await;
        app.admin.wait_for_state(&id, "connected").await;
    }
    let conflicts = async |query: &str| {
        let list = app.admin.get(&format!("/conflicts{query}")).await.json();
        list["data"].as_array().unwrap().clone()
    };
    assert_eq!(conflicts("").await.len(), 2);

    // What the first payload named, and for the second something else.
    import(&app, &[row(1, "named-1x"), row(2, "t-3")], 0, 2).await;
    let open = conflicts("").await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0]["external_id"], sys_id(2));
    let all = conflicts("?decided=true").await;
    let closed = all.iter().find(|c| c["external_id"] == sys_id(1)).unwrap();
    assert_eq!(closed["decision"], "replace");
    assert!(!closed["decided_at"].is_null());
    app.admin.drained().await;
    assert_eq!(pairs(&app)[..2], [pair(1, "named-1x"), pair(1, "t-1")]);

    // The same as it is mapped already: nothing is answered.
    import(&app, &[row(2, "t-3")], 0, 1).await;
    assert_eq!(conflicts("").await.len(), 1);
    import(&app, &[row(2, "named-2x")], 0, 1).await;
    assert!(conflicts("").await.is_empty());
    app.stop().await;
}
