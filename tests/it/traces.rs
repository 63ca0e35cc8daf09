//! One trace from the sender's webhook to the call to Serval, exported where a collector is.

use std::process::ExitStatus;

use http::StatusCode;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};

use crate::support::bodies::{incident, sys_id};
use crate::support::{Call, Daemon, Peer, Reply, Settings, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A Serval that takes everything.
fn willing(call: &Call) -> Reply {
    let body = if call.path == "/v2/auth/token" {
        r#"{"access_token":"a-token","expires_in":3600}"#
    } else {
        r#"{"data":[]}"#
    };
    (StatusCode::OK, Vec::new(), body.to_owned())
}

/// A collector that takes everything.
fn collector(_: &Call) -> Reply {
    (StatusCode::OK, Vec::new(), String::new())
}

/// A daemon that calls `serval`, after a webhook with `traceparent` and its connect call. Answers
/// the `traceparent` of that call.
async fn connected(serval: &Peer, toml: &str, traceparent: &str) -> (Daemon, Option<String>) {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let settings = Settings {
        toml: format!("[serval]\nbase_url = \"{}\"\n{toml}", serval.url()),
        ..Settings::default()
    };
    let daemon = Daemon::start(&mock, &settings).await;
    daemon.admin.map("servicenow", &sys_id(1), "tkt_1").await;
    let sent = daemon.webhooks.servicenow(incident(1));
    let answer = sent.header("traceparent", traceparent).send().await;
    daemon.admin.wait_for_state(&answer.id(), "connected").await;
    let calls = serval.calls();
    let connect = calls.iter().find(|call| call.path.ends_with("/connect"));
    let value = connect.unwrap().headers.get("traceparent");
    let value = value.map(|value| value.to_str().unwrap().to_owned());
    (daemon, value)
}

async fn end(mut daemon: Daemon) -> ExitStatus {
    daemon.terminate().await;
    daemon.ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_senders_traceparent_reaches_serval_as_it_came() {
    let serval = Peer::start(willing).await;
    let (daemon, traceparent) = connected(&serval, "", SENDER).await;
    assert_eq!(traceparent.as_deref(), Some(SENDER));
    // The log is written shortly after.
    eventually("the lines of storing and connecting", async || {
        let log = daemon.log();
        let of_trace = log.iter().filter(|line| line["trace"] == TRACE);
        (of_trace.count() == 2).then_some(())
    })
    .await;
    assert!(end(daemon).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traceparent_that_is_none_goes_nowhere() {
    let serval = Peer::start(willing).await;
    let (daemon, traceparent) = connected(&serval, "", "00-xyz-1-01").await;
    assert_eq!(traceparent, None);
    assert!(end(daemon).await.success());
}

#[cfg(feature = "otel")]
#[tokio::test(flavor = "multi_thread")]
async fn the_spans_of_webhook_and_delivery_are_exported_in_the_senders_trace() {
    let serval = Peer::start(willing).await;
    let spans = Peer::start(collector).await;
    let toml = format!(
        "[telemetry]\notlp_endpoint = \"{}\"\notlp_headers = [\"authorization=Bearer otlp-key\"]\n",
        spans.url()
    );
    let (daemon, traceparent) = connected(&serval, &toml, SENDER).await;
    let traceparent = traceparent.unwrap();
    assert!(
        traceparent.contains(TRACE) && traceparent != SENDER,
        "the call belongs to the step's own span: {traceparent}"
    );
    assert!(end(daemon).await.success());
    let exported = eventually("spans are exported", async || {
        let calls = spans.calls();
        (!calls.is_empty()).then_some(calls)
    })
    .await;
    let call = &exported[0];
    assert_eq!(call.path, "/v1/traces");
    assert_eq!(call.headers["authorization"], "Bearer otlp-key");
    let all: Vec<u8> = exported
        .iter()
        .flat_map(|call| call.body.to_vec())
        .collect();
    let holds = |bytes: &[u8]| all.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(&hex::decode(TRACE).unwrap()), "the sender's trace");
    assert!(holds(&hex::decode("00f067aa0ba902b7").unwrap()), "its span");
    assert!(holds(&hex::decode(&traceparent[36..52]).unwrap()), "ours");
    for name in ["webhook", "delivery", "service.name", "serval-connect"] {
        assert!(holds(name.as_bytes()), "{name}");
    }
}

#[cfg(feature = "otel")]
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_costs_nothing_but_spans() {
    let serval = Peer::start(willing).await;
    let toml = "[telemetry]\notlp_endpoint = \"http://127.0.0.1:9\"\n";
    let (daemon, traceparent) = connected(&serval, toml, SENDER).await;
    assert!(traceparent.unwrap().contains(TRACE));
    assert!(end(daemon).await.success());
}
