//! A Serval that repeats every secret of our configuration: none of it is stored, logged or shown.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::json;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::support::bodies::{incident, sys_id};
use crate::support::{
    ADMIN_TOKEN, BASIC, BEARER, Call, Daemon, Peer, Reply, SERVICENOW_KEY, Settings,
    database_bytes, database_url, eventually, whsec,
};

const TOKEN: &str = "an-access-token-of-serval";
const ROTATED: &str = "slack-signing-secret-until-the-reload";

/// All secrets, as they are, in their parts, and in base64.
fn secrets() -> Vec<String> {
    let key = str::from_utf8(SERVICENOW_KEY).unwrap();
    let (_, password) = BASIC.split_once(':').unwrap();
    let plain = [
        key,
        ADMIN_TOKEN,
        BEARER,
        BASIC,
        password,
        ROTATED,
        "mock-secret",
        "mock-client:mock-secret",
        "the-token-of-ann",
        "secret-of-the-collector",
    ];
    let standard = plain.map(|secret| STANDARD.encode(secret));
    let for_urls = plain.map(|secret| URL_SAFE_NO_PAD.encode(secret));
    let others = [TOKEN.to_owned(), whsec(SERVICENOW_KEY)];
    let plain = plain.map(str::to_owned);
    [&plain[..], &others, &standard, &for_urls].concat()
}

/// Repeats the token, and of each call another secret, in all the places that are kept of an answer.
fn parrot(call: &Call) -> Reply {
    let shown = call.headers["authorization"].to_str().unwrap();
    if call.path == "/v2/auth/token" {
        let body = json!({"access_token": TOKEN, "expires_in": 3600});
        return (StatusCode::OK, Vec::new(), body.to_string());
    }
    let number = call.path.split('_').nth(1).unwrap_or_default();
    let number: usize = number.split('/').next().unwrap().parse().unwrap_or(0);
    let secret = secrets().swap_remove(number % secrets().len());
    let message = format!("no {secret} and not {shown}");
    let headers = |secret: &str| vec![("x-request-id", secret.to_owned())];
    match number % 3 {
        0 => (StatusCode::OK, headers(&secret), "{}".to_owned()),
        1 => {
            let body = json!({"code": "invalid_argument", "message": message});
            (StatusCode::BAD_REQUEST, headers(&secret), body.to_string())
        }
        _ => (StatusCode::FORBIDDEN, headers(&secret), message),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_that_serval_repeats_is_stored_logged_or_shown() {
    let serval = Peer::start(parrot).await;
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let toml = format!(
        r#"
[admin]
read_only_tokens = ["ann the-token-of-ann"]

[telemetry]
otlp_headers = ["x-key=secret-of-the-collector"]

[delivery]
breaker_threshold = 0

[sources.slack]
signing_secrets = ["{ROTATED}"]

[serval]
base_url = "{}"
"#,
        serval.url()
    );
    let settings = Settings {
        toml: toml.clone(),
        ..Settings::default()
    };
    let mut daemon = Daemon::start(&mock, &settings).await;
    // What was a secret stays one.
    let after = toml.replace(ROTATED, "slack-signing-secret-from-now-on");
    std::fs::write(&daemon.files[1], after).unwrap();
    let reloaded = daemon.admin.post("/reload", &json!(null)).await;
    assert_eq!(reloaded.status, 200, "{reloaded:?}");

    let n = u32::try_from(secrets().len()).unwrap() * 3;
    for n in 1..=n {
        daemon
            .admin
            .map("servicenow", &sys_id(n), &format!("tkt_{n}"))
            .await;
        let answer = daemon.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.status, 202);
    }
    eventually("each is answered", async || {
        let totals = daemon.admin.stats().await["totals"].clone();
        let answered = serval.calls().len() > n as usize;
        let ended = totals["connected"].as_u64() >= Some(u64::from(n / 3));
        let dead = totals["dead"].as_u64() >= Some(u64::from(n / 3));
        (answered && ended && dead).then_some(())
    })
    .await;
    let ready = daemon.admin.readyz().await;
    let events = daemon.admin.get("/events?limit=1000").await;
    let mut shown = vec![
        ("/readyz", String::from_utf8_lossy(&ready.body).into_owned()),
        (
            "/events",
            String::from_utf8_lossy(&events.body).into_owned(),
        ),
    ];
    let stored = database_bytes(&database_url(daemon.folder()));
    shown.push(("database", String::from_utf8_lossy(&stored).into_owned()));
    daemon.terminate().await;
    daemon.ended().await;
    shown.push((
        "log",
        daemon.log().iter().map(ToString::to_string).collect(),
    ));
    for (place, text) in shown {
        assert!(place != "database" || text.contains("[redacted]"));
        for secret in secrets() {
            let secret = secret.trim_end_matches('=');
            assert!(!text.contains(secret), "{place}: {secret}");
        }
    }
}
