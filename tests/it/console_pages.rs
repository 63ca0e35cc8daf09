//! What the pages of the console show.

use serde_json::{Value, json};

use crate::support::bodies::{incident, incident_with, slack_message, sys_id};
use crate::support::{Browser, TestApp};

const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\"";

async fn reader(app: &TestApp) -> Browser {
    app.admin.browser().logged_in().await
}

fn ticket(n: u32) -> String {
    format!("/tickets/servicenow/{}", sys_id(n))
}

#[tokio::test]
async fn the_overview_says_in_a_sentence_how_things_are() {
    let app = TestApp::start().await;
    let mut browser = reader(&app).await;
    assert!(browser.page("/").await.contains("All is well."));
    app.save(incident(1)).await;
    let page = browser.page("/").await;
    assert!(page.contains("All is well.") && page.contains("1 external ticket waits"));
    app.faults(&["status=403,path=connect"]);
    app.admin.map("servicenow", &sys_id(2), "tkt-gone").await;
    let dead = app.save(incident(2)).await;
    app.admin.wait_for_state(&dead, "dead").await;
    let page = browser.page("/").await;
    assert!(
        page.contains("1 event was given up and needs attention."),
        "{page}"
    );
    assert!(
        page.contains(&dead) && page.contains("permission_denied"),
        "{page}"
    );
    assert!(page.contains("role=\"img\" aria-label=\"servicenow, last hour: 2 webhooks"));
    app.stop().await;
}

#[tokio::test]
async fn what_a_sender_wrote_is_text_on_every_page() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nticket_id_pointers = ['/correlation_id']\nverify_learned = false")
        .start()
        .await;
    let columns = json!({"number": "INC<b>1", "short_description": HOSTILE});
    let event = app.save(incident_with(1, 1, &columns)).await;
    let thread = slack_message("Ev1", "1.000001", &json!({"text": HOSTILE}));
    app.webhooks.slack(thread).send().await;
    let mut browser = reader(&app).await;
    let from = format!("/events/{event}");
    let shown = browser
        .submit(&from, &format!("{from}/payload"), &[])
        .await
        .text();
    assert!(shown.contains("alert("), "{shown}");
    let mut pages = vec![shown];
    let find = format!("/find?q={}", "%3Cscript%3Ealert(1)%3C/script%3E");
    let external = "/events?external_id=%22%3E%3Cscript%3E";
    for path in [
        "/",
        "/parked",
        "/events",
        &from,
        &ticket(1),
        &find,
        external,
        "/tickets/slack/C9DDYQ1B4:1.000001",
    ] {
        pages.push(browser.page(path).await);
    }
    for page in pages {
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, 1, "our own and no other: {page}");
        assert!(!page.contains("<b>1"), "{page}");
    }
    app.stop().await;
}

#[tokio::test]
async fn one_box_finds_a_ticket_by_whatever_people_have_of_it() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-one").await;
    let columns = json!({"number": "INC0081927"});
    let event = app.save(incident_with(1, 1, &columns)).await;
    app.admin.wait_for_state(&event, "connected").await;
    let thread = slack_message("Ev1", "1779146751.061339", &Value::Null);
    app.webhooks.slack(thread).send().await;
    let mut browser = reader(&app).await;
    let slack = "/tickets/slack/C9DDYQ1B4:1779146751.061339";
    for (query, place) in [
        ("INC0081927", ticket(1)),
        ("inc0081927", ticket(1)),
        (&sys_id(1), ticket(1)),
        ("tkt-one", ticket(1)),
        ("C9DDYQ1B4:1779146751.061339", slack.to_owned()),
        (
            "https%3A%2F%2Facme.slack.com%2Farchives%2FC9DDYQ1B4%2Fp1779146751061339",
            slack.to_owned(),
        ),
        (&event, format!("/events/{event}")),
    ] {
        let answer = browser.get(&format!("/find?q={query}")).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, place.as_str()),
            "{query}"
        );
    }
    let nothing = browser.page("/find?q=INC0000000").await;
    assert!(nothing.contains("Nothing is stored under"), "{nothing}");
    let ahead = browser.page(&format!("/find?q={}", sys_id(9))).await;
    assert!(
        ahead.contains(&ticket(9)),
        "it can be mapped ahead: {ahead}"
    );
    app.stop().await;
}

/// The classes of the stations on a ticket's page; the colour only of the one where it stands.
fn stations(page: &str) -> Vec<&str> {
    let stations = page.split("<li class=\"station ").skip(1);
    let classes = stations.map(|station| station.split('"').next().unwrap());
    let shown = classes.map(|class| match class.split_once(' ') {
        Some((mark, _)) if mark != "here" => mark,
        _ => class,
    });
    shown.collect()
}

#[tokio::test]
async fn a_ticket_shows_where_it_stands_and_what_happened() {
    let app = TestApp::start().await;
    let columns = json!({"number": "INC0081927", "short_description": "No mail"});
    let event = app.save(incident_with(1, 1, &columns)).await;
    let mut browser = reader(&app).await;
    let page = browser.page(&ticket(1)).await;
    for text in [
        "INC0081927",
        "No mail",
        "parked",
        "Map the external ticket.",
        "Webhook arrived",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(stations(&page), ["passed", "here at-parked", "ahead"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-one").await;
    app.admin.wait_for_state(&event, "connected").await;
    let page = browser.page(&ticket(1)).await;
    assert_eq!(stations(&page), ["passed"; 3]);
    for text in [
        "tkt-one",
        "through the API",
        "Connect call to tkt-one: connected",
        "HTTP 200",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let unknown = browser.page(&ticket(7)).await;
    assert!(unknown.contains("Nothing is stored about it"), "{unknown}");
    assert_eq!(stations(&unknown), ["here at-skipped", "ahead", "ahead"]);
    app.stop().await;
}

#[tokio::test]
async fn lists_go_page_by_page_and_keep_their_filters() {
    let app = TestApp::start().await;
    for n in 0..60 {
        app.webhooks.servicenow(incident(n)).send().await;
    }
    let mut browser = reader(&app).await;
    for (first, per_row) in [
        (
            "/events?state=parked&source=servicenow",
            "href=\"/events/evt_",
        ),
        ("/parked?source=servicenow", "class=\"map-field\""),
    ] {
        let page = browser.page(first).await;
        assert_eq!(page.matches(per_row).count(), 50, "{first}");
        let next = page.split("rel=\"next\" href=\"").nth(1).unwrap();
        let next = next.split('"').next().unwrap().replace("&#38;", "&");
        assert!(next.contains("source=servicenow"), "{next}");
        let page = browser.page(&next).await;
        assert_eq!(page.matches(per_row).count(), 10, "{next}");
        assert!(!page.contains("rel=\"next\""), "{next}");
        assert!(page.contains("First page"), "{next}");
    }
    for path in ["/events?state=dead", "/dead", "/conflicts", "/mappings"] {
        assert!(
            browser.page(path).await.contains("class=\"empty\""),
            "{path}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_payload_is_shown_to_whoever_asks_and_the_asking_is_written_down() {
    let app = TestApp::start().await;
    let columns = json!({"number": "INC0081927", "description": "the secret of the caller"});
    let event = app.save(incident_with(1, 1, &columns)).await;
    let mut browser = reader(&app).await;
    let event_page = format!("/events/{event}");
    for (page, action) in [
        (event_page.clone(), format!("{event_page}/payload")),
        (ticket(1), format!("{}/payload", ticket(1))),
    ] {
        assert!(!browser.page(&page).await.contains("secret of the caller"));
        let answer = browser.submit(&page, &action, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().contains("the secret of the caller"));
        assert!(!browser.page(&page).await.contains("secret of the caller"));
    }
    let audit = browser.page("/audit").await;
    assert_eq!(audit.matches("viewed a payload").count(), 2, "{audit}");
    app.stop().await;
}

#[tokio::test]
async fn payloads_can_be_switched_off_for_all() {
    let app = TestApp::builder()
        .config("[admin]\nshow_payloads = false")
        .start()
        .await;
    let columns = json!({"description": "the secret of the caller"});
    let event = app.save(incident_with(1, 1, &columns)).await;
    let mut browser = reader(&app).await;
    let event_page = format!("/events/{event}");
    for (page, action) in [
        (event_page.clone(), format!("{event_page}/payload")),
        (ticket(1), format!("{}/payload", ticket(1))),
    ] {
        assert!(browser.page(&page).await.contains("admin.show_payloads"));
        let answer = browser.submit("/", &action, &[]).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(!answer.text().contains("secret of the caller"));
    }
    let detail = app.admin.event(&event).await;
    assert_eq!(
        (&detail["body"], &detail["sent"]),
        (&Value::Null, &Value::Null)
    );
    app.stop().await;
}
