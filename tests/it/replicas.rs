//! Several daemons on one Postgres database, as operators see and steer them. Runs whatever engine the other tests use.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::support::bodies::{incident, sys_id};
use crate::support::browser::hidden;
use crate::support::postgres::{self, needs_a_server};
use crate::support::{TestApp, eventually};

const FIRST_IS_SLOW: &str = "[delivery]\nrate = 3";

/// When the session was used last.
const SEEN: &str = "SELECT seen FROM sessions";

/// A database of its own for a test.
fn database(test: &str) -> String {
    postgres::url(Path::new(test))
}

/// A daemon on a shared database.
async fn replica(url: &str, config: &str) -> TestApp {
    let builder = TestApp::builder().database(url).config(config);
    builder.allow_pending().start().await
}

/// Two daemons, of which the first makes the calls.
async fn pair(url: &str, configs: [&str; 2]) -> [TestApp; 2] {
    let first = replica(url, configs[0]).await;
    leader_of(&first).await;
    let second = replica(url, configs[1]).await;
    leader_of(&second).await;
    [first, second]
}

async fn stop(apps: impl IntoIterator<Item = TestApp>) {
    for app in apps {
        app.stop().await;
    }
}

async fn ready(app: &TestApp) -> Value {
    app.admin.readyz().await.json()
}

/// Id of the replica that makes the calls, once `app` knows it.
async fn leader_of(app: &TestApp) -> String {
    eventually("a replica makes the calls", async || {
        let leader = ready(app).await["replica"]["leader"].take();
        leader.as_str().map(str::to_owned)
    })
    .await
}

/// Runs a statement on the database; answers its first number, if it has one.
async fn query(url: &str, statement: &'static str) -> Option<i64> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query(statement).fetch_optional(&mut connection).await;
    connection.close().await.unwrap();
    row.unwrap().map(|row| row.get(0))
}

#[tokio::test]
async fn replicas_are_listed_and_those_with_another_configuration_are_told() {
    needs_a_server!();
    let url = database("replicas_listed");
    let first = replica(&url, FIRST_IS_SLOW).await;
    leader_of(&first).await;
    // The stand-in of the first, which each would have for itself.
    let serval = format!("[serval]\nbase_url = \"{}\"", first.mock.base_url());
    let mut second = replica(&url, &serval).await;
    let one = ready(&first).await["replica"]["id"].take();
    let two = ready(&second).await["replica"]["id"].take();
    assert_ne!(one, two);
    for app in [&first, &second] {
        let told = eventually("the difference is told", async || {
            let ready = app.admin.readyz().await;
            assert_eq!(ready.status, 200, "{ready:?}");
            let told = ready.json()["replica"]["configuration"].take();
            told.as_str().map(str::to_owned)
        });
        let told = told.await;
        assert!(told.contains("1 other replica runs with another configuration"));
        let list = app.admin.list("/replicas").await;
        let part = |part: &str| list.iter().map(|row| row[part].clone()).collect::<Vec<_>>();
        assert_eq!(part("id"), [one.clone(), two.clone()]);
        assert_eq!(part("leads"), [true, false]);
        assert_eq!(part("alive"), [true, true]);
        assert_ne!(list[0]["config_hash"], list[1]["config_hash"]);
        let page = app.admin.browser().logged_in().await.page("/").await;
        assert!(page.contains("<h2 id=\"replicas\">Replicas</h2>"), "{page}");
        assert!(page.contains("1 other replica runs with another configuration"));
        for shown in ["this one", "makes the calls", "stands by", "same", "other"] {
            assert!(page.contains(&format!(">{shown}<")), "{shown}: {page}");
        }
    }
    second.rewrite(&format!("{serval}\n{FIRST_IS_SLOW}"));
    assert_eq!(second.reload().await.status, 200);
    for app in [&first, &second] {
        eventually("no difference is told any more", async || {
            let place = ready(app).await["replica"].take();
            place["configuration"].is_null().then_some(())
        })
        .await;
        let list = app.admin.list("/replicas").await;
        assert_eq!(list[0]["config_hash"], list[1]["config_hash"]);
    }
    stop([second, first]).await;
}

#[tokio::test]
async fn the_only_process_of_a_file_is_its_only_replica() {
    needs_a_server!();
    if postgres::is_wanted() {
        return;
    }
    let app = TestApp::start().await;
    let [only] = &app.admin.list("/replicas").await[..] else {
        panic!("there is one");
    };
    assert_eq!(only["id"], "only");
    assert_eq!(
        (&only["alive"], &only["leads"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(only["config_hash"].as_str().unwrap().len(), 16);
    let ready = ready(&app).await;
    assert_eq!(ready["replica"], Value::Null);
    assert_eq!(ready["breaker"], "closed");
    let page = app.admin.browser().logged_in().await.page("/").await;
    assert!(!page.contains("Replicas"), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn all_show_the_calls_of_the_one_that_makes_them() {
    needs_a_server!();
    let url = database("replicas_calls");
    let [first, second] = pair(&url, ["", ""]).await;
    let leader = leader_of(&first).await;
    assert_eq!(leader_of(&second).await, leader);
    // Serval refuses the credentials of the first.
    first.faults(&["status=401,path=connect"]);
    first.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    second.save(incident(1)).await;
    let ready = eventually("the second shows the hold of the first", async || {
        let ready = second.admin.readyz().await;
        (ready.status == 503).then_some(ready)
    });
    let ready = ready.await.json();
    assert_eq!(
        (&ready["held"], &ready["replica"]["leader"]),
        (&json!(true), &json!(leader))
    );
    let problem = ready["problems"][0].as_str().unwrap();
    assert!(problem.contains("calls to Serval are held"), "{ready}");
    assert!(!second.admin.stats().await["hold"].is_null());
    let page = second.admin.browser().logged_in().await.page("/").await;
    assert!(page.contains("Credentials refused"), "{page}");
    assert!(
        page.contains(&format!("Replica {leader} makes the calls.")),
        "{page}"
    );
    // The second makes the calls once the first is gone, and its own are well.
    first.stop().await;
    let ready = eventually("the second makes the calls", async || {
        let ready = second.admin.readyz().await;
        (ready.status == 200).then(|| ready.json())
    })
    .await;
    assert_eq!(ready["replica"]["leader"], ready["replica"]["id"]);
    second.admin.drained().await;
    second.stop().await;
}

#[tokio::test]
async fn a_pause_at_one_replica_holds_at_once_there_and_soon_at_all() {
    needs_a_server!();
    let url = database("replicas_pause");
    let apps = pair(&url, ["", ""]).await;
    // At the one that makes the calls, and at the other.
    for (at, other) in [(0, 1), (1, 0)] {
        let (at, other) = (&apps[at], &apps[other]);
        for (action, paused) in [("pause", true), ("resume", false)] {
            let path = format!("/connects/{action}");
            assert_eq!(at.admin.post(&path, &Value::Null).await.status, 200);
            eventually("the other follows", async || {
                // No beat that began before brings the old state back.
                assert_eq!(ready(at).await["paused"], paused, "{action}");
                (ready(other).await["paused"] == paused).then_some(())
            })
            .await;
            assert_eq!(ready(at).await["paused"], paused, "{action}");
        }
    }
    stop(apps.into_iter().rev()).await;
}

#[tokio::test]
async fn a_session_holds_at_all_replicas() {
    needs_a_server!();
    let url = database("replicas_sessions");
    let [first, second] = pair(&url, ["", ""]).await;
    let browser = first.admin.browser().logged_in().await;
    let mut there = browser.at(&second.admin);
    let page = there.page("/").await;
    assert!(page.contains("admin.tokens 1"), "{page}");
    // A form of a page of the first is taken by the second.
    let csrf = hidden(&browser.clone().page("/").await, "csrf");
    let answer = there
        .post("/connects", &[("csrf", &csrf), ("do", "pause")])
        .await;
    assert_eq!(there.follow(&answer).await.0, "/");
    assert_eq!(ready(&second).await["paused"], true);
    let stranger = &[("csrf", "another"), ("do", "resume")];
    assert_eq!(there.post("/connects", stranger).await.status, 403);
    assert_eq!(there.submit("/", "/logout", &[]).await.status, 303);
    for mut late in [browser.clone(), browser.at(&second.admin), there] {
        assert_eq!(late.get("/").await.status, 303, "it is over everywhere");
    }
    assert_eq!(query(&url, "SELECT COUNT(*) FROM sessions").await, Some(0));
    stop([second, first]).await;
}

#[tokio::test]
async fn a_shared_session_ends_in_time_and_its_use_is_written_now_and_then() {
    needs_a_server!();
    let url = database("replicas_sessions_end");
    let app = replica(&url, "").await;
    for (age, is_open) in [
        ("UPDATE sessions SET seen = seen - 7100000", true),
        ("UPDATE sessions SET seen = seen - 7300000", false),
        ("UPDATE sessions SET began = began - 43100000", true),
        ("UPDATE sessions SET began = began - 43300000", false),
    ] {
        let mut browser = app.admin.browser().logged_in().await;
        query(&url, age).await;
        let expected = if is_open { 200 } else { 303 };
        assert_eq!(browser.get("/").await.status, expected, "{age}");
        // A login deletes what has ended, and the next row has a session of its own.
        app.admin.browser().logged_in().await;
        let sessions = query(&url, "SELECT COUNT(*) FROM sessions").await;
        assert_eq!(sessions, Some(1 + i64::from(is_open)), "{age}");
        query(&url, "DELETE FROM sessions").await;
    }
    let mut browser = app.admin.browser().logged_in().await;
    for (age, is_written) in [
        ("UPDATE sessions SET seen = seen - 50000", false),
        ("UPDATE sessions SET seen = seen - 50000", true),
    ] {
        query(&url, age).await;
        let before = query(&url, SEEN).await;
        browser.page("/").await;
        assert_eq!(query(&url, SEEN).await > before, is_written, "{is_written}");
    }
    // A page that refreshes itself keeps no session open.
    query(&url, "UPDATE sessions SET seen = seen - 600000").await;
    let before = query(&url, SEEN).await;
    let refresh = browser
        .request(http::Method::GET, "/")
        .header("x-refresh", "1");
    assert_eq!(browser.send(refresh).await.status, 200);
    assert_eq!(query(&url, SEEN).await, before);
    app.stop().await;
}

#[tokio::test]
async fn where_nobody_logs_in_all_replicas_take_the_forms_of_each_other() {
    needs_a_server!();
    let url = database("replicas_open");
    let open = "[admin]\ntokens = []";
    let apps = pair(&url, [open, open]).await;
    let mut tokens = Vec::new();
    for app in &apps {
        tokens.push(hidden(&app.admin.browser().page("/").await, "csrf"));
    }
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(tokens[0].len(), 64);
    stop(apps.into_iter().rev()).await;
}
