//! The configuration is read again while the daemon runs: what changes, what is refused, and that
//! nothing under way notices.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::support::bodies::{incident, sys_id};
use crate::support::{
    ADMIN_TOKEN, Answer, Daemon, Senders, Settings, TestApp, eventually, run, whsec,
};

const OLD: &[u8] = b"a key of thirty-two bytes, right";
const NEW: &[u8] = b"another key of thirty-two bytes.";

/// The source `servicenow` with these keys, and no other.
fn keys(keys: &[&[u8]]) -> String {
    let secrets: Vec<String> = keys.iter().map(|key| whsec(key)).collect();
    format!("[sources.servicenow]\nsecrets = {secrets:?}\n")
}

fn names(answer: &Answer, list: &str) -> Vec<String> {
    serde_json::from_value(answer.json()[list].take()).unwrap()
}

/// Reloads what `toml` makes of the configuration; answers the keys that changed.
async fn changed(app: &mut TestApp, toml: &str) -> Vec<String> {
    app.rewrite(toml);
    let answer = app.reload().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(names(&answer, "needs_restart"), [""; 0]);
    names(&answer, "changed")
}

async fn page(app: &TestApp) -> String {
    let answer = app.admin.request(Method::GET, "/metrics", None, "").await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn value(page: &str, series: &str) -> Option<f64> {
    let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(of)
}

/// `ServiceNow`, with a handful of webhooks under way at any time.
struct Traffic {
    /// The property of the signing key. Whoever writes it waits until what was signed by the old one
    /// is answered, as the guide tells an administrator to.
    key: Arc<RwLock<&'static [u8]>>,
    stored: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    senders: JoinSet<Vec<String>>,
}

impl Traffic {
    fn start(webhooks: &Senders) -> Self {
        let mut traffic = Self {
            key: Arc::new(RwLock::new(OLD)),
            stored: Arc::default(),
            is_over: Arc::default(),
            senders: JoinSet::new(),
        };
        for sender in 0..4_u32 {
            let webhooks = webhooks.clone();
            let key = Arc::clone(&traffic.key);
            let stored = Arc::clone(&traffic.stored);
            let is_over = Arc::clone(&traffic.is_over);
            traffic.senders.spawn(async move {
                let mut ids = Vec::new();
                for n in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let key = key.read().await;
                    let sent = webhooks.servicenow(incident(sender * 1_000_000 + n));
                    let answer = sent.key(*key).send().await;
                    assert_eq!(answer.status, 202, "webhook {n} of {sender}: {answer:?}");
                    ids.push(answer.id());
                    stored.fetch_add(1, Ordering::SeqCst);
                }
                ids
            });
        }
        traffic
    }

    /// Waits until more has passed.
    async fn goes_on(&self) {
        let so_far = self.stored.load(Ordering::SeqCst);
        eventually("webhooks are stored", async || {
            (self.stored.load(Ordering::SeqCst) >= so_far + 8).then_some(())
        })
        .await;
    }

    /// Ends it; answers the ids of all events.
    async fn end(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        self.senders.join_all().await.concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_under_traffic_and_no_webhook_is_lost() {
    let mut app = TestApp::builder().allow_pending().start().await;
    let traffic = Traffic::start(&app.webhooks);
    let secrets = ["sources.servicenow.secrets"];
    for (old, new) in [(OLD, NEW), (NEW, OLD), (OLD, NEW)] {
        traffic.goes_on().await;
        assert_eq!(changed(&mut app, &keys(&[old, new])).await, secrets);
        traffic.goes_on().await;
        *traffic.key.write().await = new;
        traffic.goes_on().await;
        assert_eq!(changed(&mut app, &keys(&[new])).await, secrets);
    }
    traffic.goes_on().await;
    let stored = traffic.end().await;
    let distinct: BTreeSet<&String> = stored.iter().collect();
    assert_eq!(distinct.len(), stored.len());
    let parked = &app.admin.stats().await["totals"]["parked"];
    assert_eq!(parked, &json!(stored.len()), "each is stored once");
    let refused = app.webhooks.servicenow(incident(9)).key(OLD).send().await;
    assert_eq!(
        refused.status, 401,
        "a key that was taken out is good for nothing"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_come_and_go() {
    let mut app = TestApp::builder().allow_pending().start().await;
    let to_crm = |n| app.webhooks.servicenow(incident(n)).to("/webhooks/crm");
    let (first, second, third) = (to_crm(1), to_crm(2), to_crm(3));
    assert_eq!(first.send().await.status, 404);
    let crm = format!(
        "[sources.crm]\nkind = \"servicenow\"\nsecrets = [\"{}\"]\n\
         channel_target = {{ ticketSource = {{ integrationId = \"crm\" }} }}\n",
        whsec(OLD)
    );
    assert_eq!(changed(&mut app, &crm).await, ["sources.crm"]);
    app.admin.map("crm", &sys_id(1), "tkt_1").await;
    app.admin.map("crm", &sys_id(2), "tkt_2").await;
    let id = first.send().await.id();
    app.admin.wait_for_state(&id, "connected").await;

    app.admin.post("/connects/pause", &Value::Null).await;
    let waiting = second.send().await.id();
    assert_eq!(changed(&mut app, "").await, ["sources.crm"]);
    assert_eq!(third.send().await.status, 404);
    app.admin.post("/connects/resume", &Value::Null).await;
    let dead = app.admin.wait_for_state(&waiting, "dead").await;
    assert_eq!(dead["reason"], "unknown_source", "as at a restart");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_taken_out_opens_nothing_from_then_on() {
    let mut app = TestApp::start().await;
    let tokens = |tokens: &[&str]| format!("[admin]\ntokens = {tokens:?}\n");
    assert_eq!(
        changed(&mut app, &tokens(&[ADMIN_TOKEN, "second-token-of-ours"])).await,
        ["admin.tokens"]
    );
    let with = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let path = "/api/v1/stats";
        app.admin
            .request(Method::GET, path, Some(&bearer), "")
            .await
            .status
    };
    assert_eq!(with("second-token-of-ours").await, 200);
    app.rewrite(&tokens(&["second-token-of-ours"]));
    assert_eq!(app.reload().await.status, 200);
    let with = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let path = "/api/v1/stats";
        app.admin
            .request(Method::GET, path, Some(&bearer), "")
            .await
            .status
    };
    assert_eq!(
        (with(ADMIN_TOKEN).await, with("second-token-of-ours").await),
        (401, 200)
    );
    // The test's own operator has the old one.
    app.rewrite("");
    let reload = "/api/v1/reload";
    let bearer = Some("Bearer second-token-of-ours");
    assert_eq!(
        app.admin
            .request(Method::POST, reload, bearer, "")
            .await
            .status,
        200
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_that_may_do_all_reloads() {
    let mapper = "[admin]\nmapping_tokens = [\"a-token-for-mappings\"]\n";
    let app = TestApp::builder().config(mapper).start().await;
    let reload = "/api/v1/reload";
    for (bearer, expected) in [(None, 401), (Some("Bearer a-token-for-mappings"), 403)] {
        let answer = app.admin.request(Method::POST, reload, bearer, "").await;
        assert_eq!(answer.status, expected);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_credentials_end_a_hold() {
    let serval = MockConfig {
        client_secret: "another-secret".to_owned().into(),
        ..MockConfig::default()
    };
    let mut app = TestApp::builder().serval(serval).start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    eventually("calls are held", async || {
        (app.admin.readyz().await.status == 503).then_some(())
    })
    .await;
    let refreshes = value(&page(&app).await, "serval_connect_token_refreshes_total");
    let secret = "[serval]\nclient_secret = \"another-secret\"\n";
    assert_eq!(changed(&mut app, secret).await, ["serval.client_secret"]);
    app.admin.wait_for_state(&id, "connected").await;
    let more = value(&page(&app).await, "serval_connect_token_refreshes_total");
    assert!(
        more > refreshes,
        "{more:?} after {refreshes:?}: a counter does not go back"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_end_as_they_began() {
    let mut app = TestApp::start().await;
    app.faults(&["latency=4s"]);
    for n in 1..=4 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt_{n}"))
            .await;
        app.save(incident(n)).await;
    }
    eventually("four calls are under way", async || {
        (app.admin.stats().await["calls_in_flight"] == 4).then_some(())
    })
    .await;
    let toml = "[serval]\ntimeout = \"11s\"\n[delivery]\nconcurrency = 1\nrate = 7\n";
    let changed = changed(&mut app, toml).await;
    assert_eq!(
        changed,
        ["delivery.concurrency", "delivery.rate", "serval.timeout"]
    );
    let stats = app.admin.stats().await;
    assert_eq!(stats["calls_per_second_allowed"], 7.0);
    app.admin.drained().await;
    let mut connected = app.connected_to();
    connected.sort();
    assert_eq!(connected, ["tkt_1", "tkt_2", "tkt_3", "tkt_4"], "each once");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_retention_is_followed_at_once() {
    let mut app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let id = app.save(incident(1)).await;
    app.admin.wait_for_state(&id, "connected").await;
    assert!(!app.admin.event(&id).await["body"].is_null());
    let toml = "[retention]\npayloads = \"1ms\"\n";
    assert_eq!(changed(&mut app, toml).await, ["retention.payloads"]);
    eventually("the body is deleted", async || {
        app.admin.event(&id).await["body"].is_null().then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_left_as_it_is() {
    let mut app = TestApp::start().await;
    app.rewrite(
        "[server]\nlisten = \"127.0.0.1:9\"\nbody_limit = \"1KiB\"\n[database]\nurl = \"sqlite:///nowhere/x.db\"\n\
         [telemetry]\notlp_headers = [\"a=a-secret-header\"]\n",
    );
    for changed in [&["server.body_limit"][..], &[]] {
        let answer = app.reload().await;
        assert_eq!(names(&answer, "changed"), changed);
        assert_eq!(
            names(&answer, "needs_restart"),
            ["server.listen", "database.url", "telemetry.otlp_headers"],
            "said at every reload, for it stays true"
        );
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("a-secret-header"), "{text}");
    }
    let large = app.webhooks.servicenow(vec![b' '; 2000]).send().await;
    assert_eq!(large.status, 413);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_as_a_whole_with_the_words_of_check() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    let special = &daemon.files[1];
    std::fs::write(
        special,
        format!(
            "[delivery]\nconcurency = 3\nrate = \"canary-of-a-value\"\n\
             [sources.servicenow]\nsecrets = [\"{}\"]\n",
            whsec(NEW)
        ),
    )
    .unwrap();
    let answer = daemon.admin.post("/reload", &Value::Null).await;
    let problem = answer.problem(422);
    let problems: Vec<String> = serde_json::from_value(problem["problems"].clone()).unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("did you mean delivery.concurrency?"),
        "{problems:?}"
    );
    let check = run(daemon.folder(), &daemon.arguments("check")).await;
    let shown = String::from_utf8(check.stdout).unwrap() + &String::from_utf8_lossy(&check.stderr);
    for problem in &problems {
        assert!(shown.contains(&format!("error: {problem}")), "{shown}");
    }
    assert!(!problem.to_string().contains("canary"), "{problem}");
    for (key, expected) in [(OLD, 202), (NEW, 401)] {
        let sent = daemon
            .webhooks
            .servicenow(incident(1))
            .key(key)
            .send()
            .await;
        assert_eq!(sent.status, expected, "the old configuration is in force");
    }
    // What `check` finds beyond the values.
    std::fs::write(special, "[admin]\ntls_cert_file = \"/nowhere/a.crt\"\n").unwrap();
    let answer = daemon
        .admin
        .post("/reload", &Value::Null)
        .await
        .problem(422);
    let said = answer["problems"][0].as_str().unwrap();
    assert!(
        said.contains("admin.tls_cert_file is set without admin.tls_key_file"),
        "{said}"
    );

    let log = daemon.log();
    let errors: Vec<&Value> = log.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 2, "each is said once: {errors:#?}");
    assert!(!Value::from(log.clone()).to_string().contains("canary"));
    let page = daemon
        .admin
        .request(Method::GET, "/metrics", None, "")
        .await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    for (series, expected) in [
        (r#"config_reloads_total{outcome="refused"}"#, 2.0),
        (r#"config_reloads_total{outcome="taken_over"}"#, 0.0),
        ("config_last_reload_successful", 0.0),
    ] {
        let shown = value(&page, &format!("serval_connect_{series}"));
        assert_eq!(shown, Some(expected), "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_the_log_level_too_and_ends_nothing() {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    let reloads = async |daemon: &Daemon, n: usize| {
        eventually("it is said that it was reloaded", async || {
            let log = daemon.log();
            let is_it = |line: &&Value| line["message"] == "the configuration was reloaded";
            (log.iter().filter(is_it).count() == n).then_some(log)
        })
        .await
    };
    let toml = format!("[log]\nlevel = \"error\"\n{}", keys(&[NEW]));
    std::fs::write(&daemon.files[1], toml).unwrap();
    daemon.hang_up().await;
    eventually("the new key is in force", async || {
        let sent = daemon
            .webhooks
            .servicenow(incident(1))
            .key(NEW)
            .send()
            .await;
        (sent.status == 202).then_some(())
    })
    .await;
    std::fs::write(&daemon.files[1], "").unwrap();
    daemon.hang_up().await;
    // The line about the first is below the level that it set.
    let log = reloads(&daemon, 1).await;
    // Warnings may follow it.
    let line = log.iter().rfind(|line| line["changed"].is_string());
    let changed = &line.unwrap()["changed"];
    assert_eq!(changed, "log.level,sources.servicenow.secrets");
    let page = daemon
        .admin
        .request(Method::GET, "/metrics", None, "")
        .await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let taken = r#"serval_connect_config_reloads_total{outcome="taken_over"}"#;
    assert_eq!(value(&page, taken), Some(2.0));
    let at = value(
        &page,
        "serval_connect_config_last_reload_success_timestamp_seconds",
    );
    assert!(at > Some(1.7e9), "{at:?}");
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
}
