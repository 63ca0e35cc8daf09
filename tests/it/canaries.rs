//! Nothing secret and nothing of a body gets where it does not belong: bodies, headers, tokens,
//! signatures and the configuration's secrets carry canaries, everything that can go wrong goes
//! wrong, and nothing that the daemon says sings.

use http::{Method, StatusCode};
use serde_json::json;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::support::bodies::{slack_message, sys_id};
use crate::support::{Call, Daemon, Peer, Reply, Settings, eventually, run, whsec};

/// In every canary, whatever it hides in.
const MARK: &str = "canary";
/// What the canaries become in base64, as far as it does not hang on what stands before.
const MARKS: [&str; 4] = ["canary", "Y2FuYXJ5", "NhbmFye", "jYW5hcn"];

const KEY: &[u8] = b"canary-key-of-thirty-two-bytes!!";
const SLACK_SECRET: &str = "canary-signing-secret";

/// A Serval that gives tokens, and repeats in its refusals whatever credential it was shown.
fn parrot(call: &Call) -> Reply {
    let shown = call.headers.get("authorization");
    let shown = shown.map_or("nothing", |value| value.to_str().unwrap());
    if call.path == "/v2/auth/token" {
        let body = json!({"access_token": "canary-access-token", "expires_in": 3600});
        return (StatusCode::OK, Vec::new(), body.to_string());
    }
    let bare = shown.rsplit(' ').next().unwrap();
    // The refusal with 400 is in Serval's form, the others are not.
    let code = call.path.contains("tkt_400").then_some("invalid_argument");
    let body = json!({"code": code, "message": format!("bad: {shown} ({bare})")});
    let headers = vec![("x-request-id", bare.to_owned())];
    let status = match call.path.as_str() {
        path if path.contains("tkt_400") => StatusCode::BAD_REQUEST,
        path if path.contains("tkt_500") => StatusCode::INTERNAL_SERVER_ERROR,
        path if path.contains("tkt_429") => StatusCode::TOO_MANY_REQUESTS,
        _ => return (StatusCode::OK, Vec::new(), r#"{"data":[]}"#.to_owned()),
    };
    (status, headers, body.to_string())
}

/// A Serval that refuses the credentials and repeats them.
fn bouncer(call: &Call) -> Reply {
    let shown = call.headers.get("authorization");
    let shown = shown.map_or("nothing", |value| value.to_str().unwrap());
    let said = format!("no: canary-client-secret, {shown}");
    let body = json!({"error": "invalid_client", "error_description": said});
    let headers = vec![("x-request-id", shown.to_owned())];
    (StatusCode::UNAUTHORIZED, headers, body.to_string())
}

/// A Serval that quotes the ticket it was sent when it refuses it, and when it is down.
fn gossip(call: &Call) -> Reply {
    if call.path == "/v2/auth/token" {
        return parrot(call);
    }
    let quoted = String::from_utf8_lossy(&call.body);
    let body = json!({"code": "invalid_argument", "message": format!("bad field: {quoted}")});
    let status = match call.path.as_str() {
        path if path.contains("tkt_400") => StatusCode::BAD_REQUEST,
        path if path.contains("tkt_401") => StatusCode::UNAUTHORIZED,
        _ => StatusCode::NOT_FOUND,
    };
    (status, Vec::new(), body.to_string())
}

fn settings(serval: &Peer, format: &str) -> Settings {
    let toml = format!(
        r#"
[serval]
base_url = "{}"
client_id = "a-client"
client_secret = "canary-client-secret"

[telemetry]
otlp_headers = ["authorization=Bearer canary-otlp"]

[log]
level = "serval_connect=trace,warn"
format = "{format}"

[sources.servicenow]
secrets = ["{}"]

[sources.servicenow-eu]
bearer_tokens = ["canary-bearer-token"]
basic_auth = ["canary:canary-password"]

[sources.slack]
signing_secrets = ["{SLACK_SECRET}"]
"#,
        serval.url(),
        whsec(KEY)
    );
    let bearer_token = None;
    Settings {
        toml,
        bearer_token,
        ..Settings::default()
    }
}

fn record(table: &str, id: &str) -> String {
    format!(
        r#"{{"sys_id":"{id}","sys_class_name":"{table}","short_description":"canary-body","sys_mod_count":"1"}}"#
    )
}

/// Fails with the place when a text has a canary.
fn assert_quiet(place: &str, text: &str) {
    for mark in MARKS {
        let found = text.lines().find(|line| line.contains(mark));
        assert_eq!(found, None, "{place} sings {mark}");
    }
}

/// Everything a sender can do, right and wrong; all answers are quiet.
async fn send_all(daemon: &Daemon) {
    let senders = &daemon.webhooks;
    let servicenow = |body: String| {
        let delivery = senders.servicenow(body).key(KEY);
        delivery.header("cookie", "canary-cookie")
    };
    let incident = |n: u32| record("incident", &sys_id(n));
    let slack = |body: String| senders.slack(body).key(SLACK_SECRET.as_bytes());
    let message = slack_message(
        "Ev1",
        "1779146752.000100",
        &json!({"text": "canary-message", "user": "U1"}),
    );
    let eu = "/webhooks/servicenow-eu";
    let plain = || senders.servicenow(incident(9)).unsigned().to(eu);
    let deliveries = [
        (202, servicenow(incident(1))),
        (202, servicenow(incident(2))),
        (202, servicenow(incident(3))),
        (202, servicenow(incident(4))),
        (202, servicenow(incident(5))),
        (202, servicenow(record("problem", &sys_id(6)))),
        (
            202,
            servicenow(format!("[{},{}]", incident(7), incident(8))),
        ),
        (400, servicenow(r#"{"a":"canary-broken"#.to_owned())),
        (400, servicenow(r#""canary-text""#.to_owned())),
        (422, servicenow(record("incident", "canary-id"))),
        (
            401,
            senders.servicenow(incident(1)).key(b"canary-wrong-key"),
        ),
        (401, servicenow(incident(1)).aged(9999)),
        (
            401,
            servicenow(incident(1)).header("webhook-signature", "v1,canary-signature"),
        ),
        (
            401,
            servicenow(incident(1)).header("webhook-timestamp", "canary-time"),
        ),
        (401, servicenow(incident(1)).altered(r#"{"a":"canary"}"#)),
        (401, plain().header("authorization", "Bearer canary-wrong")),
        (
            401,
            plain().header("authorization", "Basic Y2FuYXJ5OmNhbmFyeQ=="),
        ),
        (
            202,
            plain().header("authorization", "Bearer canary-bearer-token"),
        ),
        (404, servicenow(incident(1)).to("/webhooks/canary")),
        (404, servicenow(incident(1)).to("/canary?token=canary")),
        (200, slack(message.clone())),
        (400, slack("canary-no-json".to_owned())),
        (401, slack(message.clone()).altered("canary-other-body")),
        (
            401,
            slack(message).header("x-slack-signature", "v0=canary-signature"),
        ),
        (413, servicenow("canary".repeat(500_000))),
    ];
    for (status, delivery) in deliveries {
        let answer = delivery.send().await;
        assert_eq!(answer.status, status, "{delivery:?}");
        assert_quiet("an answer", &String::from_utf8_lossy(&answer.body));
        assert_quiet("an answer's headers", &format!("{:?}", answer.headers));
    }
}

async fn ask_all(daemon: &Daemon) {
    for authorization in [None, Some("Bearer canary-admin"), Some("canary")] {
        let call = daemon
            .admin
            .request(Method::GET, "/api/v1/stats", authorization, "");
        let answer = call.await;
        assert_eq!(answer.status, 401);
        assert_quiet("the admin API", &String::from_utf8_lossy(&answer.body));
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        let call = daemon.admin.request(Method::GET, path, None, "");
        assert_quiet(path, &String::from_utf8_lossy(&call.await.body));
    }
    for path in ["/stats", "/events?limit=1000", "/mappings"] {
        let answer = daemon.admin.get(path).await;
        assert_eq!(answer.status, 200);
        assert_quiet(path, &String::from_utf8_lossy(&answer.body));
    }
}

/// Commands on the files of a daemon that has ended.
async fn run_all(daemon: &Daemon) {
    for (command, further) in [
        ("check", &[][..]),
        ("events", &["list"]),
        ("events", &["list", "--json"]),
    ] {
        let mut arguments = daemon.arguments(command);
        arguments.extend(further);
        let output = run(daemon.folder(), &arguments).await;
        assert!(output.status.success(), "{command}: {output:?}");
        assert!(!output.stdout.is_empty(), "{command}");
        assert_quiet(command, &String::from_utf8_lossy(&output.stdout));
        assert_quiet(command, &String::from_utf8_lossy(&output.stderr));
    }
}

fn assert_quiet_log(daemon: &Daemon) {
    let log = daemon.log();
    assert!(log.len() > 10, "{log:#?}");
    for line in log {
        assert_quiet("the log", &line.to_string());
    }
}

async fn through_all_of_it(format: &str) {
    let serval = Peer::start(parrot).await;
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &settings(&serval, format)).await;
    for (n, ticket) in [(1, "tkt_1"), (2, "tkt_400"), (3, "tkt_500"), (4, "tkt_429")] {
        daemon.admin.map("servicenow", &sys_id(n), ticket).await;
    }
    send_all(&daemon).await;
    eventually("every refusal was met", async || {
        let calls = serval.calls();
        let met = |ticket: &str| calls.iter().any(|call| call.path.contains(ticket));
        ["tkt_1", "tkt_400", "tkt_500", "tkt_429"]
            .iter()
            .all(|ticket| met(ticket))
            .then_some(())
    })
    .await;
    eventually("the refusals are on record", async || {
        let dead = daemon.admin.events("state=dead").await;
        (!dead.is_empty()).then_some(())
    })
    .await;
    ask_all(&daemon).await;
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    assert_quiet_log(&daemon);
    run_all(&daemon).await;
    let shown = serval.calls();
    assert!(
        shown.iter().any(|call| {
            let body = String::from_utf8_lossy(&call.body);
            body.contains(MARK)
        }),
        "the canaries did reach Serval"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sings_in_json() {
    through_all_of_it("json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sings_in_text() {
    through_all_of_it("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_not_repeated() {
    let serval = Peer::start(bouncer).await;
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &settings(&serval, "json")).await;
    eventually("calls are held", async || {
        (daemon.admin.readyz().await.status == 503).then_some(())
    })
    .await;
    let ready = daemon.admin.readyz().await;
    assert_quiet("/readyz", &String::from_utf8_lossy(&ready.body));
    daemon.terminate().await;
    daemon.ended().await;
    for line in daemon.log() {
        assert_quiet("the log", &line.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serval_quotes_of_a_ticket_is_on_record_but_in_no_log() {
    let serval = Peer::start(gossip).await;
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &settings(&serval, "json")).await;
    for (n, ticket) in [(1, "tkt_400"), (2, "tkt_401")] {
        daemon.admin.map("servicenow", &sys_id(n), ticket).await;
        let body = record("incident", &sys_id(n));
        let answer = daemon.webhooks.servicenow(body).key(KEY).send().await;
        assert_eq!(answer.status, 202);
    }
    let dead = eventually("the refused one is dead", async || {
        let mut dead = daemon.admin.events("state=dead").await;
        dead.pop()
    })
    .await;
    let said = dead["last_error"].as_str().unwrap();
    assert!(said.contains("canary-body"), "operators read it: {said}");
    eventually("calls are held", async || {
        (daemon.admin.readyz().await.status == 503).then_some(())
    })
    .await;
    // Anybody on the admin listener may ask this, without a token.
    let ready = daemon.admin.readyz().await;
    assert_quiet("/readyz", &String::from_utf8_lossy(&ready.body));
    daemon.terminate().await;
    daemon.ended().await;
    assert_quiet_log(&daemon);
}
