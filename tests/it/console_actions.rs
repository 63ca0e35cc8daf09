//! What can be done in the console, and that it is written down with who and why.

use serde_json::json;
use serval_connect::rehearsal::mock_serval::SERVICENOW_INTEGRATION;

use crate::support::bodies::{incident, incident_with, naming, slack_message, sys_id};
use crate::support::browser::hidden;
use crate::support::{Browser, TestApp};

async fn operator(app: &TestApp) -> Browser {
    app.admin.browser().logged_in().await
}

fn ticket(n: u32) -> String {
    format!("/tickets/servicenow/{}", sys_id(n))
}

fn field(n: u32) -> String {
    format!("map:servicenow/{}", sys_id(n))
}

#[tokio::test]
async fn a_parked_ticket_is_mapped_and_connects() {
    let app = TestApp::start().await;
    let event = app.save(incident(1)).await;
    let mut browser = operator(&app).await;
    let fields = [("ticket_id", " tkt-one "), ("reason", "asked by Ann")];
    let answer = browser
        .submit(&ticket(1), &format!("{}/map", ticket(1)), &fields)
        .await;
    let (place, said) = browser.follow(&answer).await;
    assert_eq!(place, ticket(1));
    assert_eq!(said, "Mapped to tkt-one. Waiting events are sent.");
    app.admin.wait_for_state(&event, "connected").await;
    let mapping = app.admin.mapping("servicenow", &sys_id(1)).await;
    assert_eq!(mapping["origin"], "console");
    let audit = browser.page("/audit").await;
    for text in ["admin.tokens 1", "mapped", "tkt-one", "asked by Ann"] {
        assert!(audit.contains(text), "{text}: {audit}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_mapping_that_is_refused_says_why_beside_what_was_typed() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(2), "tkt-taken").await;
    app.save(incident(1)).await;
    let mut browser = operator(&app).await;
    let map = format!("{}/map", ticket(1));
    for (typed, words) in [
        ("tkt-taken", "The Serval ticket has"),
        ("---waiting---", "placeholder"),
        ("with space", "Serval ticket id"),
    ] {
        let answer = browser
            .submit(&ticket(1), &map, &[("ticket_id", typed)])
            .await;
        let text = answer.text();
        assert_eq!(answer.status, 422, "{typed}: {text}");
        assert!(
            text.contains(&format!("value=\"{typed}\"")),
            "{typed}: {text}"
        );
        assert!(text.contains("class=\"field-error\""), "{typed}: {text}");
        assert!(
            text.to_lowercase().contains(&words.to_lowercase()),
            "{typed}: {text}"
        );
    }
    assert!(app.admin.mapping("servicenow", &sys_id(1)).await.is_null());
    app.stop().await;
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let app = TestApp::start().await;
    app.save(incident(1)).await;
    let mut browser = operator(&app).await;
    let page = browser.page(&ticket(1)).await;
    app.admin.map("servicenow", &sys_id(1), "tkt-other").await;
    let fields = [
        ("csrf", hidden(&page, "csrf")),
        ("ticket_id", "tkt-mine".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let answer = browser.post(&format!("{}/map", ticket(1)), &fields).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("Somebody else changed the mapping"));
    let mapping = app.admin.mapping("servicenow", &sys_id(1)).await;
    assert_eq!(mapping["ticket_id"], "tkt-other");

    let page = browser.page(&ticket(1)).await;
    let version = hidden(&page, "version");
    let fields = [("version", version.as_str()), ("ticket_id", "tkt-mine")];
    let answer = browser
        .submit(&ticket(1), &format!("{}/map", ticket(1)), &fields)
        .await;
    assert_eq!(answer.status, 303);
    let mapping = app.admin.mapping("servicenow", &sys_id(1)).await;
    assert_eq!(mapping["ticket_id"], "tkt-mine");
    app.stop().await;
}

#[tokio::test]
async fn many_are_mapped_at_once_and_what_is_refused_stays() {
    let app = TestApp::start().await;
    for n in 1..=4 {
        app.save(incident(n)).await;
    }
    let thread = slack_message("Ev1", "1.000001", &serde_json::Value::Null);
    app.webhooks.slack(thread).send().await;
    let mut browser = operator(&app).await;
    let (one, two, three) = (field(1), field(2), field(3));
    let fields = [
        (one.as_str(), "tkt-1"),
        (&two, "tkt-1"),
        (&three, ""),
        ("map:slack/C9DDYQ1B4:1.000001", "tkt-5"),
    ];
    let answer = browser.submit("/parked", "/parked", &fields).await;
    let text = answer.text();
    assert_eq!(answer.status, 422, "{text}");
    assert!(text.contains("2 tickets were mapped"), "{text}");
    assert!(text.contains("1 line was not mapped"), "{text}");
    assert!(text.contains("The Serval ticket has"), "{text}");
    assert!(
        text.contains("value=\"tkt-1\""),
        "what was typed is kept: {text}"
    );
    assert!(!text.contains(&one), "what is mapped is gone: {text}");

    let answer = browser
        .submit(
            "/parked",
            "/parked",
            &[(two.as_str(), "tkt-2"), ("source", "servicenow")],
        )
        .await;
    let (place, said) = browser.follow(&answer).await;
    assert_eq!(place, "/parked?source=servicenow");
    assert_eq!(said, "1 ticket was mapped. Waiting events are sent.");
    let answer = browser.submit("/parked", "/parked", &[]).await;
    let (_, said) = browser.follow(&answer).await;
    assert!(said.contains("nothing was mapped"), "{said}");
    app.admin.drained().await;
    let mut connected = app.connected_to();
    connected.sort();
    assert_eq!(connected, ["tkt-1", "tkt-2", "tkt-5"]);
    app.stop().await;
}

#[tokio::test]
async fn the_dead_are_replayed_one_by_one_or_all_of_a_reason() {
    let app = TestApp::start().await;
    app.faults(&["status=403,path=connect"]);
    let mut dead = Vec::new();
    for n in 1..=4 {
        let to = format!("tkt-{n}");
        app.admin.map("servicenow", &sys_id(n), &to).await;
        let event = app.save(incident(n)).await;
        app.admin.wait_for_state(&event, "dead").await;
        dead.push(event);
    }
    app.faults(&[]);
    let mut browser = operator(&app).await;
    let groups = browser.page("/dead").await;
    assert!(groups.contains("<strong>4</strong> events"), "{groups}");
    assert!(
        groups.contains("Give the API client the permission"),
        "{groups}"
    );

    let group = "/dead?source=servicenow&reason=permission_denied";
    let of_group = [
        ("source", "servicenow"),
        ("event_reason", "permission_denied"),
    ];
    let answer = browser.submit(group, "/dead", &of_group).await;
    let (place, said) = browser.follow(&answer).await;
    assert_eq!(place, group);
    assert!(said.contains("No event was selected"), "{said}");
    let mut fields = of_group.to_vec();
    fields.extend([("event", dead[0].as_str()), ("event", &dead[1])]);
    fields.push(("reason", "mended"));
    let answer = browser.submit(group, "/dead", &fields).await;
    let (_, said) = browser.follow(&answer).await;
    assert_eq!(said, "2 events are in the queue again.");
    for event in &dead[..2] {
        app.admin.wait_for_state(event, "connected").await;
    }
    let confirm = "/dead/replay?source=servicenow&reason=permission_denied";
    let page = browser.page(confirm).await;
    assert!(page.contains("Replay 2 events?"), "{page}");
    assert_eq!(
        app.admin.event(&dead[2]).await["state"],
        "dead",
        "asking does nothing"
    );
    let answer = browser.submit(confirm, "/dead/replay", &of_group).await;
    let (place, said) = browser.follow(&answer).await;
    assert_eq!(
        (place.as_str(), said.as_str()),
        ("/dead", "2 events are in the queue again.")
    );
    for event in &dead {
        app.admin.wait_for_state(event, "connected").await;
    }
    let answer = browser
        .submit("/", &format!("/events/{}/replay", dead[0]), &[])
        .await;
    let (_, said) = browser.follow(&answer).await;
    assert!(said.contains("The event is connected"), "{said}");
    app.stop().await;
}

#[tokio::test]
async fn the_confirmation_of_a_replay_says_what_becomes_of_each_event() {
    let app = TestApp::start().await;
    app.faults(&["status=403,path=connect"]);
    let mut dead = Vec::new();
    for n in 1..=4 {
        let to = format!("tkt-{n}");
        app.admin.map("servicenow", &sys_id(n), &to).await;
        let event = app.save(incident(n)).await;
        app.admin.wait_for_state(&event, "dead").await;
        dead.push(event);
    }
    app.faults(&[]);
    let path = format!("/mappings/servicenow/{}", sys_id(3));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    let again = app.save(incident_with(4, 2, &json!({}))).await;
    app.admin.wait_for_state(&again, "connected").await;
    app.admin.post("/connects/pause", &json!({})).await;

    let mut browser = operator(&app).await;
    let confirm = "/dead/replay?source=servicenow&reason=permission_denied";
    let (sent, queued) = (
        "2 events are sent to Serval again.",
        "2 events are queued, and sent again when the calls are resumed: they are paused.",
    );
    let of_each = [
        "Replay 4 events?",
        "Dead events of",
        "1 event is skipped: Serval has the pair already.",
        "1 event is parked: there is no mapping yet.",
        "Of several saves of one record only the newest is sent",
    ];
    for (is_paused, said, unsaid) in [(true, queued, sent), (false, sent, queued)] {
        if !is_paused {
            app.admin.post("/connects/resume", &json!({})).await;
        }
        let page = browser.page(confirm).await;
        for part in of_each.iter().chain([&said]) {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains(unsaid), "{page}");
    }
    for (event, said) in [
        (&dead[0], "1 event is sent to Serval again."),
        (&dead[2], "1 event is parked: there is no mapping yet."),
        (&dead[3], "1 event is skipped: Serval has the pair already."),
    ] {
        let page = browser.page(&format!("/events/{event}")).await;
        assert!(page.contains(said), "{said}: {page}");
    }
    let page = browser.page(&ticket(1)).await;
    assert!(page.contains("1 event is sent to Serval again."), "{page}");

    let of_group = [
        ("source", "servicenow"),
        ("event_reason", "permission_denied"),
    ];
    browser.submit(confirm, "/dead/replay", &of_group).await;
    for (event, state) in dead
        .iter()
        .zip(["connected", "connected", "parked", "skipped"])
    {
        app.admin.wait_for_state(event, state).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_ticket_that_was_given_up_connects_again_from_its_page() {
    let app = TestApp::start().await;
    app.faults(&["status=403,path=connect"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let event = app.save(incident(1)).await;
    app.admin.wait_for_state(&event, "dead").await;
    app.faults(&[]);
    let mut browser = operator(&app).await;
    assert!(browser.page(&ticket(1)).await.contains("Connect again"));
    let replay = format!("{}/replay", ticket(1));
    let answer = browser
        .submit(&ticket(1), &replay, &[("event", event.as_str())])
        .await;
    let (place, said) = browser.follow(&answer).await;
    assert_eq!(
        (place, said.as_str()),
        (ticket(1), "It is in the queue again.")
    );
    app.admin.wait_for_state(&event, "connected").await;
    assert!(!browser.page(&ticket(1)).await.contains("Connect again"));
    app.stop().await;
}

#[tokio::test]
async fn a_conflict_is_decided_where_both_values_stand() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nticket_id_pointers = ['/correlation_id']")
        .start()
        .await;
    for n in [1, 2] {
        let mapped = format!("tkt-mapped-{n}");
        app.admin.map("servicenow", &sys_id(n), &mapped).await;
        let event = app.save(naming(n, 1, &format!("tkt-named-{n}"))).await;
        app.admin.wait_for_state(&event, "connected").await;
    }
    let mut browser = operator(&app).await;
    let page = browser.page("/conflicts").await;
    for text in ["tkt-mapped-1", "tkt-named-1", "tkt-mapped-2", "tkt-named-2"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let conflicts = app.admin.list("/conflicts").await;
    for conflict in &conflicts {
        let is_first = conflict["external_id"] == sys_id(1);
        let decision = if is_first { "keep" } else { "replace" };
        let back = ticket(if is_first { 1 } else { 2 });
        let path = format!("/conflicts/{}", conflict["id"]);
        let fields = [("decision", decision), ("back", back.as_str())];
        let answer = browser.submit("/conflicts", &path, &fields).await;
        let (place, said) = browser.follow(&answer).await;
        assert_eq!(place, back);
        assert!(
            said.starts_with("Kept") || said.starts_with("Replaced"),
            "{said}"
        );
        let again = browser.submit("/conflicts", &path, &fields).await;
        let (_, said) = browser.follow(&again).await;
        assert!(said.contains("decided already"), "{said}");
    }
    let ticket_of =
        async |n| app.admin.mapping("servicenow", &sys_id(n)).await["ticket_id"].clone();
    assert_eq!(ticket_of(1).await, "tkt-mapped-1");
    assert_eq!(ticket_of(2).await, "tkt-named-2");
    assert!(
        browser
            .page("/conflicts")
            .await
            .contains("Nothing contradicts")
    );
    let decided = browser.page("/conflicts?decided=yes").await;
    assert!(decided.contains("the mapping was kept"), "{decided}");
    app.stop().await;
}

fn disconnects(app: &TestApp, n: u32) -> usize {
    let path = format!("/v2/tickets/tkt-{n}/disconnect/{SERVICENOW_INTEGRATION}");
    app.requests("DELETE", &path)
}

#[tokio::test]
async fn a_mapping_is_released_with_or_without_serval() {
    let app = TestApp::start().await;
    let mut browser = operator(&app).await;
    for (n, disconnect) in [(1, ""), (2, "yes")] {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
        let event = app.save(incident(n)).await;
        app.admin.wait_for_state(&event, "connected").await;
        let page = browser.page(&ticket(n)).await;
        let version = hidden(&page, "version");
        let fields = [
            ("csrf", hidden(&page, "csrf")),
            ("version", version),
            ("disconnect", disconnect.to_owned()),
        ];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let answer = browser
            .post(&format!("{}/release", ticket(n)), &fields)
            .await;
        let (_, said) = browser.follow(&answer).await;
        assert!(said.starts_with("The mapping is removed"), "{said}");
        assert!(app.admin.mapping("servicenow", &sys_id(n)).await.is_null());
    }
    crate::support::eventually("Serval let go of the second", async || {
        (disconnects(&app, 2) == 1).then_some(())
    })
    .await;
    assert_eq!(disconnects(&app, 1), 0);
    app.stop().await;
}

#[tokio::test]
async fn forgetting_a_ticket_asks_first_and_leaves_nothing() {
    let app = TestApp::start().await;
    let columns = json!({"number": "INC0081927"});
    app.save(incident_with(1, 1, &columns)).await;
    let mut browser = operator(&app).await;
    let forget = format!("{}/forget", ticket(1));
    let page = browser.page(&forget).await;
    assert!(page.contains("Forget INC0081927?"), "{page}");
    assert!(page.contains("cannot be undone"), "{page}");
    assert_eq!(app.admin.events("").await.len(), 1, "asking does nothing");
    let answer = browser
        .submit(&forget, &forget, &[("reason", "asked for")])
        .await;
    let (place, said) = browser.follow(&answer).await;
    assert_eq!(place, "/");
    assert!(said.starts_with("Forgotten"), "{said}");
    assert_eq!(app.admin.events("").await.len(), 0);
    let audit = browser.page("/audit").await;
    assert!(audit.contains("forgot an external ticket"), "{audit}");
    assert!(
        !audit.contains(&sys_id(1)) && !audit.contains("INC0081927"),
        "{audit}"
    );
    app.stop().await;
}

#[tokio::test]
async fn the_calls_are_paused_and_resumed_with_a_reason() {
    let app = TestApp::start().await;
    let mut browser = operator(&app).await;
    let fields = [("do", "pause"), ("reason", "Serval is moved")];
    let answer = browser.submit("/", "/connects", &fields).await;
    let (_, said) = browser.follow(&answer).await;
    assert!(said.starts_with("Calls to Serval are paused"), "{said}");
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let event = app.save(incident(1)).await;
    assert_eq!(app.admin.event(&event).await["state"], "queued");
    let page = browser.page("/").await;
    assert!(page.contains("1 event waits for them to resume."), "{page}");
    let answer = browser.submit("/", "/connects", &[("do", "resume")]).await;
    assert_eq!(answer.status, 303);
    app.admin.wait_for_state(&event, "connected").await;
    let audit = browser.page("/audit").await;
    for text in ["paused the calls", "Serval is moved", "resumed the calls"] {
        assert!(audit.contains(text), "{text}: {audit}");
    }
    let too_long = "x".repeat(201);
    let fields = [("do", "pause"), ("reason", too_long.as_str())];
    let answer = browser.submit("/", "/connects", &fields).await;
    let (_, said) = browser.follow(&answer).await;
    assert!(said.contains("at most 200 characters"), "{said}");
    assert_eq!(app.admin.stats().await["paused"], false);
    app.stop().await;
}

#[tokio::test]
async fn a_named_token_is_named_in_the_audit_list_through_every_door() {
    let token = "a-named-token-of-these-tests";
    let app = TestApp::builder()
        .config(&format!("[admin]\ntokens = ['ann@ops {token}']"))
        .allow_pending()
        .start()
        .await;
    let bearer = format!("Bearer {token}");
    let path = format!("/api/v1/mappings/servicenow/{}", sys_id(1));
    let body = json!({"ticket_id": "tkt-1"}).to_string();
    let answer = app
        .admin
        .request(http::Method::PUT, &path, Some(&bearer), body)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut browser = app.admin.browser();
    assert_eq!(browser.log_in(token).await.status, 303);
    let answer = browser.submit("/", "/connects", &[("do", "resume")]).await;
    assert_eq!(answer.status, 303);
    let audit = browser.page("/audit").await;
    assert_eq!(
        audit.matches("data-name=\"Who\">ann@ops").count(),
        3,
        "{audit}"
    );
    app.stop().await;
}
