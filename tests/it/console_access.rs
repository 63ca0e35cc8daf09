//! Who may see the console, and what its answers carry.

use http::Method;

use crate::support::bodies::{incident, sys_id};
use crate::support::browser::hidden;
use crate::support::{ADMIN_TOKEN, TestApp};

const WATCHER: &str = "a-token-that-may-only-look-1";
const WATCH: &str = "[admin]\nread_only_tokens = [\"wall a-token-that-may-only-look-1\"]";

/// Every page, of what `populated` has stored.
const PAGES: [&str; 11] = [
    "/",
    "/find?q=INC1",
    "/parked",
    "/dead",
    "/dead/replay?source=servicenow&reason=not_found",
    "/conflicts",
    "/events",
    "/events/evt_1",
    "/mappings",
    "/audit",
    "/tickets/slack/C9DDYQ1B4:1779146751.061339",
];

/// Every address that takes a form of somebody who is logged in.
const FORMS: [&str; 13] = [
    "/connects",
    "/tickets/slack/C9DDYQ1B4:1779146751.061339/map",
    "/tickets/slack/C9DDYQ1B4:1779146751.061339/release",
    "/tickets/slack/C9DDYQ1B4:1779146751.061339/replay",
    "/tickets/slack/C9DDYQ1B4:1779146751.061339/payload",
    "/tickets/slack/C9DDYQ1B4:1779146751.061339/forget",
    "/parked",
    "/dead",
    "/dead/replay",
    "/conflicts/1",
    "/events/evt_1/replay",
    "/events/evt_1/payload",
    "/logout",
];

#[tokio::test]
async fn nothing_is_shown_or_done_before_somebody_logs_in() {
    let app = TestApp::start().await;
    app.save(incident(1)).await;
    let mut browser = app.admin.browser();
    for path in PAGES {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 303, "{path}: {answer:?}");
        assert!(answer.header("location").starts_with("/login"), "{path}");
        assert_eq!(answer.body.len(), 0, "{path}");
    }
    for path in FORMS {
        let answer = browser.post(path, &[("reason", "x")]).await;
        assert_eq!(answer.status, 303, "{path}: {answer:?}");
        assert_eq!(answer.header("location"), "/login", "{path}");
    }
    assert!(!app.admin.stats().await["paused"].as_bool().unwrap());
    app.stop().await;
}

#[tokio::test]
async fn a_token_opens_a_session_that_ends_with_the_logout() {
    let app = TestApp::start().await;
    let mut browser = app.admin.browser();
    let answer = browser.get("/events?state=dead").await;
    let login = answer.header("location").to_owned();
    assert_eq!(login, "/login?next=%2Fevents%3Fstate%3Ddead");
    let next = hidden(&browser.page(&login).await, "next");

    let answer = browser.log_in("wrong").await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("not one of the configured tokens"));
    assert_eq!(browser.cookies().len(), 0);

    let fields = [("token", ADMIN_TOKEN), ("next", next.as_str())];
    let answer = browser.post("/login", &fields).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/events?state=dead")
    );
    let cookie = answer.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Secure") && !cookie.contains(ADMIN_TOKEN),
        "{cookie}"
    );
    assert!(browser.page("/events").await.contains("admin.tokens 1"));

    let stolen = browser.clone();
    let answer = browser.submit("/", "/logout", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/login"));
    for mut late in [browser, stolen] {
        assert_eq!(
            late.get("/").await.status,
            303,
            "the session is over on our side"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_link_in_a_chat_opens_the_page_for_whoever_is_logged_in() {
    let app = TestApp::start().await;
    let path = "/events?state=dead";
    let mut stranger = app.admin.browser();
    let request = stranger
        .request(Method::GET, path)
        .header("sec-fetch-site", "cross-site");
    // The browser keeps a strict cookie back for a link of another site, and sends it for our own.
    let answer = stranger.send(request).await;
    assert_eq!(answer.status, 200);
    let page = answer.text();
    assert!(
        page.contains("content=\"0;url=/events?state=dead\""),
        "{page}"
    );
    assert!(!page.contains("<table"), "{page}");
    let request = stranger
        .request(Method::GET, path)
        .header("sec-fetch-site", "same-origin");
    let answer = stranger.send(request).await;
    assert_eq!(
        answer.status, 303,
        "whoever is not logged in is sent to the login then"
    );
    app.stop().await;
}

#[tokio::test]
async fn behind_tls_the_cookie_is_for_tls_alone() {
    let app = TestApp::start().await;
    let mut browser = app.admin.browser();
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("origin", "https://console.example"),
    ] {
        let request = browser
            .request(Method::POST, "/login")
            .header(name, value)
            .header("sec-fetch-site", "same-origin")
            .form(&[("token", ADMIN_TOKEN)]);
        let answer = browser.send(request).await;
        let cookie = answer.header("set-cookie");
        assert!(
            cookie.starts_with("__Host-") && cookie.contains("; Secure"),
            "{cookie}"
        );
        assert_eq!(browser.get("/").await.status, 200);
    }
    app.stop().await;
}

#[tokio::test]
async fn after_the_login_nobody_is_sent_to_another_host() {
    let app = TestApp::start().await;
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example"] {
        let mut browser = app.admin.browser();
        let fields = [("token", ADMIN_TOKEN), ("next", next)];
        let answer = browser.post("/login", &fields).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/"),
            "{next}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn wrong_logins_keep_no_operator_out() {
    let app = TestApp::start().await;
    let mut stranger = app.admin.browser();
    for n in 0..200 {
        assert_eq!(stranger.log_in(&format!("guess-{n}")).await.status, 401);
        if n % 20 == 0 {
            let right = app.admin.browser().log_in(ADMIN_TOKEN).await;
            assert_eq!(right.status, 303, "after {n} wrong ones");
        }
    }
    assert_eq!(stranger.log_in(ADMIN_TOKEN).await.status, 303);
    app.stop().await;
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let app = TestApp::start().await;
    let event = app.save(incident(1)).await;
    let mut browser = app.admin.browser().logged_in().await;
    let other = hidden(
        &app.admin.browser().logged_in().await.page("/").await,
        "csrf",
    );
    let own = hidden(&browser.page("/").await, "csrf");
    assert_ne!(other, own);
    for path in FORMS {
        for csrf in ["", "x", other.as_str()] {
            let answer = browser.post(path, &[("csrf", csrf)]).await;
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
            assert!(
                answer.text().contains("does not belong to this session"),
                "{path}"
            );
        }
        let forged = browser
            .request(Method::POST, path)
            .header("origin", "https://evil.example")
            .header("sec-fetch-site", "cross-site")
            .form(&[("csrf", own.as_str())]);
        let answer = browser.send(forged).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("page of another site"), "{path}");
    }
    assert_eq!(app.admin.event(&event).await["state"], "parked");
    assert_eq!(browser.get("/").await.status, 200, "still logged in");
    app.stop().await;
}

#[tokio::test]
async fn a_token_that_may_only_look_sees_all_but_payloads_and_changes_nothing() {
    let app = TestApp::builder().config(WATCH).start().await;
    let event = app.save(incident(1)).await;
    let mut watcher = app.admin.browser();
    assert_eq!(watcher.log_in(WATCHER).await.status, 303);
    for path in PAGES {
        let page = watcher.page(path).await;
        assert!(page.contains("wall · read only"), "{path}");
        let forms = page.matches("method=\"post\"").count();
        assert_eq!(
            forms, 1,
            "but for the logout there is nothing to press: {path}"
        );
    }
    let page = watcher.page(&format!("/events/{event}")).await;
    assert!(page.contains("may not view payloads"), "{page}");
    let csrf = hidden(&page, "csrf");
    for path in FORMS.iter().filter(|path| **path != "/logout") {
        let answer = watcher.post(path, &[("csrf", &csrf)]).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("may only view"), "{path}");
    }

    let bearer = format!("Bearer {WATCHER}");
    let api = async |method: Method, path: &str| {
        let path = format!("/api/v1{path}");
        app.admin.request(method, &path, Some(&bearer), "").await
    };
    for path in ["/events", "/stats", "/parked", "/mappings", "/conflicts"] {
        assert_eq!(api(Method::GET, path).await.status, 200, "{path}");
    }
    let detail = api(Method::GET, &format!("/events/{event}")).await.json();
    assert_eq!((&detail["body"], &detail["sent"]), (&().into(), &().into()));
    assert_ne!(
        app.admin.event(&event).await["body"],
        serde_json::Value::Null
    );
    for (method, path) in [
        (Method::POST, "/connects/pause".to_owned()),
        (Method::POST, format!("/events/{event}/replay")),
        (Method::PUT, format!("/mappings/servicenow/{}", sys_id(1))),
        (Method::POST, "/mappings/import".to_owned()),
        (Method::POST, "/erase".to_owned()),
    ] {
        api(method, &path).await.problem(403);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_token_for_mappings_does_not_open_the_console() {
    let app = TestApp::builder()
        .config("[admin]\nmapping_tokens = ['a-token-for-mappings-1']")
        .start()
        .await;
    let mut browser = app.admin.browser();
    let answer = browser.log_in("a-token-for-mappings-1").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("mappings through the API"));
    assert_eq!(browser.get("/").await.status, 303);
    app.stop().await;
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let app = TestApp::start().await;
    app.save(incident(1)).await;
    let mut nobody = app.admin.browser();
    let mut browser = app.admin.browser().logged_in().await;
    let mut answers: Vec<(String, crate::support::Answer)> = Vec::new();
    for path in PAGES.iter().chain(&["/nothing/here", "/events/evt_999"]) {
        answers.push(((*path).to_owned(), browser.get(path).await));
        answers.push((format!("login for {path}"), nobody.get(path).await));
    }
    answers.push(("/login".to_owned(), nobody.get("/login").await));
    answers.push(("refused".to_owned(), browser.post("/parked", &[]).await));
    for (path, answer) in answers {
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy:?}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn style_and_script_are_kept_for_ever_under_names_that_change_with_them() {
    let app = TestApp::start().await;
    let mut browser = app.admin.browser().logged_in().await;
    let page = browser.page("/").await;
    let assets: Vec<&str> = page
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .collect();
    assert!(assets.len() >= 3, "{assets:?}");
    for path in assets {
        let answer = app.admin.browser().get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.header("cache-control").contains("immutable"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(browser.get("/assets/other.css").await.status, 404);
    for foreign in ["http://", "https://", "//cdn"] {
        let text = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains(foreign), "{foreign}");
    }
    app.stop().await;
}

#[tokio::test]
async fn without_tokens_the_console_is_open_to_this_machine_by_its_own_names_alone() {
    let app = TestApp::builder()
        .config("[admin]\ntokens = []")
        .start()
        .await;
    let mut browser = app.admin.browser();
    let page = browser.page("/").await;
    assert!(
        page.contains("local") && !page.contains("Log out"),
        "{page}"
    );
    assert_eq!(browser.get("/login").await.header("location"), "/");
    let answer = browser.post("/connects", &[("do", "pause")]).await;
    assert_eq!(answer.status, 403, "forms carry their token here, too");
    let answer = browser.submit("/", "/connects", &[("do", "pause")]).await;
    assert_eq!(answer.status, 303);
    let answer = browser.submit("/", "/connects", &[("do", "resume")]).await;
    assert_eq!(answer.status, 303);
    app.stop().await;
}

#[tokio::test]
async fn a_problem_is_a_page_for_people_and_a_document_for_programs() {
    let app = TestApp::start().await;
    let mut browser = app.admin.browser().logged_in().await;
    for (path, status, words) in [
        ("/nothing/here", 404, "Not found"),
        ("/events/evt_999", 404, "An event id looks like evt_42"),
        ("/events/x", 404, "event id looks like evt_42"),
        ("/tickets/nobody's/x", 422, "sys_id"),
        ("/tickets/servicenow/x", 422, "sys_id"),
        ("/events?state=lost", 400, "lost"),
        ("/events?source=lost", 404, "lost"),
        ("/events?cursor=lost", 400, "cursor"),
        ("/mappings?cursor=lost", 400, "cursor"),
        ("/logout", 405, "Method not allowed"),
    ] {
        let answer = browser.get(path).await;
        let text = answer.text();
        let is_wrong_source = path == "/tickets/nobody's/x";
        let status = if is_wrong_source { 404 } else { status };
        assert_eq!(answer.status, status, "{path}: {text}");
        assert!(
            answer.header("content-type").starts_with("text/html"),
            "{path}"
        );
        let words = words.to_lowercase();
        assert!(
            is_wrong_source || text.to_lowercase().contains(&words),
            "{path}: {text}"
        );
        assert!(text.contains("href=\"/\""), "{path}");
    }
    let answer = app
        .admin
        .request(Method::GET, "/nothing/here", None, "")
        .await;
    answer.problem(404);
    let request = browser.request(Method::GET, "/api/v1/events");
    let answer = browser.send(request).await;
    answer.problem(401);
    app.stop().await;
}

#[tokio::test]
async fn a_page_that_refreshes_itself_is_told_apart_from_its_reader() {
    let app = TestApp::start().await;
    let mut browser = app.admin.browser();
    let request = browser.request(Method::GET, "/").header("x-refresh", "1");
    assert_eq!(
        browser.send(request).await.status,
        401,
        "no login page is mixed in"
    );
    let mut browser = browser.logged_in().await;
    let answer = browser.submit("/", "/connects", &[("do", "resume")]).await;
    assert_eq!(answer.status, 303);
    let request = browser.request(Method::GET, "/").header("x-refresh", "1");
    let refreshed = browser.send(request).await;
    assert_eq!(refreshed.status, 200);
    assert!(!refreshed.text().contains("class=\"notice"));
    let (_, said) = browser.follow(&answer).await;
    assert_eq!(said, "Calls to Serval are resumed.");
    assert!(
        !browser.page("/").await.contains("class=\"notice"),
        "it is said once"
    );
    app.stop().await;
}
