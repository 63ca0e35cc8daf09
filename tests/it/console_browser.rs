//! The operator console in a real browser, against the real daemon: `tests/browser` does what a person
//! would do, this prepares what there is to be done. Needs Node, Chromium and what
//! `tests/browser/install.sh` brings; skipped without them, except where `CI` is set.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::bodies::{incident_with, slack_message, sys_id};
use crate::support::{ADMIN_TOKEN, SERVICENOW_KEY, TestApp};

/// How long the whole of it may take, on a machine that has other things to do.
const BROWSER_PATIENCE: Duration = Duration::from_mins(4);

const READ_ONLY_TOKEN: &str = "a-read-only-token-for-the-wall";

/// What a ticket could be called by somebody who means no good.
const HOSTILE: &str = r#"<script>window.wasRun=1</script><img src=x onerror="window.wasRun=2">"#;

const THREAD: &str = "1779146751.061339";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// The browser; `Err` says what is missing.
fn browser() -> Result<PathBuf, String> {
    if !folder().join("node_modules/playwright-core").exists() {
        return Err("tests/browser/install.sh has not been run".to_owned());
    }
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("there is no Chromium at {}", path.display()))
    }
}

fn numbered(n: u32, number: &str, title: &str) -> String {
    incident_with(n, 1, &json!({"number": number, "short_description": title}))
}

/// Something on every page of the console.
async fn fill(app: &TestApp) -> Value {
    let map = async |n, ticket_id: &str| {
        let id = sys_id(n);
        app.admin.map("servicenow", &id, ticket_id).await;
    };
    // Connected, and a requested item that is mapped by what looks like an identifier.
    map(1, "tkt-vpn").await;
    let connected = numbered(1, "INC0010001", "VPN drops every hour");
    let connected = app.save(connected).await;
    app.admin.wait_for_state(&connected, "connected").await;
    map(2, "ABC-77").await;
    let item = json!({"number": "RITM0010042", "short_description": "A second screen", "sys_class_name": "sc_req_item"});
    let item = app.save(incident_with(2, 1, &item)).await;
    app.admin.wait_for_state(&item, "connected").await;

    // Dead: the key had no rights on their tickets, and has by the time somebody looks.
    app.faults(&["status=403,path=connect"]);
    for n in 40..43 {
        map(n, &format!("tkt-{n}")).await;
        let number = format!("INC00400{n}");
        let id = app.save(numbered(n, &number, "Badge reader is dark")).await;
        app.admin.wait_for_state(&id, "dead").await;
    }
    app.faults(&[]);

    // A conflict.
    map(3, "tkt-mapped").await;
    let named = json!({
        "number": "INC0030001", "short_description": "Mail is late",
        "correlation_id": "tkt-named", "correlation_display": "Serval",
    });
    let named = app.save(incident_with(3, 1, &named)).await;
    app.admin.wait_for_state(&named, "connected").await;

    // Parked: some to be mapped, one of them hostile, and enough for a second page.
    let titles = [
        "The printer smokes",
        "No sound in room 4",
        "A badge is lost",
        "The door of the lab stays open",
    ];
    for (n, title) in (1..).zip(titles) {
        let number = format!("INC002000{n}");
        app.save(numbered(20 + n, &number, title)).await;
    }
    app.save(numbered(30, "INC0025001", HOSTILE)).await;
    let slack = slack_message("Ev0BROWSER1", THREAD, &json!({"text": HOSTILE}));
    assert_eq!(app.webhooks.slack(slack).send().await.status, 200);
    for n in 100..108 {
        let number = format!("INC0026{n}");
        app.save(numbered(n, &number, "Laptop does not wake up"))
            .await;
    }

    let ticket = |n| format!("/tickets/servicenow/{}", sys_id(n));
    let thread = format!("C9DDYQ1B4:{THREAD}");
    let permalink = format!(
        "https://acme.slack.com/archives/C9DDYQ1B4/p1779146999000100?thread_ts={THREAD}&cid=C9DDYQ1B4"
    );
    json!({
        "hostile": {"path": ticket(30), "title": HOSTILE},
        "searches": [
            ["INC0010001", ticket(1)],
            ["ritm0010042", ticket(2)],
            [sys_id(1), ticket(1)],
            [format!("https://acme.service-now.com/nav_to.do?uri=incident.do%3Fsys_id%3D{}", sys_id(1)), ticket(1)],
            [permalink, format!("/tickets/slack/{thread}")],
            [thread, format!("/tickets/slack/{thread}")],
            ["tkt-vpn", ticket(1)],
            ["ABC-77", ticket(2)],
            ["https://app.serval.com/ACM/tickets/ABC-77", ticket(2)],
            [connected, format!("/events/{connected}")],
        ],
        "pages": {
            "login": "/login",
            "overview": "/",
            "find": "/find?q=tkt",
            "find-ahead": format!("/find?q={}", sys_id(999)),
            "ticket-connected": ticket(1),
            "ticket-parked": ticket(30),
            "ticket-conflict": ticket(3),
            "parked": "/parked",
            "dead": "/dead",
            "dead-group": "/dead?source=servicenow&reason=permission_denied",
            "dead-confirm": "/dead/replay?source=servicenow&reason=permission_denied",
            "conflicts": "/conflicts",
            "event": format!("/events/{connected}"),
            "events": "/events",
            "mappings": "/mappings",
            "forget": format!("{}/forget", ticket(1)),
            "audit": "/audit",
            "fault": "/no/such/page",
        },
    })
}

/// Runs the script; what it said, and whether it was content. `None`: there is no Node.
async fn run(input: &Value) -> Option<(bool, String)> {
    let mut command = Command::new("node");
    command
        .arg("run.js")
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(BROWSER_PATIENCE, child.wait_with_output()).await;
    let output = output.expect("the browser comes to an end").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    Some((output.status.success(), said))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_can_do_their_work_in_a_real_browser() {
    let must_run = std::env::var_os("CI").is_some();
    let chromium = match browser() {
        Ok(chromium) => chromium,
        Err(missing) => {
            assert!(!must_run, "CI needs a browser for this test: {missing}");
            println!("skipped: {missing}");
            return;
        }
    };
    let app = TestApp::builder()
        .config("[sources.servicenow]\nticket_id_pointers = [\"/correlation_id\"]")
        .config(&format!(
            "[admin]\ntokens = [\"ada {ADMIN_TOKEN}\"]\nread_only_tokens = [\"wall {READ_ONLY_TOKEN}\"]"
        ))
        .start()
        .await;
    let mut input = fill(&app).await;
    let screenshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/console-screenshots");
    for (key, value) in [
        ("admin", app.admin.url("")),
        ("webhooks", app.webhooks.url("")),
        ("token", ADMIN_TOKEN.to_owned()),
        ("readOnlyToken", READ_ONLY_TOKEN.to_owned()),
        ("servicenowKey", STANDARD.encode(SERVICENOW_KEY)),
        ("chromium", chromium.display().to_string()),
        ("screenshots", screenshots.display().to_string()),
    ] {
        input[key] = value.into();
    }
    let Some((is_content, said)) = run(&input).await else {
        assert!(!must_run, "CI needs Node for this test");
        println!("skipped: there is no Node");
        return app.stop().await;
    };
    println!("{said}");
    assert!(is_content, "{said}");
    // What was done in the browser arrived at Serval.
    let connected = app.connected_to();
    for ticket_id in [
        "tkt-printer",
        "tkt-badge",
        "tkt-door",
        "tkt-40",
        "tkt-named",
    ] {
        let is_there = connected.iter().any(|other| other == ticket_id);
        assert!(is_there, "{ticket_id}: {connected:?}");
    }
    app.stop().await;
}
